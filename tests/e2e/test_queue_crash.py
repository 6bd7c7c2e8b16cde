# SPDX-License-Identifier: ISC
"""Guarantee 1 for mail to other hosts: queued and relayd are killed at random moments; every
message that was acknowledged reaches the other host, whole, and twice only if a kill came between
its 250 and the commit of the result.

PABAL_CRASH_ROUNDS sets the number of kills (default 12), PABAL_SEED the seed.
"""

import contextlib
import hashlib
import os
import random
import signal
import smtplib
import threading
import time
import unittest

from sink import Sink
from suite import CommandFailed, Suite, compose, wait_until

SENDERS = 8
ROUNDS = int(os.environ.get("PABAL_CRASH_ROUNDS", "12"))
SEED = int(os.environ.get("PABAL_SEED", str(random.randrange(1 << 32))))
VICTIMS = ["queued", "queued", "queued", "relayd", "both", "all"]
EXTRA = 'retry-first = "200ms"\nretry-last = "1s"\nconnections-per-address = "1000"\n'
# A result is on disk so many seconds after the other host's 250, on a slow and busy disk too.
COMMIT_S = 5
# The sink, a busy thread, writes down late what it took while the kill came.
SINK_S = 0.5


def body_of(label):
    name = label.encode()
    return "\r\n".join([hashlib.sha256(name).hexdigest()] * (1 + sum(name) * 7 % 300))


class Arrivals(list):
    """The messages of a sink, with the time of each."""

    def __init__(self):
        super().__init__()
        self.times = []

    def append(self, message):
        self.times.append(time.monotonic())
        super().append(message)


class Sender(threading.Thread):
    """Submits numbered messages for one to four recipients; remembers those that got a 250."""

    def __init__(self, suite, number, stop):
        super().__init__(daemon=True)
        self.suite, self.number, self.stop_event = suite, number, stop
        self.dice = random.Random(SEED + number)
        self.acknowledged = {}
        self.tries = 0
        self.strange = []

    def run(self):
        while not self.stop_event.is_set():
            with contextlib.suppress(OSError, smtplib.SMTPException):
                with self.suite.submission("alice") as client:
                    while not self.stop_event.is_set():
                        self.send(client)

    def send(self, client):
        self.tries += 1
        label = f"{self.number}-{self.tries}"
        count = self.dice.randint(1, 4)
        recipients = [f"r{i}@{self.dice.choice('abc')}.test" for i in range(count)]
        body = body_of(label)
        try:
            client.sendmail(self.suite.alice, recipients,
                            compose(self.suite.alice, recipients[0], f"load {label}", body))
            self.acknowledged[label] = (recipients, body)
        except smtplib.SMTPResponseException as answer:
            if not 400 <= answer.smtp_code < 500:
                self.strange.append(str(answer))


class QueueCrash(unittest.TestCase):
    def kill(self, suite, victim):
        with contextlib.suppress(CommandFailed):
            if victim == "all":
                for pid in suite.pids():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            else:
                for name in ["queued", "relayd"] if victim == "both" else [victim]:
                    suite.kill_workers(name)

    def all_run(self, suite):
        try:
            return all(p["state"] == "running" for p in suite.status()["processes"])
        except CommandFailed:
            return False

    def is_empty(self, suite):
        try:
            return not suite.ctl("queue", "list")["messages"]
        except CommandFailed:
            return False  # the last kill is not yet over

    def test_acknowledged_mail_reaches_the_other_host(self):
        print(f"seed {SEED}, {ROUNDS} rounds")
        dice = random.Random(SEED)
        stop = threading.Event()
        sink = Sink()
        self.addCleanup(sink.close)
        sink.messages = Arrivals()
        # So that many kills come between the bytes and the 250, or just after it.
        sink.dot = lambda: (time.sleep(random.random() * 0.02), "250 2.0.0 taken")[1]
        config = 'route "*" { via = "127.0.0.1:%d" }\n%s' % (sink.port, EXTRA)
        kills = []
        with Suite(config=config) as suite:
            senders = [Sender(suite, n, stop) for n in range(SENDERS)]
            for thread in senders:
                thread.start()
            for _ in range(ROUNDS):
                time.sleep(dice.uniform(0.02, 0.5))
                began = time.monotonic()
                self.kill(suite, VICTIMS[dice.randrange(len(VICTIMS))])
                kills.append((began, time.monotonic()))
                wait_until(lambda: self.all_run(suite), "all processes run again")
            stop.set()
            for thread in senders:
                thread.join(120)
                self.assertFalse(thread.is_alive())
            wait_until(lambda: self.is_empty(suite), "an empty queue", 120)
            inbox = suite.imap("alice", "INBOX")
            self.assertEqual(inbox.search(None, "ALL")[1][0], b"", "there are notices")
        for sender in senders:
            self.assertEqual(sender.strange, [])
        self.verify(senders, sink.messages, kills)

    def verify(self, senders, arrivals, kills):
        seen = {}
        for at, (_, recipients, body) in zip(arrivals.times, arrivals):
            head, text = body.decode().split("\r\n\r\n", 1)
            label = head.split("Subject: load ")[1].split()[0]
            for line in recipients:
                address = line.split("<")[1].split(">")[0]
                seen.setdefault((label, address), []).append((at, text.strip()))
        wanted, lost, damaged = 0, [], []
        for sender in senders:
            for label, (recipients, body) in sender.acknowledged.items():
                for address in set(recipients):
                    wanted += 1
                    copies = seen.get((label, address), [])
                    if not copies:
                        lost.append((label, address))
                    damaged += [(label, address) for _, text in copies if text != body]
        doubled = {key: [at for at, _ in copies] for key, copies in seen.items() if len(copies) > 1}
        print(f"{wanted} acknowledged recipients, {len(seen)} arrived, {len(doubled)} twice")
        self.assertGreater(wanted, ROUNDS, "the load was no load")
        self.assertEqual(lost, [])
        self.assertEqual(damaged, [])
        for key, times in doubled.items():
            for first, second in zip(times, times[1:]):
                self.assertTrue(any(first <= ended + SINK_S and began - first < COMMIT_S
                                    and began <= second for began, ended in kills),
                                f"{key} twice, at {times}, without a kill: {kills}")


if __name__ == "__main__":
    unittest.main()
