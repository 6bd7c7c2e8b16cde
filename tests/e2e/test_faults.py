# SPDX-License-Identifier: ISC
"""What bad input gets: broken configuration, a full disk, dead processes."""

import imaplib
import os
import pathlib
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import unittest

from suite import BUILD, Suite, compose, wait_until

MAILD = BUILD + "/bin/maild"


class Configuration(unittest.TestCase):
    """One line that says what and where, exit status 1."""

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="pabal-test-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def check(self, text, *words):
        path = self.directory / "pabal.conf"
        path.write_text(text)
        done = subprocess.run([MAILD, "-n", "-f", str(path)], capture_output=True, text=True,
                              timeout=60)
        lines = done.stderr.strip().splitlines()
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(len(lines), 1, done.stderr)
        for word in words:
            self.assertIn(word, lines[0])

    def test_an_unknown_key(self):
        self.check('hostname = "a.org"\ncolour = "red"\n', "pabal.conf:2", "colour")

    def test_a_bad_value(self):
        self.check('hostname = "a.org"\n\nmessage-size = "huge"\n', "pabal.conf:3", "message-size")

    def test_a_value_out_of_range(self):
        self.check('message-recipients = "5"\n', "pabal.conf:1", "message-recipients")

    def test_a_syntax_error(self):
        self.check('hostname = "a.org\n', "pabal.conf:")

    def test_a_missing_file(self):
        done = subprocess.run([MAILD, "-n", "-f", "/nonexistent/pabal.conf"], capture_output=True,
                              text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nonexistent/pabal.conf", done.stderr)

    def test_the_effective_configuration_is_a_configuration(self):
        path = self.directory / "pabal.conf"
        path.write_text('hostname = "a.org"\nmessage-size = "7M"\nuser-id-base = 61000\n')
        first = subprocess.run([MAILD, "-n", "-f", str(path)], capture_output=True, text=True,
                               check=True, timeout=60).stdout
        self.assertRegex(first, r'message-size\s*=\s*"?7M"?')
        path.write_text(first)
        again = subprocess.run([MAILD, "-n", "-f", str(path)], capture_output=True, text=True,
                               check=True, timeout=60).stdout
        self.assertEqual(first, again)

    def test_a_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            path = self.directory / "pabal.conf"
            path.write_text(f'hostname = "a.org"\nuser-id-base = 61000\ndata-directory = "{self.directory}/data"\n'
                            f'control-socket = "{self.directory}/control"\n'
                            f'listen smtp {{ address = {{"127.0.0.1:{port}"}} }}\n')
            done = subprocess.run([MAILD, "-f", str(path)], capture_output=True, text=True,
                                  timeout=60)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(str(port), done.stderr.strip().splitlines()[-1])


class DeadProcesses(unittest.TestCase):
    """One dead process degrades to temporary errors and comes back."""

    @classmethod
    def setUpClass(cls):
        cls.suite = Suite(config='retry-first = "200ms"\nretry-last = "1s"\n')
        cls.suite.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.suite.__exit__(None, None, None)

    def send(self, subject):
        """True when acknowledged, False on a temporary error; anything else fails."""
        try:
            with self.suite.smtp() as client:
                client.sendmail("a@x.org", [self.suite.bob],
                                compose("a@x.org", self.suite.bob, subject))
            return True
        except smtplib.SMTPRecipientsRefused as answer:
            codes = [code for code, _ in answer.recipients.values()]
        except smtplib.SMTPResponseException as answer:
            codes = [answer.smtp_code]
        except (smtplib.SMTPServerDisconnected, OSError):
            return False
        self.assertTrue(all(400 <= code < 500 for code in codes), codes)
        return False

    def test_each_process_comes_back_and_mail_goes_on(self):
        for name in ("authd", "queued", "deliverd", "mailboxd", "smtpd", "imapd", "pop3d", "relayd"):
            with self.subTest(process=name):
                before = self.suite.pids(name)
                self.suite.kill_workers(name)
                # A message is either refused for now or acknowledged and then really there.
                wait_until(lambda: self.send(f"after {name}"), f"mail goes on without {name}")
                wait_until(lambda: (pids := self.suite.pids(name)) and not set(pids) & set(before),
                           f"{name} runs again")
        found = b"".join(self.suite.wait_for_messages(8))
        for name in ("authd", "queued", "deliverd", "mailboxd", "smtpd", "imapd", "pop3d", "relayd"):
            self.assertIn(b"Subject: after " + name.encode(), found)

    def test_workers_killed_together_are_all_wired_again(self):
        for _ in range(8):
            for name in ("imapd", "smtpd", "mailboxd"):
                self.suite.kill_workers(name)
            self.suite.wait_running()
            # Connections spread over the workers: every one of them must work.
            for _ in range(8):
                wait_until(lambda: self.send("wired"), "mail goes on", 5)
                wait_until(self.can_log_in, "every worker takes logins", 5)

    def can_log_in(self):
        # A connection may still reach a worker that is about to be killed, or its successor early.
        try:
            self.suite.imap("bob", "INBOX").logout()
        except (OSError, imaplib.IMAP4.error):
            return False
        return True

    def test_a_process_that_hangs_is_a_temporary_error_not_a_hang_of_all(self):
        self.suite.kill_workers("authd", signal.SIGSTOP)
        try:
            with self.suite.smtp() as client:
                self.assertEqual(client.noop()[0], 250)
                client.helo("x.org")
                client.mail("a@x.org")
                code, _ = client.rcpt(self.suite.bob)
                self.assertTrue(400 <= code < 500, code)
        finally:
            self.suite.kill_workers("authd", signal.SIGCONT)
        wait_until(lambda: self.send("after the pause"), "mail goes on")

    def test_the_supervisor_reloads_and_stops_in_order(self):
        with Suite() as suite:
            pid = suite.pids("maild")[0]
            smtpd = suite.pids("smtpd")
            os.kill(pid, signal.SIGHUP)
            with suite.smtp() as client:
                self.assertEqual(client.noop()[0], 250)
            self.assertEqual(suite.pids("smtpd"), smtpd)
            children = [p["pid"] for p in suite.status()["processes"]]
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not any(os.path.exists(f"/proc/{p}") and
                                       self.alive(p) for p in children), "all processes are gone")

    def alive(self, pid):
        try:
            return re.search(r"State:\s+([A-Z])", open(f"/proc/{pid}/status").read())[1] != "Z"
        except OSError:
            return False


