# SPDX-License-Identifier: ISC
"""imapd as imaplib, Thunderbird's commands and several sessions at once meet it."""

import contextlib
import imaplib
import re
import time
import unittest

from suite import Suite, compose, wait_until


class Wire:
    """A raw IMAP session: what goes over the wire, to the octet."""

    def __init__(self, suite, address=None, service="imaps"):
        self.socket = suite.connect(service)
        self.reader = self.socket.makefile("rb")
        self.greeting = self.reader.readline().decode()
        self.count = 0
        if address:
            self.command(f'login {address} "{suite.account(address)[1]}"')

    def line(self):
        line = self.reader.readline()
        assert line.endswith(b"\r\n"), f"connection closed after {line!r}"
        while match := re.search(rb"\{(\d+)\}\r\n$", line):
            line += self.reader.read(int(match[1])) + self.reader.readline()
        return line[:-2].decode("utf-8", "surrogateescape")

    def put(self, text):
        self.socket.sendall(text.encode("utf-8", "surrogateescape"))

    def until(self, prefix):
        lines = []
        while not (lines and lines[-1].startswith(prefix)):
            lines.append(self.line())
        return lines

    def command(self, text, want="OK"):
        """Sends a command; returns untagged lines and the tagged one at the end."""
        self.count += 1
        tag = f"t{self.count}"
        self.put(f"{tag} {text}\r\n")
        lines = self.until(tag + " ")
        assert lines[-1].startswith(f"{tag} {want}"), lines[-1]
        return lines

    def close(self):
        self.reader.close()
        self.socket.close()


class Silence(unittest.TestCase):
    def test_half_a_command_is_not_waited_for_as_long_as_a_command(self):
        with Suite(config='imap-timeout = "12s"\n') as suite:
            idle, half, message = [Wire(suite, suite.alice) for _ in range(3)]
            idle.put("i IDLE\r\n")
            idle.until("+ ")
            half.put("a SELECT INB")
            message.put("a APPEND INBOX {1000}\r\n")
            message.until("+ ")
            message.put("x" * 999)
            start = time.monotonic()
            self.assertTrue(message.line().startswith("* BYE "))
            self.assertTrue(half.line().startswith("* BYE "))
            self.assertLess(time.monotonic() - start, 5)
            idle.put("DONE\r\n")
            self.assertTrue(idle.line().startswith("i OK "))
            for wire in (idle, half, message):
                wire.close()


