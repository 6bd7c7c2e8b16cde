# SPDX-License-Identifier: ISC
"""What patient strangers, reloads and dying processes must not be able to do to smtpd and authd."""

import os
import re
import signal
import unittest

from suite import Suite, wait_until


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


if __name__ == "__main__":
    unittest.main()
