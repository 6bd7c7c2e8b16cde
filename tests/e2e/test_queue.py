# SPDX-License-Identifier: ISC
"""The queue and the way to other hosts: retries, notices, MX, TLS, restarts."""

import email
import os
import signal
import unittest

from sink import Nsd, Sink, broken_tls, server_tls
from suite import Suite, compose, wait_until

FAST = 'retry-first = "200ms"\nretry-last = "500ms"\n'


def report_of(message):
    """The delivery-status part of a notice, as a list of field groups."""
    for part in email.message_from_bytes(message).walk():
        if part.get_content_type() == "message/delivery-status":
            return part.get_payload()
    raise AssertionError("no delivery status in %r" % message)


def send(suite, recipients, text="hello\r\n", **options):
    sender = suite.alice
    with suite.submission("alice") as client:
        return client.sendmail(sender, recipients, compose(sender, recipients[0], text=text),
                               **options)


def queued(suite):
    return suite.ctl("queue", "list")["messages"]


def wait_empty(suite):
    wait_until(lambda: not queued(suite), "an empty queue")


class Relay(unittest.TestCase):
    def setUp(self):
        self.sink = Sink()
        self.addCleanup(self.sink.close)

    def start(self, config=""):
        suite = Suite(config='route "*" { via = "127.0.0.1:%d" }\n%s%s'
                      % (self.sink.port, FAST, config))
        suite.__enter__()
        self.addCleanup(lambda: suite.__exit__(None, None, None))
        self.suite = suite
        return suite

    def test_a_message_arrives_as_it_was_sent(self):
        suite = self.start()
        send(suite, ["x@far.test", "y@far.test"], "one\r\n.two\r\n..three\r\n.\r\nend\r\n")
        mail, recipients, body = self.sink.wait(1)[0]
        self.assertIn("FROM:<alice@example.org>", mail)
        self.assertEqual(["RCPT TO:<x@far.test>", "RCPT TO:<y@far.test>"], sorted(recipients))
        self.assertIn(b"\r\n\r\none\r\n.two\r\n..three\r\n.\r\nend\r\n", body)
        self.assertTrue(body.startswith(b"Received: "), body[:100])
        wait_empty(suite)

    def test_connections_are_used_again(self):
        suite = self.start('relay-connections-per-host = 2\n')
        for number in range(20):
            send(suite, ["r%d@far.test" % number])
        self.sink.wait(20)
        self.assertLess(self.sink.sessions, 15)

    def test_a_refused_recipient_comes_back_as_a_report(self):
        self.sink.rcpt = lambda line: ("550 5.1.1 no such user" if "bad" in line else "250 ok")
        suite = self.start()
        send(suite, ["bad@far.test", "good@far.test"], rcpt_options=["NOTIFY=FAILURE"])
        self.sink.wait(1)
        notice = suite.wait_for_messages(1, "alice")[0]
        message, recipient = report_of(notice)[:2]
        self.assertTrue(notice.startswith(b"Return-Path: <>\r\n"), notice[:100])
        self.assertEqual("dns; mail.example.org", message["Reporting-MTA"])
        self.assertEqual("rfc822; bad@far.test", recipient["Final-Recipient"])
        self.assertEqual("failed", recipient["Action"])
        self.assertEqual("5.1.1", recipient["Status"])
        self.assertEqual("smtp; 550 5.1.1 no such user", recipient["Diagnostic-Code"])
        wait_empty(suite)

    def test_never_means_never(self):
        self.sink.rcpt = lambda line: "550 5.1.1 no"
        suite = self.start()
        send(suite, ["bad@far.test"], rcpt_options=["NOTIFY=NEVER"])
        wait_until(lambda: any("bad" in line for line in self.sink.lines), "the attempt")
        wait_empty(suite)
        self.assertEqual([], suite.messages("alice"))

    def test_success_is_reported_when_the_other_host_does_not(self):
        self.sink.extensions = []
        suite = self.start()
        send(suite, ["x@far.test"], rcpt_options=["NOTIFY=SUCCESS"])
        notice = suite.wait_for_messages(1, "alice")[0]
        self.assertEqual("relayed", report_of(notice)[1]["Action"])

    def test_success_is_left_to_a_host_with_dsn(self):
        suite = self.start()
        send(suite, ["x@far.test"], mail_options=["RET=HDRS", "ENVID=Q+2B1"],
             rcpt_options=["NOTIFY=SUCCESS", "ORCPT=rfc822;x+2Bd@far.test"])
        mail, recipients, _ = self.sink.wait(1)[0]
        self.assertIn(" RET=HDRS ENVID=Q+2B1", mail)
        self.assertIn(" NOTIFY=SUCCESS ORCPT=rfc822;x+2Bd@far.test", recipients[0])
        wait_empty(suite)
        self.assertEqual([], suite.messages("alice"))

    def test_a_temporary_refusal_is_tried_again(self):
        tries = []
        self.sink.rcpt = lambda line: (tries.append(line) or
                                       ("450 4.2.1 later" if len(tries) < 3 else "250 ok"))
        suite = self.start()
        send(suite, ["x@far.test"])
        self.sink.wait(1)
        self.assertEqual(3, len(tries))
        wait_empty(suite)
        self.assertEqual([], suite.messages("alice"))

    def test_a_delay_is_told_once_and_then_the_end(self):
        self.sink.rcpt = lambda line: "450 4.2.1 later"
        suite = self.start('delay-notice = "500ms"\nqueue-lifetime = "2s"\n')
        send(suite, ["x@far.test"])
        notices = suite.wait_for_messages(2, "alice")
        self.assertEqual(["delayed", "failed"], [report_of(n)[1]["Action"] for n in notices])
        self.assertIn("Will-Retry-Until", report_of(notices[0])[1])
        wait_empty(suite)

    def test_the_whole_message_comes_back_when_asked_for(self):
        self.sink.dot = lambda: "554 5.6.0 not this"
        suite = self.start()
        send(suite, ["x@far.test"], "a very special body\r\n", mail_options=["RET=FULL"])
        notice = suite.wait_for_messages(1, "alice")[0]
        self.assertIn(b"a very special body", notice)
        self.assertIn(b"Content-Type: message/rfc822", notice)

    def test_hold_release_and_remove(self):
        self.sink.rcpt = lambda line: "450 4.2.1 later"
        suite = self.start()
        send(suite, ["x@far.test"])
        send(suite, ["y@far.test"])
        wait_until(lambda: [m["recipients"][0]["attempts"] > 0 for m in queued(suite)] ==
                   [True, True], "a try of both")
        first, second = [message["id"] for message in sorted(
            queued(suite), key=lambda m: m["recipients"][0]["address"])]
        suite.ctl("queue", "hold", first)
        wait_until(lambda: suite.ctl("queue", "show", first)["messages"][0]["recipients"][0]
                   ["state"] == "held", "held")
        suite.ctl("queue", "remove", second)
        wait_until(lambda: [m["id"] for m in queued(suite)] == [first], "one message left")
        self.sink.rcpt = lambda line: "250 ok" if "<x@" in line else "450 4.2.1 later"
        suite.ctl("queue", "release", first)
        self.sink.wait(1)
        wait_empty(suite)
        self.assertEqual(1, len(self.sink.messages))

    def test_the_queue_survives_a_kill_of_everything(self):
        port = self.sink.port
        suite = self.start()
        self.sink.close()
        for number in range(10):
            send(suite, ["x%d@far.test" % number])
        self.assertEqual(10, len(queued(suite)))
        suite.kill_all()
        self.sink = Sink(port=port)
        suite.start()
        suite.ctl("queue", "retry", "all")
        self.sink.wait(10)
        wait_empty(suite)
        self.assertEqual(10, len({recipients[0] for _, recipients, _ in self.sink.messages}))

    def test_a_dead_relayd_costs_seconds(self):
        suite = self.start()
        suite.kill("relayd", signal.SIGKILL)
        send(suite, ["x@far.test"])
        self.sink.wait(1)
        wait_empty(suite)

    def test_local_mail_waits_for_a_dead_deliverd(self):
        suite = self.start()
        suite.kill("deliverd", signal.SIGKILL)
        suite.deliver(suite.bob, compose("s@far.test", suite.bob))
        self.assertEqual(1, len(suite.wait_for_messages(1, "bob")))
        wait_empty(suite)

    def test_local_mail_is_queued_when_the_deadline_passes_and_comes_once(self):
        suite = self.start('local-deadline = "300ms"\n')
        pid = suite.kill("deliverd", signal.SIGSTOP)
        suite.deliver(suite.bob, compose("s@far.test", suite.bob))
        self.assertEqual(1, len(queued(suite)))
        suite.ctl("queue", "retry", "all")
        os.kill(pid, signal.SIGCONT)
        suite.wait_for_messages(1, "bob")
        wait_empty(suite)
        self.assertEqual(1, len(suite.messages("bob")))

    def test_an_alias_leads_out_of_the_house(self):
        suite = self.start()
        suite.ctl("alias", "add", "both@example.org", suite.bob, "friend@far.test")
        suite.deliver("both@example.org", compose("s@far.test", "both@example.org"),
                      sender="s@far.test")
        suite.wait_for_messages(1, "bob")
        mail, recipients, _ = self.sink.wait(1)[0]
        self.assertIn("FROM:<s@far.test>", mail)
        self.assertIn("<friend@far.test>", recipients[0])
        self.assertEqual(1, len(suite.messages("bob")))

    def test_tls_is_used_when_it_is_offered(self):
        suite = self.start()
        self.sink.tls = server_tls(suite.directory + "/host.crt", suite.directory + "/host.key")
        send(suite, ["x@far.test"])
        self.sink.wait(1)
        self.assertEqual(1, self.sink.handshakes)

    def test_mail_goes_without_tls_when_it_is_broken(self):
        suite = self.start()
        self.sink.tls = broken_tls
        send(suite, ["x@far.test"])
        self.sink.wait(1)
        self.assertEqual(1, self.sink.handshakes)

    def test_tls_that_must_be_is_not_left_out(self):
        self.sink.tls = broken_tls
        suite = Suite(config='route "*" { via = "127.0.0.1:%d" tls = "must" }\n%s'
                      'queue-lifetime = "1s"\n' % (self.sink.port, FAST))
        with suite:
            send(suite, ["x@far.test"])
            suite.wait_for_messages(1, "alice")
            self.assertEqual([], self.sink.messages)


