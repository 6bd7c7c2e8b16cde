# SPDX-License-Identifier: ISC
"""authd from the outside: mailctl's commands, logins by every mechanism, guessing, certificates."""

import base64
import hashlib
import hmac
import imaplib
import poplib
import shutil
import smtplib
import ssl
import subprocess
import unittest

from suite import CommandFailed, Suite, compose, wait_until

# Clients have been seen to get this one wrong; a server must not.
PASSWORD = 'carol pass "w\\ord"'


def scram(suite, user, password):
    """AUTHENTICATE SCRAM-SHA-256 by IMAP; the server's last line after its proof was checked."""
    def attributes(text):
        return dict(part.split("=", 1) for part in text.split(","))

    def encode(text):
        return base64.b64encode(text.encode()).decode()

    connection = suite.connect("imaps")
    wire = connection.makefile("rwb", buffering=0)

    def ask(line):
        wire.write(line.encode() + b"\r\n")
        while True:
            got = wire.readline().decode()
            if got.startswith("+ "):
                return base64.b64decode(got[2:]).decode()
            if not got.startswith("* "):
                return got

    try:
        wire.readline()
        bare = "n=%s,r=clientnonce" % user.replace("=", "=3D").replace(",", "=2C")
        first = ask("a AUTHENTICATE SCRAM-SHA-256 " + encode("n,," + bare))
        if "r=" not in first:
            return first
        fields = attributes(first)
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(),
                                     base64.b64decode(fields["s"]), int(fields["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = "c=biws,r=" + fields["r"]
        message = ",".join((bare, first, without_proof)).encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature))
        last = ask(encode(without_proof + ",p=" + base64.b64encode(proof).decode()))
        if not last.startswith("v="):
            return last
        mine = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
        assert base64.b64decode(attributes(last)["v"]) == mine, "the server does not know it"
        return ask("")
    finally:
        wire.close()
        connection.close()


class AuthdTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.suite = Suite(config="workers = 2").start()

    @classmethod
    def tearDownClass(cls):
        cls.suite.stop()
        cls.suite.remove()

    def add(self, address, password=PASSWORD):
        return self.suite.ctl("account", "add", address, given=password + "\n")

    def imap_login(self, address, password):
        client = self.suite.imap()
        try:
            client.login(address, password)
            return "OK"
        except imaplib.IMAP4.error as error:
            return str(error)
        finally:
            client.shutdown()

    def refused(self, *words, given=None):
        with self.assertRaises(CommandFailed) as caught:
            self.suite.ctl(*words, given=given)
        return caught.exception.output + caught.exception.error

    def rcpt(self, address):
        with self.suite.smtp() as client:
            client.ehlo("client.example.net")
            client.mail("sender@example.net")
            code, text = client.rcpt(address)
            return code, text.decode()

    def test_a_password_with_quotes_and_backslash_works_by_every_mechanism(self):
        suite = self.suite
        self.add("carol@example.org")
        self.assertEqual(self.imap_login("Carol@EXAMPLE.org", PASSWORD), "OK")
        client = suite.imap()
        client.authenticate("PLAIN", lambda _: ("\0carol@example.org\0" + PASSWORD).encode())
        client.logout()
        self.assertIn("OK", scram(suite, "carol@example.org", PASSWORD))
        self.assertNotIn("OK", scram(suite, "carol@example.org", PASSWORD + "x"))
        self.assertNotIn("OK", scram(suite, "nobody@example.org", PASSWORD))
        for mechanism in ("auth_plain", "auth_login"):
            with suite.smtp("submissions") as smtp:
                smtp.ehlo()
                smtp.user, smtp.password = "carol@example.org", PASSWORD
                code, _ = smtp.auth(mechanism[5:].upper(), getattr(smtp, mechanism))
                self.assertEqual(code, 235)
        host, port = suite.place("pop3s")
        pop3 = poplib.POP3_SSL(host, port, context=suite.tls_context())
        pop3.user("carol@example.org")
        pop3.pass_(PASSWORD)
        pop3.quit()

    def test_a_new_password_ends_the_old(self):
        self.add("dora@example.org", "first password")
        self.assertEqual(self.imap_login("dora@example.org", "first password"), "OK")
        self.suite.ctl("account", "passwd", "dora@example.org", given="p\u00e4ssword two\n")
        self.assertNotEqual(self.imap_login("dora@example.org", "first password"), "OK")
        client = self.suite.imap()
        # Decomposed: another system's way to type the same.
        client.authenticate("PLAIN", lambda _: "\0dora@example.org\0pa\u0308ssword two".encode())
        client.logout()

    def test_rules_have_clear_errors(self):
        suite = self.suite
        self.assertIn("exists already", self.refused("domain", "add", "EXAMPLE.org"))
        self.assertIn("no domain name", self.refused("domain", "add", "a b"))
        self.assertIn("still has accounts", self.refused("domain", "remove", "example.org"))
        self.assertIn("is an account already",
                      self.refused("account", "add", "ALICE@example.org", given="long enough\n"))
        self.assertIn("not ours", self.refused("account", "add", "x@other.example",
                                               given="long enough\n"))
        self.assertIn("too short", self.refused("account", "add", "x@example.org", given="short\n"))
        self.assertIn("no mail address", self.refused("account", "add", "x", given="long enough\n"))
        self.assertIn("no such account", self.refused("account", "remove", "x@example.org"))
        self.assertIn("no such address",
                      self.refused("alias", "add", "team@example.org", "typo@example.org"))
        self.assertIn("cannot stand for itself",
                      self.refused("alias", "add", "team@example.org", "team@example.org"))
        self.assertEqual(suite.ctl("alias", "list"), [])

    def test_aliases_details_catch_all_and_postmaster_get_their_mail(self):
        suite = self.suite
        suite.ctl("domain", "add", "B\u00fccher.example")
        self.add("erin@xn--bcher-kva.example")
        address = "erin@xn--bcher-kva.example"
        suite.ctl("alias", "add", "team@b\u00fccher.example", address, suite.alice)
        self.assertEqual(suite.ctl("alias", "list", "b\u00fccher.example"),
                         [{"alias": "team@xn--bcher-kva.example", "targets": [address, suite.alice]}])
        recipients = ["Erin+Lists@xn--bcher-kva.example", "TEAM@xn--bcher-kva.example",
                      "postmaster@xn--bcher-kva.example"]
        for recipient in recipients:
            suite.deliver(recipient, compose("x@example.net", recipient, subject=recipient))
        self.assertEqual(self.rcpt("nobody@xn--bcher-kva.example")[0], 550)
        suite.ctl("domain", "catchall", "b\u00fccher.example", address)
        suite.deliver("nobody@xn--bcher-kva.example",
                      compose("x@example.net", "nobody@xn--bcher-kva.example"))
        client = suite.imap()
        client.login(address, PASSWORD)
        self.assertEqual(client.select("INBOX")[1], [b"4"])
        client.logout()
        suite.ctl("domain", "catchall", "b\u00fccher.example", "none")
        self.assertEqual(self.rcpt("nobody@xn--bcher-kva.example")[0], 550)
        suite.ctl("alias", "remove", "team@b\u00fccher.example")
        self.assertEqual(self.rcpt("team@xn--bcher-kva.example")[0], 550)
        self.assertEqual(suite.ctl("domain", "show", "b\u00fccher.example")["accounts"], 1)

    def test_a_disabled_account_gets_no_mail_and_no_login(self):
        suite = self.suite
        self.add("frank@example.org")
        self.assertEqual(self.imap_login("frank@example.org", PASSWORD), "OK")
        self.assertFalse(suite.ctl("account", "disable", "frank@example.org")["enabled"])
        self.assertNotEqual(self.imap_login("frank@example.org", PASSWORD), "OK")
        code, text = self.rcpt("frank@example.org")
        self.assertEqual((code, text[:5]), (550, "5.2.1"))
        suite.ctl("account", "enable", "frank@example.org")
        self.assertEqual(self.imap_login("frank@example.org", PASSWORD), "OK")
        self.assertEqual(self.rcpt("frank@example.org")[0], 250)

    def test_guesses_are_slowed_shown_and_unblocked(self):
        suite = self.suite
        self.add("grace@example.org")
        # One wrong password in Thunderbird is three attempts: it is one guess.
        for _ in range(30):
            self.assertIn("AUTHENTICATIONFAILED", self.imap_login("grace@example.org", "the old one"))
        answers = [self.imap_login("grace@example.org", "guess number %d" % n) for n in range(25)]
        self.assertIn("UNAVAILABLE", answers[-1])
        self.assertNotEqual(self.imap_login("grace@example.org", PASSWORD), "OK")
        blocks = suite.ctl("auth", "blocks")
        self.assertIn("grace@example.org", [b["account"] for b in blocks if b["kind"] == "account"])
        suite.ctl("auth", "unblock", "Grace@example.org")
        self.assertEqual(self.imap_login("grace@example.org", PASSWORD), "OK")
        self.assertIn("nothing is held", self.refused("auth", "unblock", "192.0.2.1"))

    def test_an_owner_is_not_locked_out_not_even_after_a_restart(self):
        suite = self.suite
        self.add("heidi@example.org")
        self.assertEqual(self.imap_login("heidi@example.org", PASSWORD), "OK")
        # The network is written down within a second; its own counter says when.
        for n in range(12):
            self.imap_login("heidi@example.org", "guess number %d" % n)
        self.assertEqual(self.imap_login("heidi@example.org", PASSWORD), "OK")
        suite.kill_and_wait("authd")
        wait_until(lambda: self.imap_login("heidi@example.org", PASSWORD) == "OK", "the login")

    def test_what_mailctl_has_confirmed_survives_a_kill(self):
        suite = self.suite
        self.add("ivan@example.org")
        suite.kill_and_wait("authd")
        listed = wait_until(lambda: suite.ctl("account", "list"), "the list")
        self.assertIn("ivan@example.org", [a["address"] for a in listed])
        wait_until(lambda: self.imap_login("ivan@example.org", PASSWORD) == "OK", "the login")

    @unittest.skipUnless(shutil.which("openssl"), "needs openssl")
    def test_a_renewed_certificate_is_used_at_once_after_a_reload(self):
        suite = self.suite
        chain, key = self.certificate_paths()
        before = self.certificate()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=renewed", "-keyout", key + ".new", "-out", chain + ".new"],
                       check=True, capture_output=True)
        saved = []
        # Written over: a key in the folder of the data is the only file that authd may open there.
        for path in (chain, key):
            with open(path, "rb") as file:
                saved.append(file.read())
            with open(path + ".new", "rb") as new, open(path, "wb") as file:
                file.write(new.read())
        suite.ctl("reload")
        try:
            # RSA now: TLS 1.3 signs with PSS, TLS 1.2 may ask for PKCS #1.
            self.assertNotEqual(wait_until(lambda: self.certificate() != before and
                                           self.certificate(), "the new certificate"), before)
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                self.certificate(version)
        finally:
            for path, content in zip((chain, key), saved):
                with open(path, "wb") as file:
                    file.write(content)
            suite.ctl("reload")
        wait_until(lambda: self.certificate() == before, "the old certificate")

    def certificate_paths(self):
        with open(self.suite.settings["config"]) as config:
            text = config.read()
        return [text.split(name + " = \"")[1].split("\"")[0] for name in ("chain", "key")]

    def certificate(self, version=None):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if version is not None:
            context.minimum_version = context.maximum_version = version
        host, port = self.suite.place("imaps")
        with imaplib.IMAP4_SSL(host, port, ssl_context=context) as client:
            return client.sock.getpeercert(binary_form=True)

    def test_a_sender_must_be_the_accounts_own(self):
        suite = self.suite
        for sender, expected in ((suite.alice, 250), ("alice+shop@example.org", 250),
                                 (suite.bob, 553), ("someone@elsewhere.example", 553)):
            client = suite.submission("alice")
            code, text = client.mail(sender)
            client.quit()
            self.assertEqual(code // 100, expected // 100, (sender, text))


if __name__ == "__main__":
    unittest.main()
