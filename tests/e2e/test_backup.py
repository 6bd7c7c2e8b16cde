# SPDX-License-Identifier: ISC
"""mailctl store backup, backups and restore: whole, to a time, an account, a mailbox, a message."""

import hashlib
import io
import os
import pty
import random
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
import threading
import time
import unittest

from suite import CommandFailed, Suite, compose, wait_until

SEED = int(os.environ.get("PABAL_SEED", str(random.randrange(1 << 32))))
KILLS = int(os.environ.get("PABAL_BACKUP_KILLS", "8"))


def next_second():
    """Waits for the clock: the log knows seconds only.  Returns the second that is over."""
    now = int(time.time())
    wait_until(lambda: int(time.time()) > now, "the next second")
    return now


def fetch(client, what="(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])"):
    """Every message of the selected mailbox: subject -> (UID, the rest of what was fetched)."""
    found = {}
    status, data = client.uid("FETCH", "1:*", what)
    assert status == "OK", data
    for item in data:
        if not isinstance(item, tuple):
            continue
        head = item[0].decode()
        subject = re.search(rb"^Subject: (.*?)\r$", item[1], re.M).group(1).decode()
        assert subject not in found, "%s is there twice" % subject
        uid = int(re.search(r"UID (\d+)", head).group(1))
        flags = sorted(set(re.search(r"FLAGS \((.*?)\)", head).group(1).split()) - {"\\Recent"})
        date = re.search(r'INTERNALDATE "(.*?)"', head).group(1)
        found[subject] = (uid, flags, date, item[1])
    return found


class Base(unittest.TestCase):
    CONFIG = 'segment-size = "1M"\n'

    def setUp(self):
        print("seed %d" % SEED)
        self.directory = tempfile.TemporaryDirectory(prefix="pabal-e2e-")
        self.addCleanup(self.directory.cleanup)
        os.chmod(self.directory.name, 0o755)
        self.backup = os.path.join(self.directory.name, "backup")
        self.suite = Suite(config=self.CONFIG, accounts=1)
        self.suite.__enter__()
        self.addCleanup(self.suite.__exit__, None, None, None)

    def ctl(self, *words, status=0, **more):
        try:
            answer = self.suite.ctl("store", *words, **more)
        except CommandFailed as failed:
            self.assertEqual(failed.status, status, failed.error)
            return failed.error
        self.assertEqual(status, 0, answer)
        return answer

    def store(self):
        return self.ctl("upgrade", "--check")["store"]

    def append(self, mailbox, subject, flags="", date="01-Jan-2020 10:00:00 +0200"):
        client = self.suite.imap("alice")
        text = compose("a@example.net", self.suite.alice, subject, subject + "\r\n" * 50)
        status, data = client.append(mailbox, flags, '"%s"' % date, text)
        self.assertEqual(status, "OK", data)
        client.logout()

    def select(self, mailbox, name="alice"):
        return self.suite.imap(name, '"%s"' % mailbox)

    def all_of(self, mailbox, name="alice"):
        client = self.select(mailbox, name)
        found = fetch(client)
        client.logout()
        return found

    def expunge(self, mailbox, subjects):
        client = self.select(mailbox)
        found = fetch(client)
        for subject in subjects:
            client.uid("STORE", str(found[subject][0]), "+FLAGS.SILENT", "(\\Deleted)")
        client.expunge()
        client.logout()

    def verify(self):
        self.assertEqual(self.ctl("verify", "rate", "0")["findings"], 0)


