# SPDX-License-Identifier: ISC
"""A store that rots under a suite: what people see, what the log says, and the way back."""

import glob
import json
import os
import subprocess
import unittest

from suite import CommandFailed, Suite, wait_until

PAGE = 4096
PAGES = 300  # the first ones are those that a small index uses


class DamageTest(unittest.TestCase):
    def setUp(self):
        self.suite = Suite()
        self.suite.__enter__()
        self.addCleanup(self.suite.__exit__, None, None, None)
        for i in range(5):
            self.suite.deliver([self.suite.alice, self.suite.bob], "Subject: %d\n\ntext %d\n" % (i, i))
        client = self.suite.imap("alice", "INBOX")
        client.create("Work/Old")
        client.store("2", "+FLAGS", "(\\Flagged urgent)")
        client.copy("3", "Work/Old")
        client.store("5", "+FLAGS", "(\\Deleted)")
        client.expunge()
        client.logout()
        self.store = glob.glob(os.path.join(self.suite.directory, "**/store"), recursive=True)[0]

    def state(self):
        """What a client sees of alice's mail."""
        client = self.suite.imap("alice")
        seen = [sorted(client.list()[1])]
        for mailbox in ("INBOX", "Work/Old"):
            client.select(mailbox, readonly=True)
            seen.append(client.response("UIDVALIDITY"))
            seen.append(client.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])"))
        client.logout()
        # \Recent is for the first who looks.
        return repr(seen).replace(" \\\\Recent", "").replace("\\\\Recent ", "").replace(
            "\\\\Recent", "")

    def salvage(self):
        """On the store at rest; its report."""
        data = os.path.join(self.store, "index", "data.mdb")
        if os.path.exists(data):
            os.rename(data, data + ".away")
        done = subprocess.run([os.path.join(self.suite.binaries, "mailctl"), "--json", "store",
                               "salvage", self.store], stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout)

    def test_a_lost_index_comes_back_whole(self):
        before = self.state()
        self.suite.stop()
        os.remove(os.path.join(self.store, "index", "data.mdb"))
        report = self.salvage()
        self.assertEqual((report["messages"], report["lost"], report["damaged"], report["found"]),
                         (10, 0, 0, []))
        self.suite.start()
        self.assertEqual(self.state(), before)
        self.assertEqual(self.suite.ctl("store", "verify")["findings"], 0)
        self.suite.deliver(self.suite.alice, "Subject: more\n\nmail\n")
        self.assertEqual(len(self.suite.wait_for_messages(5, "alice")), 5)

    def test_a_suite_does_not_start_over_a_lost_index(self):
        before = self.state()
        self.suite.stop()
        os.remove(os.path.join(self.store, "index", "data.mdb"))
        with self.assertRaises(CommandFailed):
            self.suite.start()
        self.assertIn("there are segments: not touched", self.suite.log())
        self.suite.stop()
        self.salvage()
        self.suite.start()
        self.assertEqual(self.state(), before)

    def test_rot_in_the_log_is_found_while_it_runs(self):
        path = os.path.join(self.store, "segments", "00000001.seg")
        with open(path, "r+b") as segment:
            found = segment.read().index(b"Work")
            segment.seek(found)
            segment.write(b"w")
        with self.assertRaises(CommandFailed) as failed:
            self.suite.ctl("store", "verify")
        told = json.loads(failed.exception.output)
        self.assertEqual(told["findings"], 1)
        self.assertRegex(told["found"][0]["text"], "segment 1 at [0-9]+: the changes of commit")
        # And the suite works on.
        self.suite.deliver(self.suite.bob, "Subject: x\n\ny\n")
        self.assertEqual(len(self.suite.wait_for_messages(6, "bob")), 6)

    def test_a_torn_index_ends_in_an_answer(self):
        before = self.state()
        self.suite.stop()
        with open(os.path.join(self.store, "index", "data.mdb"), "r+b") as data:
            for page in range(2, PAGES):
                data.seek(page * PAGE)
                data.write(os.urandom(PAGE))
        # It may come up or not; whatever dies is started again later and later, nothing hangs.
        try:
            self.suite.start()
            wait_until(lambda: "damage" in self.suite.log(), "a line in the log", 5)
        except CommandFailed:
            self.assertIn("damage", self.suite.log())
        self.suite.stop()
        self.salvage()
        self.suite.start()
        self.assertEqual(self.state(), before)
        self.assertEqual(self.suite.ctl("store", "verify")["findings"], 0)


if __name__ == "__main__":
    unittest.main()
