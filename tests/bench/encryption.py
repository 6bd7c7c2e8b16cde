#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The price of encryption at rest: a sealed and a plain account side by side, in turn.

    PABAL_BUILD=build python3 tests/bench/encryption.py [--messages 4000] [--rounds 9]

Prints the processor time that the processes of the suite spent (the kernel's count, so that the
client and other work of the machine do not matter) and the time that the client waited, medians of
the rounds, and sealed / plain.  "sealed" came in one go, by one chain of keys (pabal-store(5)); with "ten
a chain" there is another chain every ten messages, as for an account that gets ten a day; "one a chain" is
the worst case.  Nothing is asserted.
"""

import argparse
import os
import random
import socket
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from suite import Suite  # noqa: E402

WORDS = ("mail server relay account message delivery queue store index segment header body "
         "structure reader writer commit sync client session answer request flag mailbox").split()


def text_of(rng, size):
    """A message that compresses like prose, with a little noise in it."""
    lines, length = [], 0
    while length < size:
        line = " ".join(rng.choice(WORDS) for _ in range(9)) + " %08x" % rng.getrandbits(32)
        lines.append(line)
        length += len(line) + 2
    return ("From: Sender Name <s%d@example.net>\r\nTo: Some One <one@example.org>\r\n"
            "Subject: message %d about %s\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n"
            "Message-ID: <%d@example.net>\r\n\r\n%s\r\n" % (
                rng.randrange(1000), rng.randrange(10**9), rng.choice(WORDS),
                rng.getrandbits(60), "\r\n".join(lines))).encode()


class Wire:
    """A connection that writes lines and reads until a line that begins with a tag."""

    def __init__(self, place):
        self.socket = socket.create_connection(place)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""

    def until(self, start):
        """Everything up to the end of the line that begins so; counts bytes only."""
        mark, total, tail = b"\r\n" + start, 0, b"\r\n"
        while True:
            at = tail.find(mark)
            if at >= 0 and tail.find(b"\r\n", at + 2) >= 0:
                line = tail[at + 2:tail.index(b"\r\n", at + 2)]
                if not any(word in line for word in (b"OK", b"250", b"354", b"220")):
                    raise RuntimeError(line)
                return total
            got = self.socket.recv(1 << 20)
            if not got:
                raise RuntimeError("closed")
            total += len(got)
            tail = tail[-4096:] + got

    def ask(self, line, start=b"a "):
        self.socket.sendall(line.encode() + b"\r\n")
        return self.until(start)


class Bench:
    def __init__(self, suite, options):
        self.suite, self.options = suite, options
        self.rng = random.Random(1)
        self.password = "a password"
        for name in ("plain", "sealed", "ten", "one"):
            suite.ctl("account", "add", name + "@example.org", given=self.password + "\n")
        for name in ("sealed", "ten", "one"):
            suite.ctl("account", "encrypt", name + "@example.org", given=self.password + "\n")

    def cpu(self, names):
        """Seconds that these processes have run, by the scheduler's own count."""
        total = 0
        for name in names:
            for pid in self.suite.pids(name):
                with open("/proc/%d/schedstat" % pid) as file:
                    total += int(file.read().split()[0])
        return total / 1e9

    def measure(self, names, work):
        cpu, start = self.cpu(names), time.monotonic()
        work()
        wall = time.monotonic() - start
        return self.cpu(names) - cpu, wall

    def deliver(self, name, messages):
        wire = Wire(self.suite.place("smtp"))
        wire.until(b"220 ")
        wire.ask("EHLO client.example.net", b"250 ")
        for message in messages:
            wire.ask("MAIL FROM:<s@example.net>", b"250 ")
            wire.ask("RCPT TO:<%s@example.org>" % name, b"250 ")
            wire.ask("DATA", b"354 ")
            wire.socket.sendall(message + b".\r\n")
            wire.until(b"250 ")
        wire.socket.close()

    def login(self, name):
        wire = Wire(self.suite.place("imap"))
        wire.until(b"* OK")
        wire.ask('a LOGIN %s@example.org "%s"' % (name, self.password))
        return wire

    def append(self, name, messages, at_once):
        """Sessions of so many messages: each session has a chain of its own."""
        for first in range(0, len(messages), at_once):
            wire = self.login(name)
            for message in messages[first:first + at_once]:
                wire.socket.sendall(b"a APPEND INBOX {%d+}\r\n%s\r\n" % (len(message), message))
                wire.until(b"a ")
            wire.socket.close()

    def command(self, name, line):
        wire = self.login(name)
        wire.ask("a SELECT INBOX")
        wire.ask(line)  # warms up
        result = self.measure(["imapd"], lambda: wire.ask(line))
        wire.socket.close()
        return result


def show(title, results, count):
    plain = results["plain"]
    for name, rounds in results.items():
        cpu, wall = (statistics.median(r[i] for r in rounds) for i in (0, 1))
        base = [statistics.median(r[i] for r in plain) for i in (0, 1)]
        print("%-34s %-14s %9.1f us %9.1f us   %5.2f  %5.2f" % (
            title, {"ten": "ten a chain", "one": "one a chain"}.get(name, name), cpu / count * 1e6, wall / count * 1e6,
            cpu / base[0], wall / base[1]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with Suite(config="workers = 1\nplaintext-login = yes") as suite:
        bench = Bench(suite, options)
        print("%-34s %-14s %12s %12s   %s" % (
            "per message", "account", "CPU", "waited", "sealed/plain: CPU, waited"))
        batch = 200
        rounds = max(1, options.messages // batch)
        for size, least in ((10 * 1024, rounds), (1024 * 1024, 0)):
            count = batch if size < 100000 else 10
            times = {"plain": [], "sealed": []}
            for _ in range(least or options.rounds):
                messages = [text_of(bench.rng, size) for _ in range(count)]
                for name in times:
                    times[name].append(bench.measure(
                        ["deliverd", "mailboxd"], lambda n=name: bench.deliver(n, messages)))
            show("delivery of %d KiB" % (size // 1024), times, count)
            if size < 100000:
                for name, at_once in (("ten", 10), ("one", 1)):
                    bench.append(name, [text_of(bench.rng, size) for _ in range(rounds * batch)],
                                 at_once)
                commands(bench, rounds * batch, options.rounds)
        large = options.rounds * 10
        times = {"plain": [], "sealed": []}
        for _ in range(options.rounds):
            for name in times:
                first = rounds * batch + 1
                times[name].append(bench.command(
                    name, "a FETCH %d:%d (BODY.PEEK[])" % (first, first + large - 1)))
        show("FETCH BODY[], 1 MiB", times, large)


def commands(bench, count, rounds):
    which = "1:%d" % count
    for title, line in (("FETCH ENVELOPE of %d" % count, "a FETCH %s (ENVELOPE)" % which),
                        ("FETCH BODY[], 10 KiB, of %d" % count, "a FETCH %s (BODY.PEEK[])" % which),
                        ("SEARCH BODY of %d" % count, "a SEARCH %s BODY nowhere" % which)):
        times = {"plain": [], "sealed": [], "ten": [], "one": []}
        for _ in range(rounds):
            for name in times:
                times[name].append(bench.command(name, line))
        show(title, times, count)


if __name__ == "__main__":
    main()