class Parts(Base):
    """Mail comes back into the running store."""

    def setUp(self):
        super().setUp()
        client = self.suite.imap("alice")
        client.create("Work/Old")
        client.subscribe("Work/Old")
        client.logout()
        for i in range(6):
            self.append("INBOX", "inbox %d" % i, "(\\Seen $Label%d)" % i)
        for i in range(4):
            self.append("Work/Old", "old %d" % i, "(\\Flagged)")
        client = self.select("INBOX")
        client.uid("COPY", "2", "Work/Old")
        client.logout()
        self.suite.deliver([self.suite.alice, self.suite.bob], "Subject: shared\n\nBoth\n")
        self.ctl("backup", self.backup)
        self.before = {name: self.all_of(name) for name in ("INBOX", "Work/Old")}

    def restore(self, *words, status=0):
        return self.ctl("restore", self.backup, "--account", self.suite.alice, *words,
                        status=status)

    def compare(self, mailbox, subjects):
        """They are back with all that they had, but for the UID, which is new."""
        now = self.all_of(mailbox)
        self.assertEqual(set(now), set(self.before[mailbox]))
        for subject, (uid, *rest) in self.before[mailbox].items():
            self.assertEqual(now[subject][1:], tuple(rest))
            if subject in subjects:
                self.assertGreater(now[subject][0], max(m[0] for m in self.before[mailbox].values()))
            else:
                self.assertEqual(now[subject][0], uid)

    def test_what_is_there_is_left_alone(self):
        answer = self.restore()
        self.assertEqual((answer["restored"], answer["there"]), (0, 12))
        self.compare("INBOX", [])

    def test_a_message_a_mailbox_an_account(self):
        gone = ["inbox 0", "inbox 3", "shared"]
        self.expunge("INBOX", gone)
        uid = self.before["INBOX"]["inbox 3"][0]
        answer = self.restore("--mailbox", "inbox", "--uid", str(uid))
        self.assertEqual((answer["restored"], answer["there"]), (1, 0))
        answer = self.restore("--mailbox", "INBOX")
        self.assertEqual((answer["restored"], answer["there"]), (2, 5))
        self.compare("INBOX", gone)
        self.assertEqual(self.restore()["restored"], 0)
        self.compare("INBOX", gone)
        self.verify()

    def test_a_mailbox_that_was_deleted(self):
        client = self.suite.imap("alice")
        client.delete("Work/Old")
        client.delete("Work")
        client.logout()
        answer = self.restore("--mailbox", "Work/Old")
        # The copy of what is still in INBOX is not missing.
        self.assertEqual((answer["restored"], answer["there"], answer["mailboxes_made"]), (4, 1, 1))
        now = self.all_of("Work/Old")
        self.assertEqual(sorted(now), ["old %d" % i for i in range(4)])
        client = self.suite.imap("alice")
        self.assertIn(b"Work/Old", b"".join(client.lsub()[1]))
        client.logout()
        self.verify()

    def test_an_account_that_was_removed_and_added_again(self):
        old = self.suite.ctl("account", "show", self.suite.alice)["id"]
        self.suite.ctl("account", "remove", self.suite.alice)
        self.suite.ctl("account", "add", self.suite.alice, given=self.suite.account("alice")[1] + "\n",
                       json_wanted=False)
        self.assertIn("no mail of", self.restore(status=1))
        answer = self.restore("--from", old)
        # A message in two mailboxes comes back in both.
        self.assertEqual((answer["restored"], answer["there"]), (12, 0))
        for mailbox in ("INBOX", "Work/Old"):
            now = self.all_of(mailbox)
            self.assertEqual({s: m[1:] for s, m in now.items()},
                             {s: m[1:] for s, m in self.before[mailbox].items()})
        self.assertEqual(self.restore("--from", old)["restored"], 0)
        self.verify()


    def test_as_it_was_at_a_time(self):
        next_second()
        self.append("INBOX", "later")
        at = next_second()
        self.expunge("INBOX", ["later", "inbox 4"])
        next_second()
        self.ctl("backup", self.backup)
        self.assertEqual(self.restore()["restored"], 0)
        answer = self.restore("--at", "@%d" % at)
        self.assertEqual(answer["restored"], 2)
        self.assertIn("later", self.all_of("INBOX"))
        self.assertIn("does not reach back", self.restore("--at", "2020-01-01", status=1))
        self.verify()

    def test_words_that_make_no_sense(self):
        for words in (("--uid", "1"), ("--mailbox", "INBOX", "--uid", "x"), ("--email", "?"),
                      ("--from", "?"), ("--at", "yesterday"), ("--frob", "1"), ("--uid",)):
            with self.subTest(words):
                self.restore(*words, status=2)
        self.restore("--mailbox", "Nowhere", status=1)
        self.restore("--mailbox", "INBOX", "--uid", "99", status=1)
        self.ctl("restore", self.directory.name, "--account", self.suite.alice, status=1)
        self.ctl("restore", self.backup, "--mailbox", "INBOX", status=2)

    def test_another_store_has_other_ids(self):
        with Suite() as other:
            for expected in (12, 0):
                answer = other.ctl("store", "restore", self.backup, "--account", other.bob, "--from",
                                   self.suite.ctl("account", "show", self.suite.alice)["id"])
                self.assertEqual(answer["restored"], expected)
            self.assertEqual(other.ctl("store", "verify")["findings"], 0)


