# SPDX-License-Identifier: ISC
"""The whole suite on a disk that is full, and on one that fails: what is acknowledged stays, what
can still be done is done, and the log says what to do."""

import os
import pathlib
import shutil
import smtplib
import struct
import subprocess
import sys
import tempfile
import unittest

from suite import BUILD, Suite, compose, wait_until

SHIM = pathlib.Path(BUILD) / "tests" / "shim.so"
SANITIZED = b"__asan_init" in (pathlib.Path(BUILD) / "bin" / "mailboxd").read_bytes()
IMAGE_MIB, LEFT_BYTES, BIG_BYTES = 64, 9_000_000, 300_000
# Of tests/power/trace.h.
OPENED, SYNC_BEGUN, CHANGES = 1, 11, {2, 3, 4, 5, 6, 7, 8, 9, 10, 11}


def subject_of(message):
    return next(line for line in message.splitlines() if line.startswith(b"Subject:"))[9:].decode()


def own_mounts():
    """Mounts of these tests are seen by nobody else, and end with this process."""
    if os.geteuid() == 0 and os.environ.get("PABAL_OWN_MOUNTS") is None:
        os.environ["PABAL_OWN_MOUNTS"] = "1"
        unshare = shutil.which("unshare")
        if unshare is not None and subprocess.run([unshare, "-m", "true"], check=False,
                                                  stderr=subprocess.DEVNULL).returncode == 0:
            os.execv(unshare, [unshare, "-m", "--propagation", "private", sys.executable] +
                     sys.argv)


