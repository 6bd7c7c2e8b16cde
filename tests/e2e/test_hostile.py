# SPDX-License-Identifier: ISC
"""What patient strangers, reloads and dying processes must not be able to do to smtpd and authd."""

import base64
import random
import re
import socket
import struct
import threading
import unittest

from suite import Suite, wait_until

SEED = random.randrange(1 << 32)
VISITORS, VISITS = 6, 20


class Talk:
    """One SMTP connection, line by line."""

    def __init__(self, suite, service="smtp"):
        self.socket = suite.connect(service)
        self.reader = self.socket.makefile("rb")
        self.greeting = self.reply()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.reader.close()
        self.socket.close()

    def reply(self):
        while True:
            line = self.reader.readline().decode()
            if line[3:4] != "-":
                return line.rstrip("\r\n")

    def say(self, line):
        self.socket.sendall(line.encode() + b"\r\n")
        return self.reply()


class Hostile(unittest.TestCase):
    def test_sessions_outlive_the_hostname_they_greeted_with(self):
        with Suite(accounts=1, config="workers = 1") as suite, Talk(suite) as old:
            name = suite.settings["hostname"]
            config = suite.settings["config"]
            with open(config) as text:
                lines = text.read()
            changed = re.sub(r'(?m)^hostname = .*$', 'hostname = "renamed.example.org"', lines)
            self.assertNotEqual(changed, lines)
            with open(config, "w") as out:
                out.write(changed)
            suite.ctl("reload")

            def greets_anew():
                with Talk(suite) as new:
                    return "renamed.example.org" in new.greeting
            wait_until(greets_anew, "the new name")
            self.assertEqual(old.say("QUIT"), "221 2.0.0 %s closing connection" % name)

    def test_no_session_outlives_its_welcome_in_memory(self):
        """Sessions die at any point while authd and queued die and the config changes."""
        with Suite(accounts=1, config="workers = 2\nlogin-failures = 1000") as suite:
            visitors = [Visitor(suite, SEED + i) for i in range(VISITORS)]
            for visitor in visitors:
                visitor.start()
            for name in ("authd", "queued", "authd", "authd"):
                suite.kill_and_wait(name)
                with open(suite.settings["config"], "a") as config:
                    config.write("\n")
                suite.ctl("reload")
            for visitor in visitors:
                visitor.join()
            self.assertEqual([v.error for v in visitors if v.error], [], "seed %d" % SEED)
            suite.wait_running()
            restarts = {p["name"]: p["restarts"] for p in suite.status()["processes"]}
            self.assertEqual(restarts["smtpd"], 0, "seed %d" % SEED)

            def nothing_is_held():
                return all(worker["bytes_held"] == 0 and worker["sessions"] == 0
                           for worker in suite.ctl("status", "smtpd"))
            wait_until(nothing_is_held, "the end of all sessions")
            suite.deliver(suite.alice, "Subject: still here\n\n")
            suite.wait_for_messages(1, "alice")


class Visitor(threading.Thread):
    """Connects again and again, and leaves without a word at a random point."""

    def __init__(self, suite, seed):
        super().__init__()
        self.suite = suite
        self.random = random.Random(seed)
        self.error = None
        address, password = suite.account("alice")
        plain = base64.b64encode(b"\0%s\0%s" % (address.encode(), password.encode()))
        first = base64.b64encode(b"n,,n=%s,r=fyko" % address.encode())
        mail = b"MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\n" % (address.encode(), address.encode())
        self.words = [
            (b"EHLO x\r\n", mail, b"DATA\r\n", b"a: b\r\n" * 3000, b"\r\nc\r\n.\r\n", b"QUIT\r\n"),
            (b"EHLO x\r\n", mail, b"BDAT 100000\r\n", b"a: b\r\n" * 5000, b"BDAT 1 LAST\r\n"),
            (b"EHLO x\r\n", b"AUTH PLAIN %s\r\n" % plain, mail, b"BDAT 9 LAST\r\na: b\r\n\r\nc"),
            (b"EHLO x\r\n", b"AUTH SCRAM-SHA-256 %s\r\n" % first, b"Yz1iaXdz\r\n", mail),
            (b"EHLO x\r\n", b"AUTH LOGIN\r\n", b"eA==\r\n", b"eQ==\r\n", mail),
            (b"EHLO x\r\nSTARTTLS\r\n", b"\x16\x03\x01" + bytes(200), b"x" * 9000),
        ]

    def visit(self):
        service = self.random.choice(("smtp", "smtp", "submission", "submissions"))
        with self.suite.connect(service, timeout=2) as connection:
            # Reset instead of an end, so that nothing that waits is polite.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            for word in self.random.choice(self.words):
                connection.sendall(word)
                if self.random.random() < 0.7:
                    connection.recv(4096)
                if self.random.random() < 0.15:
                    return

    def run(self):
        for _ in range(VISITS):
            try:
                self.visit()
            except OSError:
                pass  # refused, reset, late or no TLS: that is what authd's death does
            except Exception as error:  # told by the test
                self.error = error
                return


if __name__ == "__main__":
    unittest.main()
