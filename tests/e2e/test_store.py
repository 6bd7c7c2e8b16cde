# SPDX-License-Identifier: ISC
"""mailctl's care of the store: verify with limits, of one account, and given up."""

import base64
import os
import pty
import random
import signal
import subprocess
import time
import unittest

from suite import CommandFailed, Suite, wait_until

SEED = 7


def noise(size):
    """Text that packs badly, the same each time."""
    return base64.encodebytes(random.Random(SEED).randbytes(size)).decode()


class VerifyTest(unittest.TestCase):
    """A slice of mailboxd's is 64 bodies: these are more."""

    MESSAGES = 80
    SIZE = 3000

    @classmethod
    def setUpClass(cls):
        cls.suite = Suite()
        cls.suite.__enter__()
        cls.addClassCleanup(cls.suite.__exit__, None, None, None)
        with cls.suite.smtp() as client:
            for i in range(cls.MESSAGES):
                text = "Subject: %d\n\n%s" % (i, noise(cls.SIZE))
                client.sendmail("a@example.net", [cls.suite.alice], text)
        cls.suite.deliver(cls.suite.bob, "Subject: x\n\ny\n")

    def command(self, *words):
        return [os.path.join(self.suite.binaries, "mailctl"), "--control",
                self.suite.settings["control"]] + list(words)

    def verifying(self):
        return self.suite.ctl("status", "mailboxd")["verifying"]

    def test_all_and_one_account(self):
        found = self.suite.ctl("store", "verify")
        self.assertEqual((found["accounts"], found["messages"], found["findings"], found["found"]),
                         (2, self.MESSAGES + 1, 0, []))
        found = self.suite.ctl("store", "verify", self.suite.bob, "rate", "1G")
        self.assertEqual((found["accounts"], found["messages"]), (1, 1))
        found = self.suite.ctl("store", "verify", "rate", "0", self.suite.alice)
        self.assertEqual((found["accounts"], found["messages"]), (1, self.MESSAGES))

    def test_what_makes_no_sense_is_refused(self):
        for words in (("rate", "fast"), ("rate", "-1"), (self.suite.bob, "rate"),
                      ("rate", "1M", "rate"), ("nobody@example.org",), ("rate",),
                      (self.suite.bob, self.suite.alice)):
            with self.subTest(words):
                with self.assertRaises(CommandFailed) as failed:
                    self.suite.ctl("store", "verify", *words)
                self.assertEqual(failed.exception.status, 1)
        self.assertFalse(self.verifying())

    def test_the_rate_holds(self):
        read = self.suite.ctl("store", "verify", "rate", "0")["bytes"]
        first = read * 64 // (self.MESSAGES + 1)
        start = time.monotonic()
        again = self.suite.ctl("store", "verify", "rate", str(first))
        # What the first slice read takes one second at this rate; bodies differ a little.
        self.assertGreater(time.monotonic() - start, 0.9)
        self.assertEqual(again["bytes"], read)

    def test_one_that_is_given_up_ends(self):
        asker = subprocess.Popen(self.command("store", "verify", "rate", "1"),
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.verifying, "the verify to begin")
        with self.assertRaises(CommandFailed) as failed:
            self.suite.ctl("store", "verify")
        self.assertIn("running already", failed.exception.error)
        asker.send_signal(signal.SIGINT)
        self.assertEqual(asker.wait(timeout=60), -signal.SIGINT)
        wait_until(lambda: not self.verifying(), "the end of the verify")
        self.assertEqual(self.suite.ctl("store", "verify")["findings"], 0)

    def test_a_terminal_sees_how_far_it_is(self):
        ours, theirs = pty.openpty()
        done = subprocess.run(self.command("store", "verify"), stdout=subprocess.PIPE,
                              stderr=theirs, timeout=60, check=True)
        os.close(theirs)
        shown = os.read(ours, 65536).decode()
        os.close(ours)
        self.assertRegex(shown, r"\r\d+ accounts, \d+ messages, \d+ MiB read, 0 findings")
        self.assertIn(b"findings", done.stdout)
        self.assertNotIn(b"MiB read", done.stdout)


if __name__ == "__main__":
    unittest.main()