class Imap(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.suite = Suite(accounts=9, config='message-size = "1M"\n')
        cls.suite.__enter__()
        cls.next_user = 0

    @classmethod
    def tearDownClass(cls):
        cls.suite.__exit__(None, None, None)

    def setUp(self):
        """Each test has an account of its own, as long as there are some."""
        cls = type(self)
        cls.next_user = cls.next_user % 9 + 1
        self.user = f"user{cls.next_user}@example.org"
        self.open = contextlib.ExitStack()
        self.addCleanup(self.open.close)
        cleaner = self.suite.imap(self.user, "INBOX")
        cleaner.store("1:*", "+FLAGS.SILENT", r"(\Deleted)")
        cleaner.close()
        cleaner.logout()

    def wire(self, select=None, address=None):
        wire = Wire(self.suite, address or self.user)
        self.open.callback(wire.close)
        if select:
            wire.command(f'select "{select}"')
        return wire

    def append(self, wire, mailbox="INBOX", octets=None, flags="()"):
        octets = octets or compose("a@x.org", self.user)
        text = octets.decode("utf-8", "surrogateescape")
        return wire.command(f'append "{mailbox}" {flags} {{{len(octets)}+}}\r\n{text}')

    def test_default_mailboxes_with_their_uses(self):
        lines = self.wire().command('list (subscribed) "" "*" return (special-use)')
        text = "\n".join(lines)
        for use in ("Drafts", "Sent", "Junk", "Trash", "Archive"):
            self.assertRegex(text, rf'\\{use}\b.*"/" "?{use}"?')
        self.assertRegex(text, r'"/" "?INBOX"?')

    def test_capabilities_before_and_after_login(self):
        plain = Wire(self.suite, service="imap")
        self.open.callback(plain.close)
        self.assertIn("STARTTLS", plain.greeting)
        self.assertIn("LOGINDISABLED", plain.greeting)
        self.assertNotIn("AUTH=PLAIN", plain.greeting)
        plain.command(f"login {self.user} x", want="NO")
        text = self.wire().command("capability")[0]
        for name in ("IMAP4rev1", "IDLE", "NAMESPACE", "ID", "UNSELECT", "CHILDREN", "UIDPLUS", "MOVE",
                     "LITERAL+", "ENABLE", "SPECIAL-USE", "LIST-STATUS", "ESEARCH"):
            self.assertIn(f" {name}", text)

    def test_appended_octets_come_back(self):
        wire = self.wire("INBOX")
        octets = compose("a@x.org", self.user, "파발", "한글 본문\r\n" * 100)
        tagged = self.append(wire, octets=octets, flags=r"(\Seen $label1)")[-1]
        validity, uid = re.search(r"\[APPENDUID (\d+) (\d+)\]", tagged).groups()
        lines = [line for line in wire.command(f"uid fetch {uid} (FLAGS RFC822.SIZE BODY.PEEK[])")
                 if " FETCH " in line]
        self.assertIn(f"RFC822.SIZE {len(octets)}", lines[0])
        self.assertIn(octets.decode(), lines[0])
        self.assertIn(r"\Seen", lines[0])
        self.assertIn("$label1", lines[0])
        status = wire.command('status "INBOX" (uidvalidity uidnext)')[0]
        self.assertIn(f"UIDVALIDITY {validity}", status)
        self.assertIn(f"UIDNEXT {int(uid) + 1}", status)

    def test_thunderbird_opens_a_folder(self):
        with self.suite.smtp() as client:
            for n in range(3):
                client.sendmail("a@x.org", [self.user], compose("a@x.org", self.user, f"n{n}"))
        wire = self.wire()
        wire.command('ID ("name" "Thunderbird" "version" "153.0")')
        wire.command("namespace")
        lines = wire.command('select "INBOX"')
        self.assertIn("* 3 EXISTS", lines)
        self.assertTrue(any(r"\*" in line and "PERMANENTFLAGS" in line for line in lines))
        uids = [int(re.search(r"UID (\d+)", line)[1])
                for line in wire.command("UID fetch 1:* (FLAGS)")[:-1]]
        self.assertEqual(len(uids), 3)
        fields = ("From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups "
                  "In-Reply-To Content-Type Reply-To Received")
        lines = wire.command(f"UID fetch {uids[0]}:{uids[2]} (UID RFC822.SIZE FLAGS "
                             f"BODY.PEEK[HEADER.FIELDS ({fields})])")
        self.assertEqual(len(lines), 4)
        self.assertIn("Subject: n2", lines[2])
        lines = wire.command(f"UID fetch {uids[0]} (UID RFC822.SIZE BODY.PEEK[])")
        size = int(re.search(r"RFC822.SIZE (\d+)", lines[0])[1])
        literal = int(re.search(r"\{(\d+)\}", lines[0])[1])
        self.assertEqual(size, literal)
        wire.command(f"UID fetch {uids[0]} (UID BODY.PEEK[TEXT]<0.2048>)")
        wire.command(f"UID fetch {uids[2] + 1}:* (FLAGS)")
        lines = wire.command(f'uid move {uids[0] - 1 or 1}:{uids[1]} "Trash"')
        self.assertTrue(any("COPYUID" in line for line in lines))
        self.assertEqual(sum("EXPUNGE" in line for line in lines), 2)
        wire.command('uid SEARCH UNDELETED SUBJECT "n2"')
        wire.command("close")

    def test_new_mail_wakes_an_idling_session(self):
        wire = self.wire("INBOX")
        wire.put("i IDLE\r\n")
        self.assertTrue(wire.line().startswith("+ "))
        start = time.monotonic()
        with self.suite.smtp() as client:
            client.sendmail("a@x.org", [self.user], compose("a@x.org", self.user))
        wire.until("* 1 EXISTS")
        print(f"told after {1000 * (time.monotonic() - start):.0f} ms, SMTP dialogue included")
        wire.put("DONE\r\n")
        wire.until("i OK")

    def test_flags_and_expunges_of_others_are_told_at_the_right_time(self):
        one, two = self.wire("INBOX"), self.wire("INBOX")
        for _ in range(4):
            self.append(one)
        two.command("noop")
        one.command(r"store 2 +flags (\Flagged)")
        lines = two.command("noop")
        self.assertTrue(any(re.match(r"\* 2 FETCH .*\\Flagged", line) for line in lines), lines)
        one.command(r"store 1,3 +flags.silent (\Deleted)")
        one.command("expunge")
        # RFC 3501 7.4.1: no EXPUNGE while FETCH, STORE or SEARCH run.
        for text in ("fetch 4 (uid)", r"store 4 +flags (\Seen)", "search all"):
            lines = two.command(text)
            self.assertFalse(any("EXPUNGE" in line for line in lines), lines)
        lines = two.command("noop")
        left = [1, 2, 3, 4]  # what sequence numbers mean shifts with each EXPUNGE
        for line in lines:
            if "EXPUNGE" in line:
                left.pop(int(line.split()[1]) - 1)
        self.assertEqual(left, [2, 4])
        self.assertEqual(len(two.command("fetch 1:* (uid)")) - 1, 2)

    def test_copy_reports_exactly_what_was_assigned(self):
        wire = self.wire("INBOX")
        for n in range(3):
            self.append(wire, octets=compose("a@x.org", self.user, f"copy {n}"))
        uids = [re.search(r"UID (\d+)", line)[1] for line in wire.command("fetch 1:* (uid)")[:-1]]
        tagged = wire.command('copy 1:3 "Archive"')[-1]
        source, target = re.search(r"\[COPYUID \d+ (\S+) (\S+)\]", tagged).groups()
        self.assertEqual(source, f"{uids[0]}:{uids[2]}")
        first, last = target.split(":")
        other = self.wire("Archive")
        lines = other.command(f"uid fetch {first}:{last} (body.peek[header.fields (subject)])")
        self.assertEqual([re.search(r"copy \d", line)[0] for line in lines[:-1]],
                         ["copy 0", "copy 1", "copy 2"])

    def test_missing_mailboxes_and_creation(self):
        wire = self.wire("INBOX")
        self.append(wire)
        tagged = wire.command('copy 1 "No such"', want="NO")[-1]
        self.assertIn("[TRYCREATE]", tagged)
        wire.command('create "Deep/er/est"')
        wire.command('create "Deep/er"', want="NO")
        lines = wire.command('list "" "Deep/*"')
        self.assertEqual(len(lines), 3)
        wire.command('rename "Deep" "Flat"')
        self.assertEqual(len(wire.command('list "" "Flat*"')) - 1, 3)
        wire.command('create "&xUi8Fw-"')
        self.assertIn("&xUi8Fw-", wire.command('list "" "&xUi8Fw-"')[0])
        wire.command('create "&bogus"', want="NO")
        for name in ("Flat/er/est", "Flat/er", "Flat", "&xUi8Fw-"):
            wire.command(f'delete "{name}"')

    def test_search_decodes_what_people_see(self):
        wire = self.wire("INBOX")
        self.append(wire, octets=compose("a@x.org", self.user, "Überraschung", "naïve façade\r\n"))
        self.append(wire, octets=compose("a@x.org", self.user, "plain", "nothing\r\n"))
        wire.put("s SEARCH CHARSET UTF-8 SUBJECT {%d}\r\n" % len("überraschung".encode()))
        self.assertTrue(wire.line().startswith("+"))
        wire.put("überraschung\r\n")
        self.assertIn("* SEARCH 1", wire.until("s OK"))
        self.assertIn("* SEARCH 1", wire.command('search charset utf-8 body "FAÇADE"'))
        self.assertIn("* SEARCH 2", wire.command('search not subject "berra"'))
        self.assertRegex(wire.command('search return (count max) all')[0],
                         r'^\* ESEARCH \(TAG "t\d+"\).* COUNT 2')
        self.assertIn("[BADCHARSET", wire.command('search charset x-nothing text "a"', want="NO")[-1])

    def test_a_message_that_is_too_big_is_refused_and_the_session_goes_on(self):
        wire = self.wire("INBOX")
        wire.count += 1
        tag = f"t{wire.count}"
        wire.put(f"{tag} append INBOX {{2000000+}}\r\n")
        wire.put("x" * 2_000_000 + "\r\n")
        self.assertTrue(wire.until(tag)[-1].startswith(f"{tag} NO"))
        wire.command("noop")
        wire.command("append INBOX {2000000}", want="NO")
        wire.command("noop")

    def test_garbage_gets_bad_and_a_polite_end(self):
        wire = self.wire()
        self.assertTrue(wire.command("bogus", want="BAD"))
        wire.put("lonely\r\n")
        self.assertRegex(wire.line(), r"^(\*|lonely) BAD ")
        wire.put("x" * 200_000 + "\r\n")
        with contextlib.suppress(AssertionError, OSError):
            self.assertRegex(wire.line(), r"^\* (BAD|BYE) ")
        self.wire().command("noop")

    def test_commands_in_flight_without_reading(self):
        wire = self.wire("INBOX")
        for _ in range(20):
            self.append(wire, octets=compose("a@x.org", self.user, "flight", "y" * 60 + "\r\n" * 400))
        commands = 2000
        wire.put("".join(f"f{n} uid fetch 1:* (UID FLAGS BODY.PEEK[HEADER])\r\n"
                         for n in range(commands)))
        for n in range(commands):
            wire.until(f"f{n} OK")

    def test_authenticate_forms(self):
        import base64
        login = base64.b64encode(f"\0{self.user}\0{self.suite.account(self.user)[1]}".encode()).decode()
        wire = Wire(self.suite)
        self.open.callback(wire.close)
        wire.put("a authenticate PLAIN\r\n")
        self.assertTrue(wire.line().startswith("+"))
        wire.put("*\r\n")
        self.assertTrue(wire.line().startswith("a BAD"))
        wire.put("b authenticate PLAIN AHgAeA==\r\n")
        self.assertRegex(wire.line(), r"^b NO \[AUTHENTICATIONFAILED\]")
        wire.put("c authenticate PLAIN\r\n")
        self.assertTrue(wire.line().startswith("+"))
        wire.put(login + "\r\n")
        self.assertTrue(wire.until("c ")[-1].startswith("c OK [CAPABILITY"))

    def test_imaplib_does_its_daily_work(self):
        client = self.suite.imap(self.user, "INBOX")
        status, _ = client.append("Drafts", r"(\Draft)", imaplib.Time2Internaldate(1_700_000_000),
                                  compose(self.user, "b@x.org"))
        self.assertEqual(status, "OK")
        client.select("Drafts")
        status, data = client.fetch("1", "(INTERNALDATE FLAGS ENVELOPE BODYSTRUCTURE)")
        self.assertEqual(status, "OK")
        text = data[0].decode()
        self.assertIn("2023", text)
        self.assertIn(r"\Draft", text)
        self.assertIn('"TEXT" "PLAIN"', text.upper())
        client.store("1", "+FLAGS", r"\Deleted")
        self.assertEqual(client.expunge()[1], [b"1"])
        client.close()
        client.logout()


if __name__ == "__main__":
    unittest.main()