class Dns(unittest.TestCase):
    """Hosts found by DNS: all of them on loopback addresses and one port."""

    RECORDS = """
two MX 10 dead.two
two MX 20 live.two
dead.two A 127.0.0.2
live.two A 127.0.0.1
bare A 127.0.0.1
busy A 127.0.0.1
busy A 127.0.0.3
busy A 127.0.0.4
busy A 127.0.0.5
busy A 127.0.0.6
null MX 0 .
loop MX 10 mail.example.org.
away MX 10 nowhere.away
odd MX 10 a\\@b.odd
odd A 127.0.0.1
"""

    @classmethod
    def setUpClass(cls):
        cls.sink = Sink()
        cls.nsd = Nsd(cls.RECORDS)
        cls.suite = Suite(config='resolver = "%s"\nrelay-port = %d\n%s'
                          % (cls.nsd.resolver, cls.sink.port, FAST))
        cls.suite.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.suite.__exit__(None, None, None)
        cls.nsd.close()
        cls.sink.close()

    def bounce_of(self, recipient):
        send(self.suite, [recipient])

        def find():
            for message in self.suite.messages("alice"):
                group = report_of(message)[1]
                if group["Final-Recipient"] == "rfc822; " + recipient:
                    return group
            return None
        return wait_until(find, "the notice of " + recipient)

    def relayed(self, recipient):
        send(self.suite, [recipient])
        wait_until(lambda: any("<%s>" % recipient in line for _, lines, _ in self.sink.messages
                               for line in lines), recipient)

    def test_the_next_host_takes_what_the_best_cannot(self):
        self.relayed("x@two.test")

    def test_without_mx_the_domain_is_the_host(self):
        self.relayed("x@bare.test")

    def test_the_next_address_takes_what_others_are_too_busy_for(self):
        for n in range(3, 7):
            busy = Sink("127.0.0.%d" % n, self.sink.port)
            busy.greeting = "421 4.3.2 too busy"
            self.addCleanup(busy.close)
        self.relayed("x@busy.test")

    def test_an_address_literal_is_the_host(self):
        self.relayed("x@[127.0.0.1]")

    def test_a_null_mx_takes_no_mail(self):
        self.assertEqual("5.1.10", self.bounce_of("x@null.test")["Status"])

    def test_we_ourselves_are_a_loop(self):
        self.assertEqual("5.4.6", self.bounce_of("x@loop.test")["Status"])

    def test_no_such_domain(self):
        self.assertEqual("5.1.2", self.bounce_of("x@nothing.test")["Status"])

    def test_without_a_usable_mx_the_domain_is_no_host(self):
        self.assertEqual("5.4.4", self.bounce_of("x@odd.test")["Status"])

    def test_a_host_without_address(self):
        self.assertEqual("5.4.4", self.bounce_of("x@away.test")["Status"])


if __name__ == "__main__":
    unittest.main()
