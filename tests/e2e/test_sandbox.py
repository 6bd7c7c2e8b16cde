# SPDX-License-Identifier: ISC
"""No process can do what the table of design section 1 says it never does.

Each running daemon is taken over by ptrace and made to try; the kernel must refuse.
"""

import os
import pathlib
import subprocess
import unittest

from suite import BUILD, Suite

INJECT = os.path.join(BUILD, "tests/inject")
DAEMONS = ["authd", "smtpd", "queued", "relayd", "deliverd", "mailboxd", "imapd", "pop3d"]
NETWORK = {"relayd"}  # may make internet sockets


class Sandbox(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.suite = Suite()
        cls.suite.__enter__()
        data = pathlib.Path(cls.suite.directory) / "data"
        store, queue, directory = data / "store", data / "queue", data / "directory"
        cls.secrets = {
            "the directory": (directory / "data.mdb", {"authd"}),
            "the queue": (queue / "index/data.mdb", {"queued"}),
            "the store's index": (store / "index/data.mdb", {"mailboxd", "imapd", "pop3d"}),
            "a TLS key": (cls.find_key(), {"authd"}),
            "the password file": ("/etc/passwd", set()),
        }
        cls.store_index = store / "index/data.mdb"
        cls.store = store

    @classmethod
    def tearDownClass(cls):
        cls.suite.__exit__(None, None, None)

    @classmethod
    def find_key(cls):
        for path in pathlib.Path(cls.suite.directory).rglob("*.key"):
            return path
        raise AssertionError("no key file in the suite's directory")

    def attempt(self, name, *words):
        pid = self.suite.pids(name)[0]
        done = subprocess.run([INJECT, str(pid), *map(str, words)], capture_output=True, text=True)
        if done.returncode == 2:
            self.skipTest(f"skipped: cannot take over a process here: {done.stderr.strip()}")
        return done.stdout.split()

    def assert_denied(self, name, *words):
        result = self.attempt(name, *words)
        self.assertEqual(result[0], "denied", f"{name} {words}")
        self.assertIn(result[1], ("EPERM", "EACCES"), f"{name} {words}: {result}")

    def test_no_program_is_started(self):
        for name in DAEMONS:
            self.assert_denied(name, "exec", "/bin/true")

    def test_no_other_process_is_touched(self):
        for name in DAEMONS:
            self.assert_denied(name, "ptrace", self.suite.pids("maild")[0])
            self.assert_denied(name, "kill", self.suite.pids("maild")[0])
            self.assert_denied(name, "setuid")

    def test_only_relayd_makes_internet_sockets(self):
        for name in DAEMONS:
            if name in NETWORK:
                self.assertEqual(self.attempt(name, "socket"), ["allowed"])
            else:
                self.assert_denied(name, "socket")
            self.assert_denied(name, "unix")

    def test_files_are_open_to_their_owner_alone(self):
        for what, (path, readers) in self.secrets.items():
            for name in DAEMONS:
                with self.subTest(what=what, process=name):
                    if name in readers:
                        self.assertEqual(self.attempt(name, "open", path), ["allowed"])
                    else:
                        self.assert_denied(name, "open", path)

    def test_only_mailboxd_writes_the_store(self):
        for name in DAEMONS:
            for path in (self.store_index, self.store / "segments/evil"):
                with self.subTest(process=name, path=path):
                    if name == "mailboxd":
                        self.assertEqual(self.attempt(name, "create", path), ["allowed"])
                    else:
                        self.assert_denied(name, "create", path)

    def test_every_process_has_its_own_user_under_root(self):
        uids = {}
        status = self.suite.status()
        for process in [*status["processes"], {"name": "maild", "pid": status["pid"]}]:
            text = open(f"/proc/{process['pid']}/status").read()
            fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
            name = process["name"].split("/")[0]
            uids[name] = fields["Uid"].split()[0]
            if name != "maild":
                self.assertEqual(fields["NoNewPrivs"].strip(), "1", name)
                self.assertEqual(fields["Seccomp"].strip(), "2", name)
        if uids["maild"] != "0":
            self.skipTest("skipped: only root can give each process a user of its own")
        self.assertEqual(len(set(uids.values())), len(uids), uids)


if __name__ == "__main__":
    unittest.main()
