# SPDX-License-Identifier: ISC
"""pop3d as Python's poplib and impatient clients meet it."""

import os
import poplib
import signal
import unittest

from suite import Suite, compose, wait_until


class Deadline(unittest.TestCase):
    def test_a_login_is_over_in_time_even_while_authd_thinks(self):
        with Suite(config='login-timeout = "2s"\nplaintext-login = yes\n') as suite:
            authd = suite.pids("authd")[0]
            with suite.connect("pop3", timeout=10) as client:
                self.assertTrue(client.recv(1000).startswith(b"+OK"))
                os.kill(authd, signal.SIGSTOP)
                try:
                    client.sendall(b"USER %s\r\nPASS x\r\n" % suite.alice.encode())
                    self.assertTrue(client.recv(1000).startswith(b"+OK"))
                    self.assertEqual(b"", client.recv(1000))
                finally:
                    os.kill(authd, signal.SIGCONT)


class Pop3(unittest.TestCase):
    def setUp(self):
        self.suite = Suite()
        self.suite.__enter__()
        self.addCleanup(self.suite.__exit__, None, None, None)

    def deliver(self, count):
        with self.suite.smtp() as client:
            for n in range(count):
                client.sendmail("a@x.org", [self.suite.bob],
                                compose("a@x.org", self.suite.bob, f"number {n}", ".dot\n"))
        self.suite.wait_for_messages(count)

    def test_read_delete_and_keep(self):
        self.deliver(3)
        client = self.suite.pop3("bob")
        count, octets = client.stat()
        self.assertEqual(count, 3)
        sizes = [int(line.split()[1]) for line in client.list()[1]]
        self.assertEqual(sum(sizes), octets)
        _, lines, _ = client.retr(2)
        self.assertIn(b"Subject: number 1", lines)
        self.assertIn(b".dot", lines)
        self.assertEqual(sum(len(line) + 2 for line in lines), sizes[1])
        _, head, _ = client.top(1, 0)
        self.assertNotIn(b".dot", head)
        uidls = [line.split()[1] for line in client.uidl()[1]]
        self.assertEqual(len(set(uidls)), 3)
        client.dele(2)
        self.assertEqual(client.stat()[0], 2)
        client.rset()
        client.dele(1)
        client.quit()
        client = self.suite.pop3("bob")
        self.assertEqual([line.split()[1] for line in client.uidl()[1]], uidls[1:])
        client.quit()

    def test_a_lost_connection_deletes_nothing(self):
        self.deliver(2)
        client = self.suite.pop3("bob")
        client.dele(1)
        client.close()
        wait_until(lambda: self.can_log_in(), "the maildrop is free again")
        self.assertEqual(len(self.suite.messages()), 2)

    def can_log_in(self):
        try:
            self.suite.pop3("bob").quit()
            return True
        except poplib.error_proto:
            return False

    def test_one_session_per_maildrop(self):
        first = self.suite.pop3("bob")
        with self.assertRaises(poplib.error_proto) as caught:
            self.suite.pop3("bob")
        self.assertIn(b"[IN-USE]", caught.exception.args[0])
        first.quit()
        self.suite.pop3("bob").quit()

    def test_stls_and_capabilities(self):
        host, port = self.suite.place("pop3")
        client = poplib.POP3(host, port, timeout=30)
        before = client.capa()
        self.assertIn("STLS", before)
        self.assertNotIn("USER", before)
        client.stls(context=self.suite.tls_context())
        after = client.capa()
        for name in ("USER", "SASL", "TOP", "UIDL", "PIPELINING", "RESP-CODES", "UTF8"):
            self.assertIn(name, after)
        self.assertNotIn("STLS", after)
        client.user(self.suite.bob)
        client.pass_(self.suite.account(self.suite.bob)[1])
        client.quit()

    def test_wrong_password_is_told_with_its_code(self):
        host, port = self.suite.place("pop3s")
        client = poplib.POP3_SSL(host, port, context=self.suite.tls_context(), timeout=30)
        client.user(self.suite.bob)
        with self.assertRaises(poplib.error_proto) as caught:
            client.pass_("wrong")
        self.assertIn(b"[AUTH]", caught.exception.args[0])
        client.user(self.suite.bob)
        client.pass_(self.suite.account(self.suite.bob)[1])
        client.quit()

    def test_many_commands_in_flight(self):
        self.deliver(12)
        with self.suite.connect("pop3s") as secure, secure.makefile("rb") as reader:
            reader.readline()
            secure.sendall(b"USER %s\r\nPASS %s\r\n" % (
                self.suite.bob.encode(), self.suite.account(self.suite.bob)[1].encode()))
            self.assertTrue(reader.readline().startswith(b"+OK"))
            self.assertTrue(reader.readline().startswith(b"+OK"))
            secure.sendall(b"".join(b"RETR %d\r\n" % (n % 12 + 1) for n in range(500)) + b"QUIT\r\n")
            seen = 0
            for line in reader:
                if line == b".\r\n":
                    seen += 1
            self.assertEqual(seen, 500)


if __name__ == "__main__":
    unittest.main()