class FullDisk(unittest.TestCase):
    """A full disk: 452, NO [LIMIT]-like refusals, and normal work when there is space again."""

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("skipped: only root can mount a small file system")
        self.mount = pathlib.Path(tempfile.mkdtemp(prefix="pabal-test-"))
        self.addCleanup(shutil.rmtree, self.mount, ignore_errors=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "tmpfs",
                               str(self.mount)], capture_output=True, text=True)
        if done.returncode != 0:
            self.skipTest(f"skipped: cannot mount: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.mount)])

    def test_a_full_disk_is_a_temporary_error(self):
        self.mount.chmod(0o755)
        (self.mount / "suite").mkdir()
        with Suite(directory=str(self.mount / "suite")) as suite:
            ballast = self.mount / "ballast"
            big = compose("a@x.org", suite.bob, "big", os.urandom(700_000).hex() + "\n")
            with suite.smtp() as client:
                client.sendmail("a@x.org", [suite.bob], compose("a@x.org", suite.bob, "before"))
                self.fill(ballast)
                refused = None
                for _ in range(40):
                    try:
                        client.sendmail("a@x.org", [suite.bob], big)
                    except smtplib.SMTPDataError as answer:
                        refused = answer.smtp_code
                        break
                self.assertEqual(refused, 452)
                self.assertEqual(client.noop()[0], 250)
            self.assertTrue(any(b"Subject: before" in m for m in suite.messages()))
            client = suite.imap("bob")
            status, text = client.append("INBOX", None, None, big)
            self.assertEqual(status, "NO", text)
            client.logout()
            ballast.unlink()
            wait_until(lambda: self.delivered(suite), "normal work with space again")
            self.assertTrue(any(b"Subject: after" in m for m in suite.messages()))

    def fill(self, ballast):
        """Leaves about 2 MB."""
        with ballast.open("wb", buffering=0) as out:
            while (free := os.statvfs(self.mount)).f_bavail * free.f_frsize > 2_000_000:
                out.write(b"\0" * 65536)

    def delivered(self, suite):
        try:
            with suite.smtp() as client:
                client.sendmail("a@x.org", [suite.bob], compose("a@x.org", suite.bob, "after"))
            return True
        except smtplib.SMTPException:
            return False


if __name__ == "__main__":
    unittest.main()
