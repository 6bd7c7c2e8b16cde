# SPDX-License-Identifier: ISC
"""smtpd as strangers, people at a terminal and Python's smtplib meet it."""

import base64
import re
import smtplib
import socket
import unittest

from suite import Suite, compose, wait_until


class Smtp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.suite = Suite(config='message-size = "1M"\nhostname = "hamburger.edu"\n')
        cls.suite.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.suite.__exit__(None, None, None)

    def talk(self, *lines, service="smtp"):
        """Types lines one by one and returns the last line of each reply."""
        replies = []
        with self.suite.connect(service) as plain, plain.makefile("rb") as reader:
            def reply():
                while True:
                    line = reader.readline().decode()
                    if line[3:4] != "-":
                        replies.append(line.rstrip("\r\n"))
                        return
            reply()
            for line in lines:
                plain.sendall(line.encode() + b"\r\n")
                reply()
        return replies

    def test_the_textbook_dialogue(self):
        replies = self.talk(
            "HELO crepes.fr", "MAIL FROM: <alice@crepes.fr>", f"RCPT TO: <{self.suite.bob}>", "DATA",
            "Do you like ketchup?\r\nHow about pickles?\r\n.", "QUIT")
        self.assertTrue(replies[0].startswith("220 hamburger.edu"), replies[0])
        self.assertEqual(replies[1], "250 Hello crepes.fr, pleased to meet you")
        self.assertEqual(replies[2], "250 2.1.0 alice@crepes.fr... Sender ok")
        self.assertEqual(replies[3], f"250 2.1.5 {self.suite.bob}... Recipient ok")
        self.assertEqual(replies[4], '354 Enter mail, end with "." on a line by itself')
        self.assertRegex(replies[5], r"^250 2\.0\.0 \S+ Message accepted for delivery$")
        self.assertEqual(replies[6], "221 2.0.0 hamburger.edu closing connection")
        found = self.suite.wait_for_messages(1)
        self.assertTrue(any(b"\r\n\r\nDo you like ketchup?\r\nHow about pickles?\r\n" in m
                            for m in found))

    def test_a_stranger_cannot_relay(self):
        replies = self.talk("EHLO x.org", "MAIL FROM:<a@x.org>", "RCPT TO:<b@elsewhere.org>")
        self.assertTrue(replies[-1].startswith("550 5.7.1"), replies[-1])

    def test_an_unknown_user_is_refused_at_once(self):
        replies = self.talk("EHLO x.org", "MAIL FROM:<a@x.org>", "RCPT TO:<nobody@example.org>")
        self.assertTrue(replies[-1].startswith("550 5.1.1"), replies[-1])

    def test_postmaster_is_always_there(self):
        replies = self.talk("EHLO x.org", "MAIL FROM:<a@x.org>", "RCPT TO:<postmaster@example.org>")
        self.assertTrue(replies[-1].startswith("250 2.1.5"), replies[-1])

    def test_no_password_without_tls(self):
        replies = self.talk("EHLO x.org", "AUTH PLAIN AGEAYg==", service="submission")
        self.assertRegex(replies[-1], r"^(530|538|503) ")

    def test_submission_wants_a_login(self):
        replies = self.talk("EHLO x.org", f"MAIL FROM:<{self.suite.alice}>", service="submission")
        self.assertTrue(replies[-1].startswith("530"), replies[-1])

    def test_smuggled_line_ends_do_not_end_the_data(self):
        for ending in (b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r"):
            with self.subTest(ending=ending), self.suite.connect("smtp") as plain:
                reader = plain.makefile("rb")
                reader.readline()
                for line in (b"HELO x", b"MAIL FROM:<a@x.org>",
                             b"RCPT TO:<%s>" % self.suite.bob.encode(), b"DATA"):
                    plain.sendall(line + b"\r\n")
                    reply = reader.readline()
                self.assertTrue(reply.startswith(b"354"))
                plain.sendall(b"Subject: smuggle\r\n\r\nx" + ending +
                              b"MAIL FROM:<evil@x.org>\r\n\r\n.\r\n")
                reply = reader.readline()
                self.assertRegex(reply, rb"^5\d\d ")
                plain.sendall(b"NOOP\r\n")
                self.assertTrue(reader.readline().startswith(b"250"))
        self.assertFalse(any(b"smuggle" in m for m in self.suite.messages()))

    def test_commands_injected_before_tls_are_thrown_away(self):
        with self.suite.connect("submission") as plain:
            reader = plain.makefile("rb")
            reader.readline()
            plain.sendall(b"EHLO x\r\n")
            while reader.readline()[3:4] == b"-":
                pass
            plain.sendall(b"STARTTLS\r\nRSET\r\nNOOP\r\n")
            self.assertTrue(reader.readline().startswith(b"220"))
            plain.settimeout(10)
            try:
                with self.suite.tls_context().wrap_socket(
                        plain, server_hostname=self.suite.settings["hostname"]) as secure:
                    secure.settimeout(2)
                    with self.assertRaises((TimeoutError, socket.timeout, OSError)):
                        self.assertEqual(secure.recv(100), b"never")
                        raise OSError
            except OSError:
                pass  # refusing the handshake is right, too

    def test_too_big_is_refused_before_and_after_data(self):
        replies = self.talk("EHLO x.org", "MAIL FROM:<a@x.org> SIZE=1048577")
        self.assertTrue(replies[-1].startswith("552 5.3.4"), replies[-1])
        with self.suite.smtp() as client:
            client.ehlo()
            client.mail("a@x.org")
            client.rcpt(self.suite.bob)
            code, _ = client.data((b"y" * 70 + b"\r\n") * 20000)
            self.assertEqual(code, 552)
            self.assertEqual(client.noop()[0], 250)

    def test_overlong_lines_and_garbage_get_an_error_not_a_hang(self):
        replies = self.talk("A" * 5000, "\x00\xff", "EHLO", "NOOP")
        self.assertEqual([r[:1] for r in replies], ["2", "5", "5", "5", "2"])

    def test_too_many_errors_end_politely(self):
        with self.suite.connect("smtp") as plain, plain.makefile("rb") as reader:
            reader.readline()
            plain.sendall(b"BOGUS\r\n" * 100)
            lines = reader.read().decode().splitlines()
        self.assertTrue(lines[-1].startswith("421"), lines[-1])

    def test_pipelined_transaction(self):
        with self.suite.connect("smtp") as plain, plain.makefile("rb") as reader:
            reader.readline()
            plain.sendall(b"EHLO x.org\r\n")
            while reader.readline()[3:4] == b"-":
                pass
            plain.sendall(b"MAIL FROM:<a@x.org>\r\nRCPT TO:<nobody@example.org>\r\nRCPT TO:<%s>\r\n"
                          b"DATA\r\n" % self.suite.bob.encode())
            codes = [reader.readline()[:3] for _ in range(4)]
            self.assertEqual(codes, [b"250", b"550", b"250", b"354"])
            plain.sendall(b"Subject: piped\r\n\r\n..dot\r\n.\r\nQUIT\r\n")
            self.assertEqual([reader.readline()[:3] for _ in range(2)], [b"250", b"221"])
        wait_until(lambda: any(b"\r\n\r\n.dot\r\n" in m for m in self.suite.messages()),
                   "the dot-stuffed message")

    def test_chunking_with_bdat(self):
        with self.suite.connect("smtp") as plain, plain.makefile("rb") as reader:
            reader.readline()
            plain.sendall(b"EHLO x.org\r\n")
            while reader.readline()[3:4] == b"-":
                pass
            plain.sendall(b"MAIL FROM:<a@x.org>\r\nRCPT TO:<%s>\r\nBDAT 18\r\nSubject: chunks\r\n\r"
                          b"BDAT 7 LAST\r\n\nbody\r\n" % self.suite.bob.encode())
            codes = [reader.readline()[:3] for _ in range(4)]
            self.assertEqual(codes, [b"250"] * 4)
        wait_until(lambda: any(b"Subject: chunks\r\n\r\nbody\r\n" in m
                               for m in self.suite.messages()), "the chunked message")

    def test_submission_adds_what_is_missing(self):
        with self.suite.submission() as client:
            client.sendmail(self.suite.alice, [self.suite.bob],
                            f"From: {self.suite.alice}\r\nSubject: bare\r\n\r\nx\r\n")
        found = wait_until(lambda: [m for m in self.suite.messages() if b"Subject: bare" in m],
                           "the submitted message")[0]
        self.assertEqual(len(re.findall(rb"(?m)^Date: ", found)), 1)
        self.assertEqual(len(re.findall(rb"(?mi)^Message-ID: <", found)), 1)

    def test_an_account_sends_only_as_itself(self):
        with self.suite.submission() as client:
            with self.assertRaises(smtplib.SMTPSenderRefused) as caught:
                client.sendmail(self.suite.bob, [self.suite.bob], "x")
            self.assertIn(caught.exception.smtp_code, (550, 553))
            with self.assertRaises(smtplib.SMTPDataError):
                client.sendmail(self.suite.alice, [self.suite.bob],
                                f"From: {self.suite.bob}\r\nSubject: forged\r\n\r\nx\r\n")

    def test_a_failed_login_does_not_end_the_connection(self):
        client = self.suite.smtp("submission")
        client.starttls(context=self.suite.tls_context())
        with self.assertRaises(smtplib.SMTPAuthenticationError):
            client.login(self.suite.alice, "wrong password")
        client.login(self.suite.alice, self.suite.account(self.suite.alice)[1])
        client.quit()

    def test_login_and_submissions_port(self):
        with self.suite.smtp("submissions") as client:
            client.ehlo()
            client.user, client.password = self.suite.alice, self.suite.account(self.suite.alice)[1]
            code, _ = client.auth("LOGIN", client.auth_login)
            self.assertEqual(code, 235)

    def test_subaddress_and_alias_reach_the_account(self):
        self.suite.ctl("alias", "add", "team@example.org", self.suite.alice, self.suite.bob)
        with self.suite.smtp() as client:
            client.sendmail("a@x.org", ["team@example.org", "bob+news@example.org"],
                            compose("a@x.org", "team@example.org", "to the team"))
        wait_until(lambda: any(b"to the team" in m for m in self.suite.messages(self.suite.alice)),
                   "the alias's message")
        copies = wait_until(lambda: [m for m in self.suite.messages() if b"to the team" in m],
                            "bob's copy")
        self.assertEqual(len(copies), 1)

    def test_an_eight_bit_message_is_kept_to_the_octet(self):
        octets = bytes(n for n in range(1, 256) if n not in (10, 13)) + b"\r\n"
        with self.suite.smtp() as client:
            client.sendmail("a@x.org", [self.suite.bob],
                            b"Subject: octets\r\n\r\n" + octets, ["BODY=8BITMIME"])
        found = wait_until(lambda: [m for m in self.suite.messages() if b"Subject: octets" in m],
                           "the message")[0]
        self.assertTrue(found.endswith(b"\r\n\r\n" + octets))

    def test_vanished_peers_leave_nothing(self):
        for _ in range(50):
            with self.suite.connect("smtp") as plain:
                plain.sendall(b"EHLO x\r\nMAIL FROM:<a@x.org>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: half"
                              % self.suite.bob.encode())
        with self.suite.smtp() as client:
            self.assertEqual(client.noop()[0], 250)
        self.assertFalse(any(b"Subject: half" in m for m in self.suite.messages()))

    def test_scram_sha_256(self):
        import hashlib
        import hmac
        import os
        client = self.suite.smtp("submission")
        client.starttls(context=self.suite.tls_context())
        client.ehlo()
        nonce = base64.b64encode(os.urandom(12)).decode()
        first = f"n={self.suite.alice},r={nonce}"
        code, challenge = client.docmd("AUTH", "SCRAM-SHA-256 " +
                                       base64.b64encode(f"n,,{first}".encode()).decode())
        self.assertEqual(code, 334, challenge)
        server = base64.b64decode(challenge).decode()
        fields = dict(part.split("=", 1) for part in server.split(","))
        self.assertTrue(fields["r"].startswith(nonce))
        salted = hashlib.pbkdf2_hmac("sha256", self.suite.account(self.suite.alice)[1].encode(),
                                     base64.b64decode(fields["s"]), int(fields["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        bare = f"c=biws,r={fields['r']}"
        signed = f"{first},{server},{bare}".encode()
        proof = bytes(a ^ b for a, b in zip(
            key, hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")))
        final = f"{bare},p={base64.b64encode(proof).decode()}"
        code, answer = client.docmd(base64.b64encode(final.encode()).decode())
        if code == 334:
            verifier = base64.b64decode(answer)
            code, answer = client.docmd("")
        else:
            verifier = base64.b64decode(answer.split()[-1])
        self.assertEqual(code, 235, answer)
        expected = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
        self.assertEqual(verifier, b"v=" + base64.b64encode(expected))
        client.quit()


if __name__ == "__main__":
    unittest.main()