class Whole(Base):
    """A store where there is none."""

    def rebuild(self, *words):
        """Loses the data of the suite, restores it, and starts again."""
        store = self.store()
        data = os.path.dirname(store)
        binaries = os.path.join(self.suite.binaries, "mailctl")
        self.suite.stop()
        for name, mode in (("store", 0o750), ("directory", 0o700)):
            path = os.path.join(data, name)
            owner = os.stat(path)
            shutil.rmtree(path)
            os.mkdir(path, mode)
            if os.geteuid() == 0:
                os.chown(path, owner.st_uid, owner.st_gid)
        done = subprocess.run([binaries, "--json", "store", "restore", self.backup, store] +
                              list(words), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.suite.start()

    def test_a_lost_machine(self):
        for i in range(5):
            self.append("INBOX", "message %d" % i, "(\\Seen)")
        self.suite.ctl("alias", "add", "office@example.org", self.suite.alice, json_wanted=False)
        before = self.all_of("INBOX")
        client = self.suite.imap("alice")
        told = client.status("INBOX", "(UIDVALIDITY UIDNEXT)")[1][0].decode()
        client.logout()
        self.ctl("backup", self.backup)
        if os.geteuid() == 0:
            self.assertEqual(os.stat(self.backup + "/directory/data.mdb").st_mode & 0o777, 0o600)
        self.append("INBOX", "lost")
        lost = self.all_of("INBOX")["lost"][0]
        self.rebuild()
        self.assertEqual(self.all_of("INBOX"), before)
        self.suite.deliver("office@example.org", "Subject: by alias\n\nx\n")
        self.assertGreater(self.all_of("INBOX")["by alias"][0], lost)
        client = self.suite.imap("alice")
        again = client.status("INBOX", "(UIDVALIDITY UIDNEXT)")[1][0].decode()
        client.logout()
        validity = re.compile(r"UIDVALIDITY (\d+)")
        self.assertEqual(validity.search(again).group(1), validity.search(told).group(1))
        self.verify()
        # It goes on where the backup ended.
        self.ctl("backup", self.backup)

    def test_to_a_time(self):
        self.ctl("backup", self.backup)
        times = []
        for i in range(4):
            next_second()
            self.append("INBOX", "message %d" % i)
            times.append(next_second())
            if i == 1:
                self.ctl("backup", self.backup)
        next_second()
        self.ctl("backup", self.backup)
        states = self.ctl("backups", self.backup)
        self.assertEqual([s["messages"] for s in states], [0, 2, 4])
        self.rebuild("--at", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(times[2])))
        self.assertEqual(sorted(self.all_of("INBOX")), ["message 0", "message 1", "message 2"])
        self.verify()
        self.assertIn("another past", self.ctl("backup", self.backup, status=1))

    def test_refusals(self):
        self.ctl("backup", self.backup)
        with Suite() as other:
            with self.assertRaises(CommandFailed) as failed:
                other.ctl("store", "backup", self.backup)
            self.assertIn("another store", failed.exception.error)
        self.assertIn("in use", self.ctl("restore", self.backup, self.store(), status=1))
        self.ctl("backup", self.backup, "--keep", "0", status=2)
        self.ctl("backup", self.backup, "--keep", "soon", status=2)
        self.ctl("backup", status=2)
        self.assertIn("no backup", self.ctl("backups", self.directory.name, status=1))
        with open(os.path.join(self.directory.name, "file"), "w"):
            pass
        self.ctl("backup", os.path.join(self.directory.name, "file"), status=1)

    @unittest.skipUnless(os.path.exists("/dev/full"), "no /dev/full")
    @unittest.skipUnless(os.geteuid() == 0, "mounting needs root")
    def test_a_full_disk(self):
        full = os.path.join(self.directory.name, "full")
        os.mkdir(full)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", full],
                                 stderr=subprocess.PIPE, check=False)
        if mounted.returncode != 0:
            self.skipTest("mount is not permitted: %s" % mounted.stderr.decode().strip())
        self.addCleanup(subprocess.run, ["umount", full], check=True)
        self.ctl("backup", full)
        noise = random.Random(SEED)
        for i in range(6):
            self.suite.deliver(self.suite.alice, "Subject: %d\n\n%s" % (
                i, "\n".join(noise.randbytes(35).hex() for _ in range(10000))))
        self.assertIn("disk full", self.ctl("backup", full, status=1))
        self.assertEqual(self.ctl("backups", full)[-1]["messages"], 0)


