# SPDX-License-Identifier: ISC
"""Real clients from Debian: curl, swaks, mbsync."""

import pathlib
import shutil
import subprocess
import unittest

from suite import Suite, compose, wait_until

SYNCED = 2000


def run(*command, stdin=None, timeout=300):
    done = subprocess.run([str(word) for word in command], capture_output=True, timeout=timeout,
                          input=stdin)
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.suite = Suite(accounts=2)
        cls.suite.__enter__()
        cls.host = cls.suite.settings["hostname"]

    @classmethod
    def tearDownClass(cls):
        cls.suite.__exit__(None, None, None)

    def need(self, program):
        if shutil.which(program) is None:
            self.skipTest(f"skipped: {program} is not installed")

    def curl(self, service, path, *arguments, user=None):
        host, port = self.suite.place(service)
        scheme = {"imaps": "imaps", "pop3s": "pop3s", "submissions": "smtps", "imap": "imap",
                  "submission": "smtp", "pop3": "pop3"}[service]
        user = user or self.suite.bob
        return run("curl", "-sS", "--max-time", "30", "--cacert", self.suite.settings["ca_file"],
                   "--ssl-reqd", "--resolve", f"{self.host}:{port}:{host}", "--user",
                   f"{user}:{self.suite.account(user)[1]}", *arguments,
                   f"{scheme}://{self.host}:{port}{path}")

    def test_curl_sends_and_reads(self):
        self.need("curl")
        letter = pathlib.Path(self.suite.directory) / "letter"
        letter.write_bytes(compose(self.suite.alice, self.suite.bob, "by curl"))
        status, text = self.curl("submission", "/client", "--mail-from", self.suite.alice,
                                 "--mail-rcpt", self.suite.bob, "--upload-file", letter,
                                 user=self.suite.alice)
        self.assertEqual(status, 0, text)
        wait_until(lambda: any(b"by curl" in m for m in self.suite.messages()), "the letter")
        status, text = self.curl("imaps", "/INBOX;MAILINDEX=1")
        self.assertEqual(status, 0, text)
        self.assertIn("Subject: by curl", text)
        status, text = self.curl("imap", "/", "-X", "EXAMINE INBOX")
        self.assertEqual(status, 0, text)
        self.assertIn("EXISTS", text)
        status, text = self.curl("pop3s", "/1")
        self.assertEqual(status, 0, text)
        self.assertIn("Subject: by curl", text)
        status, text = self.curl("pop3", "/")
        self.assertEqual(status, 0, text)

    def test_curl_appends(self):
        self.need("curl")
        letter = pathlib.Path(self.suite.directory) / "draft"
        letter.write_bytes(compose(self.suite.bob, self.suite.alice, "a draft"))
        status, text = self.curl("imaps", "/Drafts", "--upload-file", letter)
        self.assertEqual(status, 0, text)
        self.assertTrue(any(b"a draft" in m for m in self.suite.messages(mailbox="Drafts")))

    def test_swaks_submits_with_tls_and_pipelining(self):
        self.need("swaks")
        for service, tls in (("submission", "--tls"), ("submissions", "--tls-on-connect")):
            host, port = self.suite.place(service)
            status, text = run("swaks", "--server", host, "--port", port, tls, "--auth", "PLAIN",
                               "--auth-user", self.suite.alice, "--auth-password",
                               self.suite.account(self.suite.alice)[1], "--from", self.suite.alice,
                               "--to", self.suite.bob, "--pipeline", "--header",
                               f"Subject: by swaks {service}")
            self.assertEqual(status, 0, text)
            wait_until(lambda: any(b"by swaks " + service.encode() in m
                                   for m in self.suite.messages()), "the letter of swaks")

    def mbsync(self, config):
        return run("mbsync", "-c", config, "-a", "-V", timeout=600)

    def state(self, user, maildir):
        """All that a run of mbsync could change: names with flags here, UIDs and flags there."""
        client = self.suite.imap(user, "INBOX")
        flags = client.uid("FETCH", "1:*", "(FLAGS)")[1]
        ahead = client.status("INBOX", "(UIDNEXT)")
        client.logout()
        return sorted(p.name for p in maildir.glob("*/*")), flags, ahead

    def test_mbsync_two_ways_with_2000_messages(self):
        """Both ways; the second run finds nothing to do."""
        self.need("mbsync")
        user = "user1@example.org"
        host, port = self.suite.place("imaps")
        top = pathlib.Path(self.suite.directory) / "mbsync"
        maildir = top / "mail/INBOX"
        for part in ("cur", "new", "tmp"):
            (maildir / part).mkdir(parents=True)
        (top / "state").mkdir()
        half = SYNCED // 2
        for n in range(half):
            (maildir / "cur" / f"{n}.local:2,S").write_bytes(
                compose("a@x.org", user, f"local {n}", "line\n" * (n % 300)))
        client = self.suite.imap(user)
        for n in range(half):
            octets = compose("a@x.org", user, f"remote {n}", "row\n" * (n % 300))
            self.assertEqual(client.append("INBOX", None, None, octets)[0], "OK")
        client.logout()
        config = top / "config"
        config.write_text(
            f"IMAPAccount a\nHost {host}\nPort {port}\nUser {user}\n"
            f'Pass "{self.suite.account(user)[1]}"\nSSLType IMAPS\nCertificateFile '
            f"{self.suite.directory}/host.crt\n\nIMAPStore far\nAccount a\n\nMaildirStore near\n"
            f"Path {top}/mail/\nInbox {top}/mail/INBOX\nSubFolders Verbatim\n\nChannel c\nFar :far:\n"
            f"Near :near:\nPatterns INBOX\nCreate Both\nExpunge Both\nSyncState {top}/state/\n")
        # The certificate names the host, not its loopback address: pin it instead.
        status, text = self.mbsync(config)
        self.assertEqual(status, 0, text)
        self.assertEqual(len(self.suite.messages(user)), SYNCED)
        files = [p for p in pathlib.Path(maildir).glob("*/*") if p.is_file()]
        self.assertEqual(len(files), SYNCED)
        before = self.state(user, maildir)
        status, text = self.mbsync(config)
        self.assertEqual(status, 0, text)
        self.assertEqual(self.state(user, maildir), before)
        # Deletions and flags travel, too.
        files[0].unlink()
        client = self.suite.imap(user, "INBOX")
        self.assertEqual(client.store("7", "+FLAGS", r"(\Flagged)")[0], "OK")
        client.logout()
        status, text = self.mbsync(config)
        self.assertEqual(status, 0, text)
        self.assertEqual(len(self.suite.messages(user)), SYNCED - 1)
        self.assertEqual(len([p for p in maildir.glob("*/*") if ":2," in p.name and
                              "F" in p.name.split(":2,")[1]]), 1)


if __name__ == "__main__":
    unittest.main()
