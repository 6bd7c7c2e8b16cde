# SPDX-License-Identifier: ISC
"""Encryption at rest: an account whose mail is sealed works as any other, and its disk shows nothing."""

import base64
import email
import hashlib
import hmac
import imaplib
import os
import random
import re
import shutil
import subprocess
import unittest

from suite import BUILD, CommandFailed, Suite, compose, wait_until

PASSWORD = "the sealed password"
SEED = int(os.environ.get("PABAL_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)


def attributes(text):
    return dict(part.split("=", 1) for part in text.split(","))


class Scram:
    """The client's side of SCRAM-SHA-256: step(challenge) gives the next message."""

    def __init__(self, user, password):
        self.password = password
        self.bare = "n=%s,r=clientnonce" % user
        self.steps = [self.first, self.final, self.end]

    def step(self, challenge):
        return self.steps.pop(0)(challenge.decode())

    def first(self, _challenge):
        return ("n,," + self.bare).encode()

    def final(self, challenge):
        fields = attributes(challenge)
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(),
                                     base64.b64decode(fields["s"]), int(fields["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = "c=biws,r=" + fields["r"]
        message = ",".join((self.bare, challenge, without_proof)).encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature))
        return (without_proof + ",p=" + base64.b64encode(proof).decode()).encode()

    def end(self, _challenge):
        return b""


def noise(rng, size):
    """Bytes that no compressor makes smaller, fit for the body of a message."""
    usable = bytes(b for b in range(33, 256) if b not in (0x7f,))
    lines = [bytes(rng.choices(usable, k=70)) for _ in range(size // 72 + 1)]
    return b"\r\n".join(lines)


def marked(marker, rng, size=4000):
    """A message that has the marker in its subject and in a body that is stored as it is."""
    return (b"From: a@example.net\r\nTo: b@example.org\r\nSubject: " + marker.encode() +
            b" in the subject\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1"
            b"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + noise(rng, size) + b"\r\n" +
            (marker + " in the body").encode() + b"\r\n" + noise(rng, size) + b"\r\n")


class EncryptionTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print("seed %d" % SEED)
        cls.rng = random.Random(SEED)
        cls.suite = Suite(config="workers = 2").start()
        cls.count = 0

    @classmethod
    def tearDownClass(cls):
        cls.suite.stop()
        cls.suite.remove()

    def tearDown(self):
        outcome = self._outcome
        if outcome is not None and any(error for _test, error in getattr(outcome, "errors", [])):
            print(self.suite.log()[-4000:])

    def account(self, encrypted=True):
        """A new account: its address, and its recovery key."""
        type(self).count += 1
        address = "sealed%d@example.org" % self.count
        self.suite.ctl("account", "add", address, given=PASSWORD + "\n")
        if not encrypted:
            return address, None
        answer = self.suite.ctl("account", "encrypt", address, given=PASSWORD + "\n")
        self.assertEqual(answer["encryption"], "on")
        return address, answer["recovery_key"]

    def imap(self, address, password=PASSWORD, select="INBOX"):
        client = self.suite.imap()
        client.login(address, password)
        if select:
            self.assertEqual(client.select(select)[0], "OK")
        return client

    def marker(self):
        return "m%032x" % self.rng.getrandbits(128)

    def files_with(self, text):
        """The files below the suite's directory that have these bytes."""
        found = []
        for folder, _folders, files in os.walk(self.suite.directory):
            for name in files:
                path = os.path.join(folder, name)
                if os.path.islink(path) or not os.path.isfile(path):
                    continue
                with open(path, "rb") as file:
                    if text.encode() in file.read():
                        found.append(os.path.relpath(path, self.suite.directory))
        return found

    def fetch(self, client, what, which="1:*"):
        status, data = client.uid("FETCH", which, what)
        self.assertEqual(status, "OK", data)
        return data

    def bodies(self, client, which="1:*"):
        return [item[1] for item in self.fetch(client, "(BODY.PEEK[TEXT])", which)
                if isinstance(item, tuple)]

    def bodies_of(self, address, password=PASSWORD):
        """The same by a login of its own."""
        client = self.imap(address, password)
        try:
            return self.bodies(client)
        finally:
            client.logout()

    def deliver(self, recipients, message):
        recipients = [recipients] if isinstance(recipients, str) else recipients
        with self.suite.smtp() as client:
            client.ehlo("client.example.net")
            client.mail("sender@example.net", ["BODY=8BITMIME"])
            for recipient in recipients:
                self.assertEqual(client.rcpt(recipient)[0], 250)
            code, text = client.data(message)
            self.assertEqual(code, 250, text)

    def refused(self, *words, given=None):
        with self.assertRaises(CommandFailed) as caught:
            self.suite.ctl(*words, given=given)
        return caught.exception.output + caught.exception.error

    def assert_sealed_away(self, client, uid="1"):
        """The message is there, and says clearly that it does not open."""
        status, data = client.uid("FETCH", uid, "(UID RFC822.SIZE BODY.PEEK[])")
        self.assertEqual(status, "NO", data)
        self.assertIn(b"NOPERM", data[-1])
        status, data = client.uid("FETCH", uid, "(ENVELOPE)")
        self.assertEqual(status, "NO", data)

    # what a thief of the disk sees

    def test_the_disk_shows_nothing_of_a_sealed_message(self):
        sealed, _ = self.account()
        plain, _ = self.account(encrypted=False)
        secret, open_one, appended = self.marker(), self.marker(), self.marker()
        self.deliver(sealed, marked(secret, self.rng))
        self.deliver(plain, marked(open_one, self.rng))
        client = self.imap(sealed)
        client.append("INBOX", None, None, marked(appended, self.rng))
        client.create("Copies")
        client.uid("COPY", "1:*", "Copies")
        self.assertIn(secret.encode(), self.fetch(client, "(BODY.PEEK[])", "1")[0][1])
        self.assertEqual(client.uid("SEARCH", "SUBJECT", secret)[1], [b"1"])
        client.logout()
        # The test can fail: what is not sealed is found, subject and body.
        for part in (" in the subject", " in the body"):
            self.assertTrue(self.files_with(open_one + part), part)
        for marker in (secret, appended):
            self.assertEqual(self.files_with(marker), [])
            self.assertEqual(self.files_with(base64.b64encode(marker.encode()[:30]).decode()), [])

    def test_passwords_and_keys_are_in_no_log(self):
        address, recovery = self.account()
        self.imap(address).logout()
        self.assertEqual(self.files_with(recovery), [])
        self.assertEqual(self.files_with(PASSWORD), [])

    # nothing works otherwise than without

    def test_every_fetch_is_the_same_as_that_of_a_plain_account(self):
        sealed, _ = self.account()
        plain, _ = self.account(encrypted=False)
        html = compose("a@example.net", "b@example.org", "nested",
                       "A line of text that compresses well.\r\n" * 20000)
        outer = email.message.EmailMessage(policy=email.policy.SMTP)
        outer["From"], outer["Subject"] = "a@example.net", "with attachments"
        outer["Message-ID"] = "<outer@example.net>"
        outer.set_content("See below.\r\n")
        outer.add_attachment(self.rng.randbytes(700000), "application", "octet-stream",
                             filename="noise.bin")
        outer.add_attachment(email.message_from_bytes(html, policy=email.policy.SMTP))
        messages = [compose("a@example.net", "b@example.org", "small", "x\r\n"),
                    compose("a@example.net", "b@example.org", "t\u00e9xt", "caf\u00e9 word\r\n" * 500),
                    html, outer.as_bytes(), marked("plain", self.rng, 300000),
                    b"Subject: no body\r\n\r\n"]
        for message in messages:
            # Both at once: one body is shared by the plain ones, the sealed one is another.
            self.deliver([sealed, plain], message)
        one, other = self.imap(sealed), self.imap(plain)
        for what in ("(ENVELOPE)", "(BODYSTRUCTURE)", "(FLAGS RFC822.SIZE)",
                     "(BODY.PEEK[TEXT])", "(BODY.PEEK[1])", "(BODY.PEEK[2])",
                     "(BODY.PEEK[3.HEADER])", "(BODY.PEEK[3.1])",
                     "(BODY.PEEK[HEADER.FIELDS (SUBJECT FROM MESSAGE-ID)])",
                     "(BODY.PEEK[TEXT]<100000.70000>)", "(BODY.PEEK[2]<32760.20>)",
                     "(BODY.PEEK[TEXT]<32767.65537>)"):
            a, b = self.fetch(one, what), self.fetch(other, what)
            if "SIZE" in what:  # the prefix has another address of another length
                a = [re.sub(rb"RFC822.SIZE \d+", b"", line) for line in a]
                b = [re.sub(rb"RFC822.SIZE \d+", b"", line) for line in b]
            self.assertEqual(a, b, what)
        for number, message in enumerate(messages, 1):
            whole = self.fetch(one, "(BODY.PEEK[])", str(number))[0][1]
            self.assertTrue(whole.endswith(message.split(b"\r\n\r\n", 1)[1]))
        for words in (("BODY", "word"), ("TEXT", "compresses"), ("SUBJECT", "attach"),
                      ("FROM", "example.net"), ("HEADER", "Message-ID", "outer"),
                      ("LARGER", "100000"), ("BODY", '"nowhere to be found"')):
            self.assertEqual(one.uid("SEARCH", *words), other.uid("SEARCH", *words), words)
        one.logout()
        other.logout()

    def test_append_copy_move_expunge_and_undelete(self):
        sealed, _ = self.account()
        client = self.imap(sealed)
        texts = [("body %d of many\r\n" % i).encode() for i in range(5)]
        for i, text in enumerate(texts):
            status, data = client.append("INBOX", r"\Seen", None,
                                         b"Subject: %d\r\n\r\n" % i + text)
            self.assertEqual(status, "OK", data)
        self.assertEqual(self.bodies(client), texts)
        client.create("Archive")
        self.assertEqual(client.uid("COPY", "1:2", "Archive")[0], "OK")
        self.assertEqual(client.uid("MOVE", "3", "Archive")[0], "OK")
        self.assertEqual(self.bodies(client), texts[:2] + texts[3:])
        client.uid("STORE", "5", "+FLAGS.SILENT", r"(\Deleted)")
        client.expunge()
        client.select("Archive")
        self.assertEqual(self.bodies(client), texts[:3])
        self.suite.ctl("store", "undelete", sealed, "all")
        client.select("INBOX")
        self.assertIn(texts[4], self.bodies(client))
        client.logout()

    def test_idle_tells_of_sealed_mail_and_it_opens(self):
        sealed, _ = self.account()
        client = self.imap(sealed)
        client.send(b"i IDLE\r\n")
        self.assertTrue(client.readline().startswith(b"+"))
        self.deliver(sealed, b"Subject: news\r\n\r\nfresh\r\n")
        self.assertIn(b"EXISTS", client.readline())
        client.send(b"DONE\r\n")
        while not client.readline().startswith(b"i "):
            pass
        self.assertEqual(self.bodies(client), [b"fresh\r\n"])
        client.logout()

    # logins

    def test_every_login_opens_the_mail(self):
        sealed, _ = self.account()
        self.deliver(sealed, b"Subject: s\r\n\r\nto be read\r\n")
        expected = [b"to be read\r\n"]
        client = self.suite.imap()
        client.authenticate("PLAIN", lambda _: ("\0%s\0%s" % (sealed, PASSWORD)).encode())
        client.select()
        self.assertEqual(self.bodies(client), expected)
        client.logout()
        before = self.suite.ctl("status", "authd")
        client = self.imap(sealed)  # from the memory of logins
        self.assertEqual(self.bodies(client), expected)
        client.logout()
        after = self.suite.ctl("status", "authd")
        self.assertEqual(after["remembered"], before["remembered"] + 1)
        self.assertEqual(after["hashed"], before["hashed"])
        client = self.suite.imap()
        client.authenticate("SCRAM-SHA-256", Scram(sealed, PASSWORD).step)
        client.select()
        self.assertEqual(self.bodies(client), expected)
        client.append("INBOX", None, None, b"Subject: a\r\n\r\nappended after SCRAM\r\n")
        self.assertIn(b"appended after SCRAM\r\n", self.bodies(client))
        client.logout()

    def retrieve(self, client):
        count = client.stat()[0]
        return [b"\r\n".join(client.retr(i + 1)[1]) for i in range(count)]

    def test_pop3_reads_sealed_mail(self):
        sealed, _ = self.account()
        text = marked(self.marker(), self.rng, 100000)
        self.deliver(sealed, b"Subject: s\r\n\r\nfirst\r\nsecond\r\nthird\r\n")
        self.deliver(sealed, text)
        client = self.suite.pop3()
        client.user(sealed)
        client.pass_(PASSWORD)
        got = self.retrieve(client)
        self.assertTrue(got[0].endswith(b"first\r\nsecond\r\nthird"))
        self.assertTrue((got[1] + b"\r\n").endswith(text))
        self.assertEqual(client.top(1, 1)[1][-1], b"first")
        client.quit()
        client = self.suite.pop3()
        scram, line = Scram(sealed, PASSWORD), b"AUTH SCRAM-SHA-256"
        for _ in range(4):
            client.sock.sendall(line + b"\r\n")
            answer = client.file.readline()
            if not answer.startswith(b"+ "):
                break
            line = base64.b64encode(scram.step(base64.b64decode(answer[2:].strip())))
        self.assertTrue(answer.startswith(b"+OK"), answer)
        self.assertTrue(self.retrieve(client)[0].endswith(b"third"))
        client.quit()

    def test_sessions_of_one_process_do_not_mix_their_keys(self):
        accounts = [self.account()[0] for _ in range(3)] + [self.account(encrypted=False)[0]]
        texts = {a: [b"%s %d\r\n" % (a.encode(), i) for i in range(4)] for a in accounts}
        for address in accounts:
            for text in texts[address]:
                self.deliver(address, b"Subject: s\r\n\r\n" + text)
        clients = {a: self.imap(a) for a in accounts}
        for turn in range(20):
            address = self.rng.choice(accounts)
            self.assertEqual(self.bodies(clients[address]), texts[address], turn)
            self.assertEqual(len(self.fetch(clients[address], "(ENVELOPE)")), 4)
        for client in clients.values():
            client.logout()

    # passwords, recovery keys

    def test_a_new_password_with_the_old_one_or_the_recovery_key(self):
        sealed, recovery = self.account()
        self.deliver(sealed, b"Subject: s\r\n\r\nkept\r\n")
        text = self.refused("account", "passwd", sealed, given="another password\n")
        self.assertIn("old password or the recovery key is needed", text)
        text = self.refused("account", "passwd", sealed, given="another password\nwrong\n")
        self.assertIn("neither the old password nor the recovery key", text)
        self.assertEqual(self.bodies_of(sealed), [b"kept\r\n"])
        self.suite.ctl("account", "passwd", sealed, given="another password\n%s\n" % PASSWORD)
        self.assertEqual(self.bodies_of(sealed, "another password"), [b"kept\r\n"])
        client = self.suite.imap()
        with self.assertRaises(imaplib.IMAP4.error):
            client.login(sealed, PASSWORD)
        client.logout()
        typed = recovery.upper().replace("-", " ")
        self.suite.ctl("account", "passwd", sealed, given="a third password\n%s\n" % typed)
        client = self.imap(sealed, "a third password")
        self.deliver(sealed, b"Subject: s\r\n\r\nnew\r\n")
        client.noop()
        self.assertEqual(self.bodies(client), [b"kept\r\n", b"new\r\n"])
        client.logout()
        # Another recovery key ends the first.
        answer = self.suite.ctl("account", "recovery", sealed, given="a third password\n")
        self.refused("account", "passwd", sealed, given="password four\n%s\n" % recovery)
        self.suite.ctl("account", "passwd", sealed,
                       given="password four\n%s\n" % answer["recovery_key"])
        self.assertEqual(len(self.bodies_of(sealed, "password four")), 2)

    def test_giving_up_old_mail(self):
        sealed, recovery = self.account()
        self.deliver(sealed, b"Subject: s\r\n\r\nlost\r\n")
        answer = self.suite.ctl("account", "passwd", sealed, "give-up-mail",
                                given="another password\n")
        self.assertNotEqual(answer["recovery_key"], recovery)
        self.deliver(sealed, b"Subject: s\r\n\r\nreadable\r\n")
        client = self.imap(sealed, "another password")
        self.assert_sealed_away(client, "1")
        self.assertEqual(self.bodies(client, "2"), [b"readable\r\n"])
        # It can still be moved and removed.
        self.assertEqual(client.uid("STORE", "1", "+FLAGS", r"(\Flagged)")[0], "OK")
        self.assertEqual(client.uid("SEARCH", "BODY", "readable")[1], [b"2"])
        client.logout()
        pop3 = self.suite.pop3()
        pop3.user(sealed)
        pop3.pass_("another password")
        with self.assertRaisesRegex(Exception, r"SYS/PERM.*encrypted"):
            pop3.retr(1)
        self.assertIn(b"readable", pop3.retr(2)[1])
        pop3.quit()

    def test_mail_of_before_and_after(self):
        address, _ = self.account(encrypted=False)
        before, between, after = self.marker(), self.marker(), self.marker()
        self.deliver(address, marked(before, self.rng))
        old = self.imap(address)
        self.suite.ctl("account", "encrypt", address, given=PASSWORD + "\n")
        # A session without the key would only be shown mail that it cannot open.
        with self.assertRaises((imaplib.IMAP4.abort, OSError)):
            for _ in range(100):
                old.noop()
        old.shutdown()
        self.deliver(address, marked(between, self.rng))
        self.assertIn("encrypted already",
                      self.refused("account", "encrypt", address, given=PASSWORD + "\n"))
        self.assertEqual(self.suite.ctl("account", "decrypt", address)["encryption"],
                         "old mail only")
        self.deliver(address, marked(after, self.rng))
        client = self.imap(address)
        data = self.fetch(client, "(BODY.PEEK[])")
        for marker, item in zip((before, between, after),
                                [item for item in data if isinstance(item, tuple)]):
            self.assertIn(marker.encode(), item[1])
        client.logout()
        self.assertTrue(self.files_with(before))
        self.assertEqual(self.files_with(between), [])
        self.assertTrue(self.files_with(after))
        # Again on: the same key, another recovery key; the old mail stays readable.
        self.suite.ctl("account", "encrypt", address, given=PASSWORD + "\n")
        self.assertEqual(len(self.bodies_of(address)), 3)
        self.assertIn("wrong",
                      self.refused("account", "recovery", address, given="another one\n"))

    def test_mailctl_says_it_in_words(self):
        address, _ = self.account(encrypted=False)
        text = self.suite.ctl("account", "encrypt", address, given=PASSWORD + "\n",
                              json_wanted=False)
        self.assertRegex(text, r"(?s)shown now and never again:\n\n    ([a-z2-9]{5}-){7}[a-z2-9]{5}\n")
        self.assertIn("Write it down", text)
        self.assertEqual(self.suite.ctl("account", "show", address)["encryption"], "on")
        self.assertIn("wrong", self.refused("account", "encrypt", self.account(False)[0],
                                            given="not the password\n"))
        self.assertIn("no such account",
                      self.refused("account", "encrypt", "nobody@example.org", given="x\n"))

    # without any key

    def test_verify_and_backup_need_no_key(self):
        sealed, _ = self.account()
        marker = self.marker()
        self.deliver(sealed, marked(marker, self.rng))
        self.assertEqual(self.suite.ctl("store", "verify")["findings"], 0)
        self.assertEqual(self.suite.ctl("store", "verify", sealed)["findings"], 0)
        target = os.path.join(self.suite.directory, "backup")
        self.suite.ctl("store", "backup", target)
        self.assertEqual(self.files_with(marker), [])
        self.assertIn(marker.encode(), b"".join(self.bodies_of(sealed)))


class RestartTest(unittest.TestCase):
    def test_sealed_mail_survives_restarts_kills_restore_and_salvage(self):
        with Suite() as suite:
            suite.ctl("account", "add", "carol@example.org", given=PASSWORD + "\n")
            suite.ctl("account", "encrypt", "carol@example.org", given=PASSWORD + "\n")
            expected = []

            def deliver():
                expected.append(b"number %d\r\n" % len(expected))
                suite.deliver("carol@example.org", (b"Subject: s\r\n\r\n" + expected[-1]).decode())

            def check():
                client = suite.imap()
                client.login("carol@example.org", PASSWORD)
                client.select()
                status, data = client.uid("FETCH", "1:*", "(BODY.PEEK[TEXT])")
                client.logout()
                assert status == "OK", data
                got = [item[1] for item in data if isinstance(item, tuple)]
                self.assertEqual(got, expected)

            for name in ("authd", "deliverd", "imapd", "mailboxd", "smtpd", "queued"):
                deliver()
                suite.kill_and_wait(name)
                wait_until(lambda: self.comes(check), "the mail after the end of %s" % name)
            suite.restart()
            deliver()
            check()
            backup = os.path.join(suite.directory, "backup")
            suite.ctl("store", "backup", backup)
            suite.stop()
            store = os.path.join(suite.directory, "data", "store")
            for name in os.listdir(store):
                path = os.path.join(store, name)
                (shutil.rmtree if os.path.isdir(path) else os.remove)(path)
            self.at_rest("store", "restore", backup, store)
            suite.start()
            check()
            suite.stop()
            for name in os.listdir(os.path.join(store, "index")):
                os.remove(os.path.join(store, "index", name))
            self.at_rest("store", "salvage", store)
            suite.start()
            check()

    def at_rest(self, *words):
        """mailctl without a suite."""
        done = subprocess.run([os.path.join(BUILD, "bin", "mailctl"), *words],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout)

    @staticmethod
    def comes(check):
        """Logins fail for a moment after a kill; a wrong body must not be passed over."""
        try:
            check()
        except (imaplib.IMAP4.error, OSError):
            return False
        return True


if __name__ == "__main__":
    unittest.main()