class Stream(Base):
    """Backups through a pipe."""

    def write(self, *words, status=0):
        command = [os.path.join(self.suite.binaries, "mailctl"), "--control",
                   self.suite.settings["control"], "store", "backup", "-"] + list(words)
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout if status == 0 else done.stderr.decode()

    def restore(self, stream, *words, status=0, number=iter(range(100))):
        """Into a directory of its own; gives that, or what was said."""
        data = os.path.join(self.directory.name, "data%d" % next(number))
        for name in ("", "store", "directory"):
            os.mkdir(os.path.join(data, name))
        done = subprocess.run([os.path.join(self.suite.binaries, "mailctl"), "--json", "store",
                               "restore", "-", data + "/store"] + list(words), input=stream,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        if status != 0:
            self.assertFalse(os.path.exists(data + "/store/index"))
            return done.stderr.decode()
        return data

    def messages(self, data):
        copy = os.path.join(data, "again")
        os.mkdir(copy)
        answer = self.suite.ctl("store", "backup", copy, "--store", data + "/store")
        self.assertGreater(answer["bytes"], 0)
        return self.suite.ctl("store", "backups", copy)[-1]["messages"]

    def test_everything_and_what_follows(self):
        state = os.path.join(self.directory.name, "state")
        streams, times = [], []
        for i in range(3):
            self.append("INBOX", "message %d" % i)
            self.suite.deliver(self.suite.bob, "Subject: %d\n\n%s" % (i, "x y\n" * 200000))
            times.append(next_second())
            streams.append(self.write("--state", state))
            next_second()
        self.assertLess(len(streams[1]), len(streams[0]))
        data = self.restore(b"".join(streams))
        self.assertEqual(self.messages(data), 6)
        self.assertTrue(os.path.getsize(data + "/directory/data.mdb"))
        self.assertEqual(self.messages(self.restore(streams[0] + streams[1])), 4)
        self.assertEqual(self.messages(self.restore(b"".join(streams), "--at", "@%d" % times[1])), 4)
        self.assertIn("do not follow", self.restore(streams[0] + streams[2], status=1))
        self.assertIn("do not follow", self.restore(streams[1], status=1))
        self.assertIn("does not reach back",
                      self.restore(streams[0], "--at", "2020-01-01", status=1))
        # Nothing new is a stream, too.
        nothing = self.write("--state", state)
        self.assertEqual(self.messages(self.restore(b"".join(streams) + nothing)), 6)

    def test_a_stream_is_a_tar_archive(self):
        self.append("INBOX", "message")
        stream = self.write()
        place = os.path.join(self.directory.name, "unpacked")
        os.mkdir(place)
        with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
            names = archive.getnames()
            archive.extractall(place, filter="data")
        self.assertEqual(names[0], "pabal-backup")
        self.assertEqual(names[-1], "MANIFEST")
        self.assertIn("segments/00000001.seg", names)
        with open(os.path.join(place, "MANIFEST")) as manifest:
            lines = [line.split() for line in manifest if not line.startswith("#")]
        self.assertEqual([name for _, name in lines], names[:-1])
        for digest, name in lines:
            with open(os.path.join(place, name), "rb") as member:
                self.assertEqual(hashlib.blake2b(member.read(), digest_size=32).hexdigest(), digest)

    def test_cut_or_changed(self):
        self.append("INBOX", "message")
        stream = self.write()
        moments = random.Random(SEED)
        end = len(stream.rstrip(b"\0"))
        for cut in [0, 100, end - 600] + [moments.randrange(end) for _ in range(6)]:
            with self.subTest(cut=cut):
                self.assertIn("was cut", self.restore(stream[:cut], status=1))
        for _ in range(6):
            at = moments.randrange(512, end - 1024)
            with self.subTest(changed=at):
                changed = stream[:at] + bytes([stream[at] ^ 1]) + stream[at + 1:]
                if changed[at - at % 512:][:512].rstrip(b"\0") != b"":
                    self.restore(changed, status=1)

    def test_refusals(self):
        state = os.path.join(self.directory.name, "state")
        ours, theirs = pty.openpty()
        done = subprocess.run([os.path.join(self.suite.binaries, "mailctl"), "--control",
                               self.suite.settings["control"], "store", "backup", "-"],
                              stdout=theirs, stderr=subprocess.PIPE, check=False)
        os.close(ours)
        os.close(theirs)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"terminal", done.stderr)
        with open(state, "w") as file:
            file.write("nonsense\n")
        self.assertIn("does not follow", self.write("--state", state, status=1))
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([os.path.join(self.suite.binaries, "mailctl"), "--control",
                               self.suite.settings["control"], "store", "backup", "-"],
                              stdout=writer, stderr=subprocess.PIPE, check=False)
        os.close(writer)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"nobody reads", done.stderr)


