# SPDX-License-Identifier: ISC
"""Guarantees 1 and 2: processes are killed at random moments under load; afterwards everything that
was acknowledged is there exactly once and intact.

PABAL_CRASH_ROUNDS sets the number of kills (default 40; 200 for the long form), PABAL_SEED the seed.
"""

import contextlib
import hashlib
import imaplib
import os
import random
import signal
import smtplib
import threading
import time
import unittest

from suite import CommandFailed, Suite, compose, wait_until

SENDERS = 20
ACCOUNTS = 5
ROUNDS = int(os.environ.get("PABAL_CRASH_ROUNDS", "40"))
SEED = int(os.environ.get("PABAL_SEED", str(random.randrange(1 << 32))))
VICTIMS = ["smtpd", "queued", "deliverd", "mailboxd", "authd", "imapd", "pop3d", "relayd", "all"]
# Retries must follow quickly, or the test would wait for minutes.
EXTRA = 'retry-first = "200ms"\nretry-last = "1s"\nconnections-per-address = "1000"\n'


class Sender(threading.Thread):
    """Sends numbered messages until told to stop; remembers those that got a 250."""

    def __init__(self, suite, number, stop):
        super().__init__(daemon=True)
        self.suite, self.number, self.stop_event = suite, number, stop
        self.acknowledged = {}
        self.unsure = set()
        self.tries = 0
        self.strange = []

    def run(self):
        while not self.stop_event.is_set():
            with contextlib.suppress(OSError, smtplib.SMTPException):
                self.session()

    def session(self):
        with self.suite.smtp() as client:
            while not self.stop_event.is_set():
                self.send(client)

    def send(self, client):
        self.tries += 1
        label = f"{self.number}-{self.tries}"
        account = f"user{random.randrange(ACCOUNTS) + 1}@example.org"
        body = "\r\n".join([hashlib.sha256(label.encode()).hexdigest()] * (1 + self.tries % 200))
        message = compose("load@example.net", account, f"load {label}", body)
        self.unsure.add((account, label))
        refused = True
        try:
            client.sendmail("load@example.net", [account], message)
            refused = False
        except smtplib.SMTPResponseException as answer:
            if not 400 <= answer.smtp_code < 500:
                self.strange.append(str(answer))
        except smtplib.SMTPRecipientsRefused as answer:
            for code, text in answer.recipients.values():
                if not 400 <= code < 500:
                    self.strange.append(f"{code} {text}")
        if not refused:
            self.acknowledged[(account, label)] = body


class FlagSetter(threading.Thread):
    """Sets a keyword on messages by IMAP; remembers which were acknowledged."""

    def __init__(self, suite, account, stop):
        super().__init__(daemon=True)
        self.suite, self.account, self.stop_event = suite, account, stop
        self.flagged = set()

    def run(self):
        while not self.stop_event.is_set():
            with contextlib.suppress(OSError, imaplib.IMAP4.error, AssertionError):
                client = self.suite.imap(self.account, "INBOX")
                while not self.stop_event.is_set():
                    self.flag_one(client)

    def flag_one(self, client):
        client.noop()
        uids = client.uid("SEARCH", "UNKEYWORD", "crash")[1][0].split()
        if not uids:
            return
        uid = random.choice(uids)
        if client.uid("STORE", uid, "+FLAGS.SILENT", "(crash)")[0] == "OK":
            self.flagged.add(uid.decode())


class Crash(unittest.TestCase):
    def kill(self, suite, victim):
        try:
            if victim == "all":
                for pid in suite.pids():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            else:
                suite.kill_workers(victim)
        except CommandFailed:
            pass  # the control path itself may be down for a moment

    def whole(self, suite, account):
        client = suite.imap(account, "INBOX")
        status, data = client.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[])")
        assert status == "OK"
        found, flags = {}, {}
        for item in data:
            if not isinstance(item, tuple):
                continue
            head, octets = item
            uid = head.split(b"UID ")[1].split()[0].decode()
            text = octets.decode()
            label = text.split("Subject: load ")[1].split()[0]
            found.setdefault(label, []).append(text.split("\r\n\r\n", 1)[1].strip())
            flags[uid] = b"crash" in head
        for item in data:  # FLAGS may stand behind the literal
            if isinstance(item, bytes) and b"UID " in item:
                flags[item.split(b"UID ")[1].split()[0].strip(b")").decode()] = b"crash" in item
        client.logout()
        return found, flags

    def test_acknowledged_mail_survives_kill_9_of_anything(self):
        print(f"seed {SEED}, {ROUNDS} rounds")
        dice = random.Random(SEED)
        stop = threading.Event()
        with Suite(accounts=ACCOUNTS, config=EXTRA) as suite:
            senders = [Sender(suite, n, stop) for n in range(SENDERS)]
            flagger = FlagSetter(suite, "user1@example.org", stop)
            for thread in [*senders, flagger]:
                thread.start()
            for round_number in range(ROUNDS):
                time.sleep(dice.uniform(0.02, 0.4))
                self.kill(suite, VICTIMS[dice.randrange(len(VICTIMS))])
                wait_until(lambda: self.all_run(suite), "all processes run again")
            stop.set()
            for thread in [*senders, flagger]:
                thread.join(120)
                self.assertFalse(thread.is_alive())
            self.verify(suite, senders, flagger)

    def all_run(self, suite):
        try:
            return all(p["state"] == "running" for p in suite.status()["processes"])
        except CommandFailed:
            return False

    def verify(self, suite, senders, flagger):
        acknowledged = {}
        for sender in senders:
            acknowledged.update(sender.acknowledged)
            self.assertEqual(sender.strange, [])
        self.assertGreater(len(acknowledged), ROUNDS, "the load was no load")
        wait_until(lambda: not suite.ctl("queue", "list")["messages"], "an empty queue", 120)
        lost, doubled, damaged, total = [], [], [], 0
        for number in range(1, ACCOUNTS + 1):
            account = f"user{number}@example.org"
            found, flags = self.whole(suite, account)
            total += len(found)
            doubled += [label for label, bodies in found.items() if len(bodies) != 1]
            for (to, label), body in acknowledged.items():
                if to != account:
                    continue
                if label not in found:
                    lost.append(label)
                elif found[label][0] != body:
                    damaged.append(label)
            if account == flagger.account:
                self.assertEqual([u for u in flagger.flagged if not flags.get(u)], [],
                                 "acknowledged flags are lost")
        print(f"{len(acknowledged)} acknowledged, {total} stored, {len(flagger.flagged)} flagged")
        self.assertEqual(lost, [])
        self.assertEqual(doubled, [])
        self.assertEqual(damaged, [])
        report = suite.ctl("store", "verify")
        self.assertEqual(report["findings"], 0, report)


if __name__ == "__main__":
    unittest.main()