class FullFileSystem(unittest.TestCase):
    """An ext4 of its own, in a file."""

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("skipped: only root can mount a file system")
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="pabal-test-"))
        self.addCleanup(shutil.rmtree, self.place, ignore_errors=True)
        self.place.chmod(0o755)
        # The log is elsewhere: on the full disk it could say nothing.
        self.mount, image = self.place / "suite" / "data", self.place / "image"
        self.mount.mkdir(parents=True)
        with image.open("wb") as out:
            out.truncate(IMAGE_MIB << 20)
        for command in (["mkfs.ext4", "-q", "-m", "0", "-F", str(image)],
                        ["mount", "-o", "loop", str(image), str(self.mount)]):
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=False)
            except FileNotFoundError as missing:
                self.skipTest(f"skipped: {missing}")
            if done.returncode != 0:
                self.skipTest(f"skipped: {' '.join(command)}: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", str(self.mount)], check=False)

    def fill(self, ballast, left):
        with ballast.open("ab", buffering=0) as out:
            while (room := os.statvfs(self.mount)).f_bavail * room.f_frsize > left:
                out.write(b"\0" * 65536)

    def send(self, suite, subject, text="small\n"):
        """None when acknowledged, else the code."""
        try:
            suite.deliver(suite.bob, compose("a@x.org", suite.bob, subject, text))
        except smtplib.SMTPResponseException as answer:
            return answer.smtp_code
        except smtplib.SMTPRecipientsRefused as answer:
            return next(iter(answer.recipients.values()))[0]
        return None

    def send_until_full(self, suite, name, text):
        """Subjects that were acknowledged, and the code that ended it."""
        acknowledged = []
        for number in range(200):
            code = self.send(suite, f"{name} {number}", text)
            if code is not None:
                return acknowledged, code
            acknowledged.append(f"{name} {number}")
        self.fail("the disk takes everything")

    def expect(self, suite, subjects):
        self.assertEqual(sorted(subject_of(m) for m in suite.messages()), sorted(subjects))

    def test_mail_in_until_it_is_full_and_again_when_there_is_room(self):
        ballast = self.mount / "ballast"
        with Suite(directory=str(self.place / "suite")) as suite:
            self.assertIsNone(self.send(suite, "before"))
            self.fill(ballast, LEFT_BYTES)
            big, code = self.send_until_full(suite, "big", os.urandom(BIG_BYTES // 2).hex() + "\n")
            self.assertEqual(code, 452)
            # Not a byte more for anybody; what the store has taken ahead is its own.
            self.fill(ballast, 70_000)
            small, code = self.send_until_full(suite, "small", "small\n")
            self.assertEqual(code, 452)
            there = ["before"] + big + small
            self.assertIn("cannot take room", suite.log())
            self.expect(suite, there)
            client = suite.imap("bob", "INBOX")
            self.assertEqual(client.append("INBOX", None, None, b"Subject: no\r\n\r\nno\r\n")[0],
                             "NO")
            self.assertEqual(client.store("1:*", "+FLAGS", r"(\Seen)")[0], "OK")
            self.assertEqual(client.store("1", "+FLAGS", r"(\Deleted)")[0], "OK")
            self.assertEqual(client.expunge()[0], "OK")
            client.logout()
            there.remove("before")
            self.expect(suite, there)
            suite.restart()
            self.expect(suite, there)
            self.assertEqual(self.send(suite, "still full", "x" * 2_000_000 + "\n"), 452)
            ballast.unlink()
            wait_until(lambda: self.send(suite, "room again") is None, "room again")
            self.expect(suite, there + ["room again"])
            self.assertEqual(suite.ctl("store", "verify")["findings"], 0)


@unittest.skipIf(SANITIZED, "skipped: a daemon's ASan runtime must come before the shim")
class FailingDisk(unittest.TestCase):
    """tests/power's shim in one process of the suite."""

    def setUp(self):
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="pabal-test-"))
        self.addCleanup(shutil.rmtree, self.scratch, ignore_errors=True)
        self.scratch.chmod(0o777)

    def start(self, program, **plan):
        """A suite with that plan for that program; restarts are without it."""
        suite = Suite(config="workers = 1")
        environment = {"LD_PRELOAD": str(SHIM), "POWER_PROGRAM": program,
                       "POWER_DIR": os.path.join(suite.directory, "data", "store")}
        environment.update({"POWER_" + key: str(value) for key, value in plan.items()})
        os.environ.update(environment)
        try:
            suite.__enter__()
        finally:
            for key in environment:
                del os.environ[key]
        self.addCleanup(suite.__exit__, None, None, None)
        return suite

    def deliver(self, suite, subject):
        suite.deliver(suite.bob, compose("a@x.org", suite.bob, subject))

    def last_sync_of_the_index(self):
        """Its number among the changes of a mailboxd that takes one message and is stopped."""
        suite = self.start("mailboxd", TRACE=self.scratch / "trace", COUNT=self.scratch / "count")
        self.deliver(suite, "one")
        suite.stop()
        trace, at, index, after = (self.scratch / "trace").read_bytes(), 0, set(), None
        while at < len(trace):
            kind, length, handle = struct.unpack_from("IIQ", trace, at)
            at += 40
            if kind == OPENED and trace[at:at + length] == b"index/data.mdb":
                index.add(handle)
            at += length
            if kind == SYNC_BEGUN and handle in index:
                after = 0
            elif after is not None:
                after += kind in CHANGES
        return int((self.scratch / "count").read_text().split()[0]) - after

    def test_the_index_cannot_be_synced(self):
        suite = self.start("mailboxd", FAULT=f"{self.last_sync_of_the_index()}:EIO")
        self.deliver(suite, "one")
        # The checkpoint comes some seconds later.
        wait_until(lambda: "Stop all and start again to recover" in suite.log(), "the log's word")
        queued = 0
        try:
            self.deliver(suite, "two")
            queued = 1
        except smtplib.SMTPResponseException as answer:
            self.assertIn(answer.smtp_code // 100, (4,))
        wait_until(lambda: "must be recovered, but is in use by other processes" in suite.log(),
                   "mailboxd ends, and does not start beside readers")
        # Reading goes on.
        client = suite.imap("bob")
        self.assertEqual(client.select("INBOX", readonly=True)[0], "OK")
        status, data = client.fetch("1", "(BODY.PEEK[])")
        self.assertEqual((status, subject_of(data[0][1])), ("OK", "one"))
        self.assertEqual(client.create("new")[0], "NO")
        client.logout()
        suite.restart()
        found = [subject_of(m) for m in suite.wait_for_messages(1 + queued)]
        self.assertEqual(found, ["one", "two"][:1 + queued])
        self.assertIn("recovering from the checkpoint", suite.log())
        self.deliver(suite, "three")
        self.assertEqual(suite.ctl("store", "verify")["findings"], 0)

    def test_a_message_cannot_be_read(self):
        count = 12
        suite = self.start("imapd", READ_FAULT="8:EIO")
        for number in range(count):
            self.deliver(suite, f"nr {number}")
        client = suite.imap("bob", "INBOX")
        refused = []
        for number in range(1, count + 1):
            status, data = client.fetch(str(number), "(BODY.PEEK[])")
            if status == "OK":
                # What was told of the one before, as NIL, comes with it.
                text = next(part[1] for part in data if isinstance(part, tuple))
                self.assertEqual(subject_of(text), f"nr {number - 1}")
            else:
                refused.append(data)
        self.assertEqual(len(refused), 1, refused)
        self.assertEqual(refused[0][-1].split()[0], b"[UNAVAILABLE]")
        self.assertRegex(suite.log(), r"segment 0+1\.seg: cannot read at \d+: Input/output error")
        status, data = client.fetch(f"1:{count}", "(BODY.PEEK[])")
        self.assertEqual(status, "OK")
        client.logout()


if __name__ == "__main__":
    own_mounts()
    unittest.main()