class Load(Base):
    """Backups of a busy suite, and some that are killed."""

    CONFIG = ('segment-size = "1M"\nundelete-time = "1s"\nconnections-per-address = "1000"\n')

    def work(self, stop, number):
        words = random.Random(SEED + number)
        count = 0
        while not stop.is_set():
            with self.suite.smtp() as client:
                for _ in range(20):
                    text = "Subject: %d-%d\n\n%s\n" % (number, count, "\n".join(
                        words.randbytes(30).hex() for _ in range(words.randrange(300))))
                    client.sendmail("a@example.net", [self.suite.alice, self.suite.bob], text)
                    count += 1
            client = self.suite.imap(("alice", "bob")[number % 2], "INBOX")
            client.uid("STORE", "1:*", "+FLAGS.SILENT", "(\\Deleted)" if count % 60 == 0 else "(x)")
            client.expunge()
            client.logout()

    def check(self, directory):
        """A backup is a store: it is restored elsewhere, and read by a suite of its own."""
        with Suite(config=self.CONFIG) as other:
            store = other.ctl("store", "upgrade", "--check")["store"]
            owner = os.stat(store)
            other.stop()
            shutil.rmtree(store)
            os.mkdir(store, 0o750)
            if os.geteuid() == 0:
                os.chown(store, owner.st_uid, owner.st_gid)
            done = subprocess.run([os.path.join(other.binaries, "mailctl"), "store", "restore",
                                   directory, store], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout)
            other.start()
            found = other.ctl("store", "verify", "rate", "0")
            self.assertEqual(found["findings"], 0)
            return found["messages"]

    def test_under_load_and_killed(self):
        moments = random.Random(SEED)
        stop = threading.Event()
        workers = [threading.Thread(target=self.work, args=(stop, n), daemon=True) for n in range(2)]
        for worker in workers:
            worker.start()
        try:
            command = [os.path.join(self.suite.binaries, "mailctl"), "--control",
                       self.suite.settings["control"], "store", "backup", self.backup]
            for i in range(KILLS):
                running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
                try:
                    running.wait(timeout=moments.uniform(0.005, 0.15))
                except subprocess.TimeoutExpired:
                    running.send_signal(signal.SIGKILL)
                    running.wait()
                if i % 4 == 3:
                    self.ctl("backup", self.backup)
                    self.check(self.backup)
        finally:
            stop.set()
            for worker in workers:
                worker.join()
        self.ctl("backup", self.backup)
        self.assertEqual(self.check(self.backup), self.ctl("stat")["messages"])
        self.verify()


if __name__ == "__main__":
    unittest.main()
