# SPDX-License-Identifier: ISC
"""mailctl store compact and store stat: the space of mail that is gone comes back."""

import base64
import os
import pty
import random
import signal
import subprocess
import unittest

from suite import CommandFailed, Suite, wait_until

SEED = 11
MESSAGES = 150


def text(number):
    """A message that packs badly, told by its number."""
    noise = base64.encodebytes(random.Random(SEED + number).randbytes(3000)).decode()
    return "Subject: %d\n\n%s" % (number, noise)


class CompactTest(unittest.TestCase):

    def setUp(self):
        self.suite = Suite("undelete-time = 0s\nsegment-size = 64K\n")
        self.suite.__enter__()
        self.addCleanup(self.suite.__exit__, None, None, None)
        with self.suite.smtp() as client:
            for i in range(MESSAGES):
                client.sendmail("a@example.net", [self.suite.alice], text(i))

    def command(self, *words):
        return [os.path.join(self.suite.binaries, "mailctl"), "--control",
                self.suite.settings["control"]] + list(words)

    def expunge_half(self, client):
        client.select("INBOX")
        for i in range(1, MESSAGES + 1, 2):
            client.store(str(i), "+FLAGS.SILENT", "\\Deleted")
        client.expunge()

    def stat(self):
        return self.suite.ctl("store", "stat")

    def gone_is_purged(self):
        # The undelete time is over after a second or two; compacting purges first.
        wait_until(lambda: self.suite.ctl("store", "compact") and self.stat()["expunged"] == 0,
                   "the purge")

    def test_space_comes_back_and_mail_stays(self):
        before = self.stat()
        self.assertEqual(before["messages"], MESSAGES)
        self.assertGreater(before["segments"], 5)
        self.assertGreater(before["live_bytes"], MESSAGES * 3000)
        self.assertFalse(before["compaction_due"])
        with self.suite.imap(self.suite.alice) as client:
            self.expunge_half(client)
            self.gone_is_purged()
            self.suite.ctl("store", "compact")
            after = self.stat()
            self.assertEqual(after["messages"], MESSAGES // 2)
            self.assertLess(after["live_bytes"], before["live_bytes"] * 0.6)
            # What was emptied waits for those who may still read in it.
            self.assertGreater(after["emptied_segments"], 3)
            self.assertGreater(after["waiting_bytes"], before["segment_disk_bytes"] // 3)
            # The session from before finds everything.
            for i in range(1, MESSAGES // 2 + 1):
                _, data = client.fetch(str(i), "(BODY.PEEK[])")
                self.assertIn(text(2 * i - 1).split("\n", 2)[2].split("\n")[0].encode(),
                              data[0][1])
        self.assertEqual(self.suite.ctl("store", "verify")["findings"], 0)
        again = self.suite.ctl("store", "compact")
        self.assertEqual((again["moved"], again["freed"]), (0, 0))

    def test_all_takes_what_is_left(self):
        with self.suite.imap(self.suite.alice) as client:
            client.select("INBOX")
            for i in range(1, MESSAGES + 1, 8):
                client.store(str(i), "+FLAGS.SILENT", "\\Deleted")
            client.expunge()
        self.gone_is_purged()
        self.assertEqual(self.suite.ctl("store", "compact")["moved"], 0)
        self.assertGreater(self.suite.ctl("store", "compact", "--all")["moved"], MESSAGES * 1000)
        self.assertEqual(self.suite.ctl("store", "verify")["findings"], 0)

    def test_what_makes_no_sense_is_refused(self):
        for words in (("some",), ("--all", "--all")):
            with self.subTest(words):
                with self.assertRaises(CommandFailed):
                    self.suite.ctl("store", "compact", *words)

    def test_one_that_is_given_up_ends(self):
        with self.suite.imap(self.suite.alice) as client:
            self.expunge_half(client)
        asker = subprocess.Popen(self.command("store", "compact"), stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        asker.send_signal(signal.SIGINT)
        asker.wait(timeout=60)
        wait_until(lambda: not self.suite.ctl("status", "mailboxd")["compacting"], "its end")
        self.gone_is_purged()
        self.assertEqual(self.suite.ctl("store", "verify")["findings"], 0)

    def test_a_terminal_sees_how_far_it_is(self):
        with self.suite.imap(self.suite.alice) as client:
            self.expunge_half(client)
        ours, theirs = pty.openpty()
        done = subprocess.run(self.command("store", "compact"), stdout=subprocess.PIPE,
                              stderr=theirs, timeout=60, check=True)
        os.close(theirs)
        self.assertIn(b"MiB of mail", os.read(ours, 65536))
        self.assertIn(b"moved", done.stdout)
        os.close(ours)


if __name__ == "__main__":
    unittest.main()
