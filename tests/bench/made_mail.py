#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Makes mail that looks like mail, for measuring how bodies are packed (tests/tools/body_bench.c).

made_mail.py STYLE SEED COUNT DIRECTORY    writes COUNT messages, one file each, with CRLF

There are two styles, a and b.  They share no template and no sentence, so that a dictionary made
for one can be judged by the other.  Sentences are those of this repository: the manual pages (a)
and the comments of the code (b), as text of that length has to have the variety of real text.
"""

import base64
import glob
import os
import random
import re
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
NAMES = {
    "a": "Anna Lindholm,Bruno Keller,Carla Meyer,David Osei,Elif Kaya,Frank Moser,Greta Holm".split(","),
    "b": "Pavel Novotny,Quentin Roy,Rosa Pinto,Sofie Dahl,Tomas Berg,Ulla Jensen,Vera Ilic".split(","),
}
HOSTS = {
    "a": "harbour.example,post.example.com,garden.example.org,works.example.net".split(","),
    "b": "alpine.test,mail.foundry.test,library.test,example.edu".split(","),
}


def sentences(style):
    """All sentences of the manual (a) or of the comments (b), of a sensible length."""
    if style == "a":
        text = " ".join(line for path in sorted(glob.glob(ROOT + "/man/*"))
                        for line in open(path).read().splitlines() if not line.startswith("."))
    else:
        paths = sorted(glob.glob(ROOT + "/*/*.c") + glob.glob(ROOT + "/*/*/*.[ch]"))
        text = " ".join(re.sub(r"[\s*]+", " ", comment) for path in paths
                        for comment in re.findall(r"/\*(.*?)\*/", open(path).read(), re.S))
    parts = re.split(r"(?<=[.:;])\s+", text)
    return [p.strip() for p in parts if 30 < len(p) < 200 and p.isascii()]


class Mail:
    """One seeded source of everything a message is made of."""

    def __init__(self, style, seed):
        self.style, self.random = style, random.Random(f"{style} {seed}")
        self.stock = sentences(style)
        self.names, self.hosts = NAMES[style], HOSTS[style]

    def pick(self, items):
        return self.random.choice(items)

    def hex(self, count):
        return "".join(self.random.choices("0123456789abcdef", k=count))

    def token(self, count):
        return "".join(self.random.choices(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", k=count))

    def base64_lines(self, count):
        text = base64.b64encode(self.random.randbytes(count)).decode()
        return "\n".join(text[i:i + 76] for i in range(0, len(text), 76))

    def person(self):
        name = self.pick(self.names)
        address = f"{name.split()[0].lower()}.{name.split()[1].lower()}@{self.pick(self.hosts)}"
        return name, address

    def text(self, size):
        """Paragraphs of about size bytes."""
        out, length = [], 0
        while length < size:
            paragraph = " ".join(self.random.choices(self.stock, k=self.random.randint(1, 4)))
            out.append(paragraph)
            length += len(paragraph)
        return out

    def address_of_host(self):
        r = self.random
        return f"203.0.113.{r.randint(1, 254)}" if r.random() < .7 else f"2001:db8:{self.hex(4)}::{self.hex(3)}"


def wrap(text, width=72, mark=""):
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + len(word) + 1 > width:
            lines.append(mark + line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return "\n".join(lines + [mark + line])


def folded(value, width=74):
    return "\n\t".join(value[i:i + width] for i in range(0, len(value), width))


def quoted_printable(text):
    out = []
    for line in text.replace("=", "=3D").split("\n"):
        while len(line) > 75:
            cut = 72 if "=" not in line[70:72] else 69
            out.append(line[:cut] + "=")
            line = line[cut:]
        out.append(line)
    return "\n".join(out)


def date(m):
    r = m.random
    day, month = r.randint(1, 28), m.pick("Jan Mar Apr Jun Aug Sep Nov Dec".split())
    clock = f"{r.randint(0, 23):02}:{r.randint(0, 59):02}:{r.randint(0, 59):02}"
    week = m.pick("Mon Tue Wed Thu Fri Sat Sun".split())
    return f"{week}, {day} {month} {r.randint(2019, 2026)} {clock} {m.pick(['+0200', '+0100', '+0000', '-0700'])}"


# Style a -------------------------------------------------------------------------------------


def trace_a(m, sender, service):
    """Received, DKIM and what receivers add, top to bottom."""
    domain = sender.split("@")[1]
    out = []
    for _ in range(m.random.randint(1, 4)):
        host = f"mx{m.random.randint(1, 20)}.{m.pick(m.hosts)}"
        out.append(f"Received: from {host} ({host} [{m.address_of_host()}])\n\tby in.{m.pick(m.hosts)} (Postfix) "
                   f"with ESMTPS id {m.token(12)}\n\tfor <{m.person()[1]}>; {date(m)} (CEST)")
    out.append(f"Authentication-Results: in.example.com; dkim=pass header.d={domain} header.s=s1 "
               f"header.b={m.token(8)};\n\tspf=pass smtp.mailfrom={domain}; dmarc=pass (p=reject) header.from={domain}")
    out.append(f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={domain};\n\ts=s1; t={m.random.randint(1500000000, 1790000000)};"
               f" h=from:subject:date:message-id:to:mime-version:content-type:\n\t list-unsubscribe;\n\tbh={m.token(43)}=;\n\tb={folded(m.token(344))}")
    if service:
        seal = folded(m.token(344))
        out.append(f"ARC-Seal: i=1; a=rsa-sha256; t={m.random.randint(1500000000, 1790000000)}; cv=none;\n        d=example.com; s=arc-20160816;\n        b={seal}")
        out.append(f"ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=arc-20160816;\n        h=message-id:date:subject:from:to;\n        bh={m.token(43)}=;\n        b={folded(m.token(344))}")
    return out


def common_a(m, agent):
    name, address = m.person()
    other, to = m.person()
    return address, [f"From: {name} <{address}>", f"To: {other} <{to}>",
                     f"Subject: {m.pick(['', 'Re: ', 'Re: '])}{m.pick(m.stock)[:45].strip()}", f"Date: {date(m)}",
                     f"Message-ID: <{m.hex(8)}-{m.hex(4)}-{m.hex(4)}@{address.split('@')[1]}>", f"User-Agent: {agent}",
                     "MIME-Version: 1.0"]


def personal_a(m):
    sender, lines = common_a(m, "Mozilla Thunderbird")
    body = "\n\n".join(wrap(p) for p in m.text(m.random.randint(200, 3000)))
    head = trace_a(m, sender, False) + lines + ["Content-Language: en-US", "Content-Type: text/plain; charset=UTF-8; format=flowed",
                                                "Content-Transfer-Encoding: 7bit"]
    return "\n".join(head) + f"\n\nHi {m.pick(m.names).split()[0]},\n\n{body}\n\nBest regards,\n{m.pick(m.names)}\n"


def reply_a(m):
    sender, lines = common_a(m, "Mozilla Thunderbird")
    quote = "\n>\n".join(wrap(p, 70, "> ") for p in m.text(m.random.randint(500, 5000)))
    mine = "\n\n".join(wrap(p) for p in m.text(m.random.randint(80, 800)))
    parent = f"<{m.hex(8)}-{m.hex(4)}@{m.pick(m.hosts)}>"
    head = trace_a(m, sender, False) + lines + [f"References: {parent}", f"In-Reply-To: {parent}", "Content-Type: text/plain; charset=UTF-8"]
    return "\n".join(head) + f"\n\nOn {date(m)}, {m.pick(m.names)} wrote:\n{quote}\n\n{mine}\n\n-- \n{m.pick(m.names)}\n"


def newsletter_a(m):
    sender, lines = common_a(m, "Mailer 4")
    mark = "----=_Part_" + m.hex(16)
    paragraphs = m.text(m.random.randint(1500, 14000))
    link = f"https://click.{m.pick(m.hosts)}/track/{m.token(60)}"
    rows = "".join(f'<tr>\n<td align="center" style="padding: 10px 20px; font-family: Arial, Helvetica, sans-serif; font-size: 14px; '
                   f'line-height: 20px; color: #333333;">{p}<br><a href="{link}{i}" target="_blank" style="color: #0066cc; '
                   f'text-decoration: none;">Read more</a></td>\n</tr>\n' for i, p in enumerate(paragraphs))
    page = ('<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\n'
            '<html xmlns="http://www.w3.org/1999/xhtml">\n<head>\n<meta http-equiv="Content-Type" content="text/html; charset=UTF-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1.0">\n<title>News</title>\n</head>\n'
            '<body style="margin: 0; padding: 0;">\n<table border="0" cellpadding="0" cellspacing="0" width="100%">\n' + rows +
            f'</table>\n<p style="font-size: 11px; color: #999999;">You receive this because you signed up. <a href="{link}">Unsubscribe</a></p>\n</body>\n</html>\n')
    head = trace_a(m, sender, True) + lines + [
        f"List-Unsubscribe: <{link}>, <mailto:unsubscribe@{m.pick(m.hosts)}?subject={m.token(20)}>",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click", f"List-ID: <{m.token(10)}.news.example>", "Precedence: bulk",
        f"X-Campaign-ID: {m.token(24)}", f'Content-Type: multipart/alternative; boundary="{mark}"']
    plain = "\n\n".join(wrap(p) for p in paragraphs[:4])
    return "\n".join(head) + (f'\n\n--{mark}\nContent-Type: text/plain; charset="UTF-8"\nContent-Transfer-Encoding: quoted-printable\n\n'
                              f'{quoted_printable(plain)}\n--{mark}\nContent-Type: text/html; charset="UTF-8"\n'
                              f'Content-Transfer-Encoding: quoted-printable\n\n{quoted_printable(page)}\n--{mark}--\n')


def notification_a(m):
    sender, lines = common_a(m, "Notifier")
    number = m.random.randint(1000, 999999)
    head = trace_a(m, sender, True) + lines + ["Auto-Submitted: auto-generated", f"X-Request-ID: {m.hex(32)}",
                                               "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 7bit"]
    return "\n".join(head) + (f"\n\nHello,\n\n{wrap(m.pick(m.stock))}\n\nOrder number: {number}\nDate: {date(m)}\n\n"
                              f"View it: https://{m.pick(m.hosts)}/orders/{number}?token={m.token(32)}\n\n"
                              "This is an automated message, please do not reply.\n")


def attachment_a(m):
    sender, lines = common_a(m, "Mozilla Thunderbird")
    mark = "------------" + m.token(24)
    head = trace_a(m, sender, False) + lines + [f'Content-Type: multipart/mixed; boundary="{mark}"']
    body = "\n\n".join(wrap(p) for p in m.text(300))
    return "\n".join(head) + (f'\n\nThis is a multi-part message in MIME format.\n--{mark}\nContent-Type: text/plain; charset=UTF-8; format=flowed\n\n{body}\n\n'
                              f'--{mark}\nContent-Type: application/pdf; name="scan-{m.hex(4)}.pdf"\nContent-Disposition: attachment; filename="scan-{m.hex(4)}.pdf"\n'
                              f'Content-Transfer-Encoding: base64\n\n{m.base64_lines(m.random.randint(8, 120) * 1024)}\n--{mark}--\n')


# Style b -------------------------------------------------------------------------------------


def trace_b(m, sender, hops):
    domain = sender.split("@")[1]
    out = [f"Return-Path: <bounces+{m.hex(10)}@{domain}>", f"Delivered-To: {m.person()[1]}"]
    for _ in range(hops):
        host = f"{m.pick(['smtp', 'out', 'relay', 'o1'])}-{m.hex(3)}.{m.pick(m.hosts)}"
        out.append(f"Received: from {host} ([{m.address_of_host()}] helo={host})\n        by {m.pick(m.hosts)} with esmtps  (TLS1.3) "
                   f"tls TLS_AES_256_GCM_SHA384\n        (Exim 4.96)\n        (envelope-from <{sender}>)\n        id {m.token(6)}-{m.token(6)}-{m.token(2)}; {date(m)}")
    out.append(f"DKIM-Signature: v=1; a=rsa-sha256; q=dns/txt; c=simple/relaxed; d={domain}; s=mail2024; h=Content-Type:MIME-Version:\n"
               f"        Date:Message-ID:Subject:To:From; bh={m.token(43)}=; b={folded(m.token(172)).replace(chr(9), '        ')}=")
    out.append(f"X-Spam-Score: {m.random.randint(-60, 30) / 10} (--)")
    return out


def common_b(m):
    name, address = m.person()
    other, to = m.person()
    return address, [f'Message-ID: <{m.token(18)}.{m.random.randint(1, 9999)}@{m.pick(m.hosts)}>', f"Date: {date(m)}",
                     f'Subject: {m.pick(["AW: ", "", "Fwd: "])}{m.pick(m.stock)[:50].strip()}', f'From: "{name}" <{address}>',
                     f'To: "{other}" <{to}>', "Mime-Version: 1.0"]


def personal_b(m):
    sender, lines = common_b(m)
    body = "\n\n".join(wrap(p, 65) for p in m.text(m.random.randint(150, 3500)))
    head = trace_b(m, sender, m.random.randint(1, 3)) + lines + ["X-Mailer: Pocket Mail 7.2", "Content-Type: text/plain; charset=us-ascii",
                                                                "Content-Disposition: inline"]
    return "\n".join(head) + f"\n\nDear {m.pick(m.names)},\n\n{body}\n\nMany thanks\n{m.pick(m.names).split()[0]}\n"


def thread_b(m):
    """HTML with everything said before below it."""
    sender, lines = common_b(m)
    mark = "_000_" + m.hex(32) + "_"
    history = m.text(m.random.randint(1500, 7000))
    page = ('<html>\n<head>\n<style type="text/css" style="display:none;"> P {margin-top:0;margin-bottom:0;} </style>\n</head>\n<body dir="ltr">\n' +
            "".join(f'<div class="elementToProof" style="font-family: Aptos, Calibri, sans-serif; font-size: 12pt; color: rgb(0, 0, 0);">{p}</div>\n<div><br></div>\n' for p in history) +
            f'<hr style="display:inline-block;width:98%" tabindex="-1">\n<div id="divRplyFwdMsg"><b>Von:</b> {m.pick(m.names)}<br><b>Gesendet:</b> {date(m)}<br></div>\n</body>\n</html>\n')
    head = trace_b(m, sender, m.random.randint(2, 5)) + [f"Thread-Index: {m.token(30)}", f"Thread-Topic: {m.pick(m.stock)[:40]}", "Accept-Language: de-DE, en-US",
                                                         f"x-ms-exchange-messagesentrepresentingtype: 1", f"x-correlation: {m.hex(8)}-{m.hex(4)}-{m.hex(12)}"] + lines + [
        f'Content-Type: multipart/alternative;\n        boundary="{mark}"']
    return "\n".join(head) + (f'\n\n--{mark}\nContent-Type: text/plain; charset="iso-8859-1"\n\n' + "\n\n".join(history) +
                              f'\n\n--{mark}\nContent-Type: text/html; charset="iso-8859-1"\nContent-Transfer-Encoding: quoted-printable\n\n{quoted_printable(page)}\n--{mark}--\n')


def offers_b(m):
    sender, lines = common_b(m)
    link = f"https://e.{m.pick(m.hosts)}/c/{m.token(40)}"
    cards = "".join(f'<div class="card" style="background:#fff;border-radius:6px;margin:0 auto 16px;max-width:600px"><img src="https://img.{m.pick(m.hosts)}/{m.hex(24)}.png" '
                    f'width=600 alt=""><h2 style="font:700 18px/24px Verdana,Geneva,sans-serif;margin:12px 0">{m.pick(m.stock)[:40]}</h2><p style="font:400 15px/22px Verdana,'
                    f'Geneva,sans-serif">{p}</p><a class="button" href="{link}-{i}" style="background:#d33;color:#fff;padding:9px 18px">Jetzt ansehen</a></div>\n'
                    for i, p in enumerate(m.text(m.random.randint(1000, 16000))))
    head = trace_b(m, sender, 2) + lines + [f"List-Unsubscribe: <{link}>", "Feedback-ID: " + m.token(20), f"X-Job: {m.hex(12)}",
                                            'Content-Type: text/html; charset="utf-8"', "Content-Transfer-Encoding: 8bit"]
    return "\n".join(head) + ('\n\n<!doctype html><html lang="de"><head><meta charset="utf-8"><style>body{margin:0;background:#eee}@media(max-width:480px)'
                              f'{{.card{{width:100%!important}}}}</style></head><body>\n{cards}<p><small>Abmelden: <a href="{link}">hier</a></small></p></body></html>\n')


def alarm_b(m):
    sender, lines = common_b(m)
    head = trace_b(m, sender, 1) + lines + [f"X-Monitor: {m.hex(8)}", "Content-Type: text/plain"]
    rows = "\n".join(f"{m.hex(6)}  {m.pick(['OK', 'WARNING', 'CRITICAL'])}  load {m.random.randint(0, 900) / 100}" for _ in range(m.random.randint(3, 20)))
    return "\n".join(head) + f"\n\nHost state changed at {date(m)}\n\n{rows}\n\n{m.pick(m.stock)}\n"


def invitation_b(m):
    sender, lines = common_b(m)
    mark = m.hex(28)
    stamp = f"2026{m.random.randint(10, 12)}{m.random.randint(10, 28)}T{m.random.randint(10, 18)}0000"
    event = (f"BEGIN:VCALENDAR\nPRODID:-//Test//Planner 2//DE\nVERSION:2.0\nMETHOD:REQUEST\nBEGIN:VEVENT\nUID:{m.hex(32)}\nDTSTAMP:{stamp}Z\nDTSTART;TZID=Europe/Vienna:{stamp}\n"
             f"SUMMARY:{m.pick(m.stock)[:50]}\nORGANIZER;CN={m.pick(m.names)}:mailto:{sender}\nATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:{m.person()[1]}\n"
             f"STATUS:CONFIRMED\nSEQUENCE:0\nBEGIN:VALARM\nACTION:DISPLAY\nTRIGGER:-PT15M\nEND:VALARM\nEND:VEVENT\nEND:VCALENDAR\n")
    head = trace_b(m, sender, 2) + lines + [f"Content-Type: multipart/alternative; boundary={mark}"]
    return "\n".join(head) + (f"\n\n--{mark}\nContent-Type: text/plain; charset=utf-8\n\n{wrap(' '.join(m.text(300)))}\n--{mark}\n"
                              f"Content-Type: text/calendar; method=REQUEST; charset=utf-8\n\n{event}\n--{mark}--\n")


def pictures_b(m):
    sender, lines = common_b(m)
    mark = "Apple-Mail=_" + m.hex(8).upper()
    head = trace_b(m, sender, 2) + lines + [f'Content-Type: multipart/mixed;\n        boundary="{mark}"']
    body = "\n\n".join(m.text(400))
    return "\n".join(head) + (f"\n\n--{mark}\nContent-Type: text/plain\n\n{body}\n\n--{mark}\nContent-Disposition: inline; filename=IMG_{m.random.randint(1, 9999)}.jpeg\n"
                              f"Content-Type: image/jpeg\nContent-Transfer-Encoding: base64\n\n{m.base64_lines(m.random.randint(8, 150) * 1024)}\n--{mark}--\n")


KINDS = {  # with their share of a hundred
    "a": ((personal_a, 25), (reply_a, 25), (newsletter_a, 22), (notification_a, 20), (attachment_a, 8)),
    "b": ((personal_b, 22), (thread_b, 25), (offers_b, 20), (alarm_b, 15), (invitation_b, 10), (pictures_b, 8)),
}


def main():
    style, seed, count, directory = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    mail = Mail(style, seed)
    os.makedirs(directory, exist_ok=True)
    kinds, shares = zip(*KINDS[style])
    for number in range(count):
        text = mail.random.choices(kinds, shares)[0](mail)
        with open(os.path.join(directory, f"{number:06}"), "wb") as file:
            file.write(text.replace("\n", "\r\n").encode())


if __name__ == "__main__":
    main()
