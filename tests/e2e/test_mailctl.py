# SPDX-License-Identifier: ISC
"""mailctl against a whole suite: what an administrator does, and what it says when it cannot."""

import poplib
import socket
import unittest

from suite import CommandFailed, Suite, wait_until


class MailctlTest(unittest.TestCase):
    def setUp(self):
        self.suite = Suite()
        self.suite.__enter__()
        self.addCleanup(self.suite.__exit__, None, None, None)

    def ctl(self, *words, **more):
        return self.suite.ctl(*words, **more)

    def refused(self, status, *words, **more):
        with self.assertRaises(CommandFailed) as failed:
            self.ctl(*words, **more)
        self.assertEqual(failed.exception.status, status, failed.exception)
        return failed.exception.error

    def log_in(self, address, password):
        host, port = self.suite.place("pop3s")
        client = poplib.POP3_SSL(host, port, context=self.suite.tls_context(), timeout=30)
        try:
            client.user(address)
            client.pass_(password)
            return True
        except poplib.error_proto:
            return False
        finally:
            client.close()

    def test_the_life_of_an_account(self):
        self.ctl("domain", "add", "example.net")
        self.ctl("account", "add", "ann@example.net", given="first pass \"w\\ord\"\n")
        self.assertTrue(self.log_in("ann@example.net", "first pass \"w\\ord\""))
        self.ctl("account", "passwd", "ann@example.net", given="the second\n")
        self.assertFalse(self.log_in("ann@example.net", "first pass \"w\\ord\""))
        self.assertTrue(self.log_in("ann@example.net", "the second"))
        self.ctl("account", "disable", "ann@example.net")
        self.assertFalse(self.log_in("ann@example.net", "the second"))
        self.ctl("account", "enable", "ann@example.net")
        self.assertTrue(self.log_in("ann@example.net", "the second"))
        listed = [a["address"] for a in self.ctl("account", "list", "example.net")]
        self.assertEqual(listed, ["ann@example.net"])
        self.suite.deliver("ann@example.net", "Subject: x\n\ny\n")
        self.assertEqual(self.ctl("account", "show", "ann@example.net")["store"]["messages"], 1)
        self.refused(1, "domain", "remove", "example.net")
        self.ctl("account", "remove", "ann@example.net")
        self.assertFalse(self.log_in("ann@example.net", "the second"))
        self.assertEqual(self.ctl("account", "list", "example.net"), [])
        self.ctl("domain", "remove", "example.net")
        self.assertEqual([d["domain"] for d in self.ctl("domain", "list")], ["example.org"])

    def test_an_account_made_again_has_nothing_of_the_old_one(self):
        self.ctl("account", "add", "ann@example.org", given="one password\n")
        self.suite.deliver("ann@example.org", "Subject: x\n\ny\n")
        self.ctl("account", "remove", "ann@example.org")
        self.ctl("account", "add", "ann@example.org", given="two passwords\n")
        self.assertFalse(self.log_in("ann@example.org", "one password"))
        self.assertTrue(self.log_in("ann@example.org", "two passwords"))
        self.assertEqual(self.ctl("account", "show", "ann@example.org")["store"]["messages"], 0)

    def test_aliases_lead_to_accounts(self):
        self.ctl("alias", "add", "office@example.org", "alice@example.org", "bob@example.org")
        self.suite.deliver("office@example.org", "Subject: x\n\ny\n")
        for name in ("alice", "bob"):
            address = self.suite.account(name)[0]
            self.assertEqual(self.ctl("account", "show", address)["store"]["messages"], 1)
        self.ctl("alias", "remove", "office@example.org", "bob@example.org")
        aliases = {a["alias"]: a["targets"] for a in self.ctl("alias", "list")}
        self.assertEqual(aliases["office@example.org"], ["alice@example.org"])
        self.ctl("alias", "remove", "office@example.org")
        self.assertEqual(self.ctl("alias", "list"), [])

    def test_refusals_say_why_and_have_their_status(self):
        for words in (("account", "show", "nobody@example.org"), ("domain", "show", "nowhere.org"),
                      ("domain", "add", "example.org"), ("domain", "add", "no..domain"),
                      ("queue", "show", "xyz"), ("alias", "remove", "x@example.org")):
            with self.subTest(words):
                error = self.refused(1, *words)
                self.assertTrue(error.startswith("mailctl: ") and len(error) > 12, error)
        self.refused(1, "account", "add", "x@nowhere.org", given="long enough\n")
        self.refused(1, "account", "add", "x@example.org", given="")
        self.refused(2, "account")
        self.refused(2, "account", "add")
        self.refused(2, "status", "nobody")
        self.refused(2, "no-such-command")

    def test_sessions_are_listed_and_ended(self):
        imap = self.suite.imap("alice")
        pop3 = self.suite.pop3("bob")
        sessions = self.ctl("session", "list")
        self.assertEqual(sorted((s["service"], s["account"], s["tls"]) for s in sessions),
                         [("imaps", "alice@example.org", True), ("pop3s", "bob@example.org", True)])
        for session in sessions:
            self.ctl("session", "end", session["session"])
        wait_until(lambda: self.ctl("session", "list") == [], "the end of the sessions")
        with self.assertRaises((OSError, EOFError, poplib.error_proto)):
            pop3.noop()
        imap.shutdown()
        self.refused(1, "session", "end", "pop3d/0/999")
        self.refused(2, "session", "end", "pop3d")

    def test_every_process_has_a_status(self):
        for name in ("authd", "smtpd", "queued", "relayd", "deliverd", "mailboxd", "imapd",
                     "pop3d"):
            with self.subTest(name):
                self.assertTrue(self.ctl("status", name))
        text = self.ctl("status", json_wanted=False)
        for word in ("state: running", "mailboxd", "restarts", "pop3s"):
            self.assertIn(word, text)

    def test_reload_moves_a_listener_and_keeps_sessions(self):
        pop3, imap = self.suite.pop3("bob"), self.suite.imap("alice")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            new = probe.getsockname()[1]
        old = self.suite.settings["pop3s"]["port"]
        with open(self.suite.settings["config"]) as config:
            text = config.read()
        for _ in range(3):
            for one, other in ((old, new), (new, old)):
                with open(self.suite.settings["config"], "w") as out:
                    out.write(text.replace(":%d\"" % old, ":%d\"" % other))
                self.ctl("reload")
                self.suite.settings["pop3s"]["port"] = other
                wait_until(lambda: self.can_connect(other), "the new listener")
                wait_until(lambda: not self.can_connect(one), "the end of the old one")
        pop3.noop()
        imap.noop()
        self.assertTrue(self.log_in(*self.suite.account("alice")))

    def can_connect(self, port):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=30).close()
            return True
        except ConnectionRefusedError:
            return False

    def test_dns_records_are_shown(self):
        records = {(r["name"], r["type"]): r["value"] for r in self.ctl("dns", "example.net")}
        self.assertEqual(records["example.net.", "MX"], "10 mail.example.org.")
        self.assertEqual(records["_imaps._tcp.example.net.", "SRV"], "0 1 993 mail.example.org.")
        self.assertIn("v=spf1", records["example.net.", "TXT"])
        self.assertIn("mailto:postmaster@example.net", records["_dmarc.example.net.", "TXT"])

    def test_the_store_is_verified(self):
        self.suite.deliver("alice@example.org", "Subject: x\n\n%s\n" % ("y" * 5000))
        self.assertEqual(self.ctl("store", "stat")["messages"], 1)
        verified = self.ctl("store", "verify")
        self.assertEqual((verified["messages"], verified["findings"]), (1, 0))


if __name__ == "__main__":
    unittest.main()
