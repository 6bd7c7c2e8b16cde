# SPDX-License-Identifier: ISC
"""mailctl's care of the store: verify with limits, of one account, and given up; upgrades."""

import base64
import glob
import json
import os
import pty
import random
import signal
import subprocess
import tarfile
import tempfile
import time
import unittest

from suite import BUILD, ROOT, CommandFailed, Suite, wait_until

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

    def test_of_one_account_all_mail_is_read(self):
        with Suite() as suite:
            suite.deliver(suite.alice, "Subject: x\n\nEleven pipers piping\n")
            suite.deliver(suite.bob, "Subject: x\n\nTwelve drummers drumming\n")
            path = glob.glob(os.path.join(suite.directory, "**/store/segments/00000001.seg"),
                             recursive=True)[0]
            with open(path, "r+b") as segment:
                segment.seek(segment.read().index(b"Eleven pipers"))
                segment.write(b"e")
            self.assertGreater(suite.ctl("store", "verify", suite.bob)["bytes"], 0)
            with self.assertRaises(CommandFailed) as failed:
                suite.ctl("store", "verify", suite.alice)
            told = json.loads(failed.exception.output)
            self.assertEqual((told["accounts"], told["findings"]), (1, 1))
            self.assertIn("stored data is damaged", told["found"][0]["text"])

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


class UpgradeTest(unittest.TestCase):
    """Stores of released formats, at rest; the unit tests look at what is in them."""

    OWNER = 12345  # of the store, when we are root

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="pabal-e2e-")
        self.addCleanup(self.directory.cleanup)
        os.chmod(self.directory.name, 0o755)

    def unpack(self, archive):
        store = os.path.join(self.directory.name, os.path.basename(archive).split(".")[0])
        os.mkdir(store, 0o750)
        with tarfile.open(archive) as tar:
            tar.extractall(store, filter="data")
        if os.geteuid() == 0:
            for path in self.files(store):
                os.chown(path, self.OWNER, self.OWNER)
        return store

    @staticmethod
    def files(store):
        for top, _, names in os.walk(store):
            yield top
            yield from (os.path.join(top, name) for name in names)

    def ctl(self, *words, status=0):
        command = [os.path.join(BUILD, "bin", "mailctl"), "--control",
                   os.path.join(self.directory.name, "control"), "--json", "store", "upgrade"]
        done = subprocess.run(command + list(words), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return json.loads(done.stdout) if done.stdout else done.stderr

    def test_each_format_is_checked_and_upgraded_at_rest(self):
        archives = glob.glob(os.path.join(ROOT, "tests", "stores", "format-*.tar.gz"))
        self.assertTrue(archives)
        for archive in archives:
            with self.subTest(os.path.basename(archive)):
                store = self.unpack(archive)
                before = self.ctl("--check", store)
                is_old = before["format"] < before["program"]
                self.assertEqual(before["state"], "older" if is_old else "current")
                self.assertEqual("records" in before, is_old)
                after = self.ctl(store)
                self.assertEqual((after["state"], after["format"]),
                                 ("current", before["program"]))
                self.assertEqual(self.ctl("--check", store), after)
                if os.geteuid() == 0:
                    self.assertEqual({os.stat(path).st_uid for path in self.files(store)},
                                     {self.OWNER})
                dump = subprocess.run([os.path.join(BUILD, "tests", "store_dump"), store],
                                      stdout=subprocess.PIPE, text=True, check=True).stdout
                with open(archive.replace(".tar.gz", ".txt")) as expected:
                    self.assertEqual(dump, expected.read())

    def test_what_is_no_store_stays_as_it_is(self):
        self.assertIn("not found", self.ctl("--check", self.directory.name, status=1))
        self.assertIn("not found", self.ctl(self.directory.name, status=1))
        self.assertEqual(os.listdir(self.directory.name), [])
        self.ctl("--force", status=2)
        self.ctl("one", "two", status=2)

    def test_a_running_suite(self):
        with Suite() as suite:
            suite.deliver(suite.alice, "Subject: x\n\ny\n")
            for words in (("--check",), ()):
                told = suite.ctl("store", "upgrade", *words)
                self.assertEqual(told["state"], "current")
                self.assertEqual(told["format"], suite.ctl("store", "stat")["format"])
                self.assertTrue(told["store"].startswith(suite.directory))
            text = suite.ctl("store", "upgrade", "--check", json_wanted=False)
            self.assertIn("state: current", text)


if __name__ == "__main__":
    unittest.main()
