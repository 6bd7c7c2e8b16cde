# SPDX-License-Identifier: ISC
"""maild and mailctl alone: all other processes are tests/tools/stub_daemon.c."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from suite import BUILD, CommandFailed, Suite, is_alive, wait_until

DAEMONS = ("authd", "smtpd", "queued", "relayd", "deliverd", "mailboxd", "imapd", "pop3d")


class MaildTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.binaries = tempfile.mkdtemp(prefix="pabal-stub-")
        os.chmod(cls.binaries, 0o755)
        for program in ("maild", "mailctl"):
            shutil.copy(os.path.join(BUILD, "bin", program), cls.binaries)
        for daemon in DAEMONS:
            shutil.copy(os.path.join(BUILD, "tests", "stub_daemon"),
                        os.path.join(cls.binaries, daemon))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.binaries)

    def suite(self, config="workers = 2", **options):
        return Suite(config=config, binaries=self.binaries, **options)

    def stub(self, suite, name):
        return suite.ctl("status", name)

    def test_everyone_is_wired_to_its_peers_and_configured(self):
        with self.suite("workers = 2\nmessage-size = 1M") as suite:
            self.assertEqual(self.stub(suite, "authd")["peers"], 6)
            self.assertEqual(self.stub(suite, "mailboxd")["peers"], 4)
            self.assertEqual(self.stub(suite, "queued")["peers"], 4)
            self.assertEqual(self.stub(suite, "relayd")["peers"], 1)
            self.assertEqual(self.stub(suite, "authd")["key_files"], 1)
            workers = self.stub(suite, "smtpd")
            self.assertEqual([w["instance"] for w in workers], [0, 1])
            for worker in workers:
                self.assertEqual(worker["message_size"], 1 << 20)
                self.assertEqual(worker["peers"], 2)
            listeners = 2 if suite.settings["ipv6"] else 1
            self.assertEqual(workers[1]["listeners"], 3 * listeners)
            self.assertEqual(self.stub(suite, "pop3d")["listeners"], 2 * listeners)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_as_root_everyone_has_a_user_of_its_own(self):
        with self.suite() as suite:
            uids = [self.stub(suite, name)["uid"] for name in DAEMONS
                    if name not in ("smtpd", "imapd")]
            self.assertEqual(len(set(uids)), len(uids))
            self.assertNotIn(0, uids)
            for name in ("directory", "queue", "store"):
                self.assertNotEqual(
                    os.stat(os.path.join(suite.directory, "data", name)).st_uid, 0)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_maild_keeps_few_of_roots_rights(self):
        with self.suite() as suite:
            with open("/proc/%d/status" % suite.pids("maild")[0]) as status:
                fields = dict(line.split(":", 1) for line in status)
            kept = int(fields["CapEff"], 16)
            self.assertEqual(fields["NoNewPrivs"].strip(), "1")
            # Among others: no ptrace, raw sockets, modules, mounts, network administration.
            for capability in (12, 13, 16, 19, 21, 25, 38, 39):
                self.assertFalse(kept >> capability & 1, capability)
                self.assertFalse(int(fields["CapBnd"], 16) >> capability & 1, capability)
            self.assertTrue(kept >> 10 & 1, "the right to low ports")

    def test_a_dead_process_comes_back_and_is_wired_again(self):
        with self.suite() as suite:
            for name in ("authd", "mailboxd", "smtpd"):
                suite.kill_and_wait(name)
            peers = {"authd": 6, "mailboxd": 4, "queued": 4}
            for name, count in peers.items():
                wait_until(lambda: self.stub(suite, name)["peers"] == count, name)
            restarts = {p["name"]: p["restarts"] for p in suite.status()["processes"]
                        if p["instance"] == 0}
            self.assertEqual(restarts["authd"], 1)
            self.assertEqual(restarts["queued"], 0)

    def test_restarts_back_off(self):
        with self.suite() as suite:
            for _ in range(4):
                suite.kill_and_wait("relayd")
            began = suite.status()
            suite.kill_workers("relayd")
            # 100, 200, 400, 800 ms have passed; the fifth takes 1.6 s.
            wait_until(lambda: [p["state"] for p in suite.status()["processes"]
                                if p["name"] == "relayd"] == ["down"], "its death")
            self.assertEqual(began["state"], "running")
            suite.wait_running()

    def test_a_process_that_breaks_the_rules_is_replaced(self):
        for word in ("babble", "crash"):
            with self.subTest(word), self.suite() as suite:
                pid = suite.pids("queued")[0]
                with self.assertRaises(CommandFailed) as failed:
                    suite.ctl("queue", "show", word)
                self.assertEqual(failed.exception.status, 3)
                wait_until(lambda: pid not in suite.pids("queued"), "its death")
                suite.wait_running()
                self.assertEqual(suite.pids("queued") != [pid], True)

    def test_a_process_that_faces_the_network_cannot_have_another_killed(self):
        with self.suite() as suite:
            authd, smtpd = suite.pids("authd")[0], suite.pids("smtpd")[0]
            try:
                suite.ctl("session", "end", "smtpd/0/accuse")
            except CommandFailed:
                pass  # it died before its answer was read
            wait_until(lambda: smtpd not in suite.pids("smtpd"), "the accuser's death")
            suite.wait_running()
            self.assertEqual(suite.pids("authd"), [authd])
            wait_until(lambda: self.stub(suite, "authd")["peers"] == 6, "the new link")

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_a_first_start_that_was_cut_off_is_finished_by_the_next(self):
        with self.suite() as suite:
            suite.stop()
            store = os.path.join(suite.directory, "data", "store")
            os.chown(store, 0, 0)
            os.chmod(store, 0o700)
            suite.start()
            self.assertNotEqual(os.stat(store).st_uid, 0)
            self.assertEqual(os.stat(store).st_mode & 0o777, 0o750)

    def test_a_refusal_and_a_dead_process_have_their_exit_status(self):
        with self.suite() as suite:
            self.assertEqual(suite.ctl("queue", "list"), {})
            with self.assertRaises(CommandFailed) as failed:
                suite.ctl("queue", "show", "refuse")
            self.assertEqual(failed.exception.status, 1)
            self.assertEqual(json.loads(failed.exception.output)["fault"], "DENIED")
            self.assertIn("not you", failed.exception.error)
            with self.assertRaises(CommandFailed) as failed:
                suite.ctl("nonsense")
            self.assertEqual(failed.exception.status, 2)
            with self.assertRaises(CommandFailed) as failed:
                suite.ctl("domain", "add")
            self.assertEqual(failed.exception.status, 2)
            suite.stop()
            with self.assertRaises(CommandFailed) as failed:
                suite.ctl("queue", "list")
            self.assertEqual(failed.exception.status, 3)

    def test_stop_leaves_no_process_and_no_socket(self):
        with self.suite() as suite:
            pids = suite.pids() + suite.pids("maild")
            suite.stop()
            self.assertFalse([pid for pid in pids if is_alive(pid)])
            self.assertFalse(os.path.exists(os.path.join(suite.directory, "control")))

    def test_children_end_when_maild_is_killed(self):
        with self.suite() as suite:
            pids = suite.pids()
            os.kill(suite.pids("maild")[0], signal.SIGKILL)
            wait_until(lambda: not any(is_alive(pid) for pid in pids), "the end of the children")
            suite.start()
            self.assertEqual(suite.status()["state"], "running")

    def test_a_stopped_suite_starts_again_with_its_ports_and_accounts(self):
        with self.suite(accounts=2) as suite:
            before = suite.settings
            suite.restart()
            for key in ("accounts", "imaps", "smtp"):
                self.assertEqual(suite.settings[key], before[key])
            self.assertEqual(len(before["accounts"]), 4)

    def test_reload_applies_a_new_config_and_keeps_the_old_on_an_error(self):
        with self.suite() as suite:
            config = suite.settings["config"]
            with open(config, "a") as out:
                out.write("message-size = 2M\nroute x.org { via = \"h:25\" }\nworkers = 5\n")
            suite.ctl("reload")
            wait_until(lambda: self.stub(suite, "queued")["message_size"] == 2 << 20, "reload")
            self.assertEqual(self.stub(suite, "relayd")["routes"], 1)
            self.assertEqual(len(self.stub(suite, "smtpd")), 2)
            with open(config, "a") as out:
                out.write("no-such-setting = 1\n")
            with self.assertRaises(CommandFailed) as failed:
                suite.ctl("reload")
            self.assertIn("no-such-setting", failed.exception.error)
            self.assertEqual(self.stub(suite, "queued")["message_size"], 2 << 20)
            os.kill(suite.pids("maild")[0], signal.SIGHUP)
            wait_until(lambda: "the old config stays" in suite.log(), "the log line")

    def test_reload_opens_and_closes_listeners(self):
        with self.suite() as suite, socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            probe.close()
            with open(suite.settings["config"]) as config:
                text = config.read()
            old = suite.settings["imap"]["port"]
            with open(suite.settings["config"], "w") as out:
                out.write(text.replace(":%d\"" % old, ":%d\"" % port))
            suite.ctl("reload")
            addresses = [l["address"] for l in suite.status()["listeners"]]
            self.assertIn("127.0.0.1:%d" % port, addresses)
            self.assertNotIn("127.0.0.1:%d" % old, addresses)

    def maild(self, *arguments):
        return subprocess.run([os.path.join(self.binaries, "maild")] + list(arguments),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)

    def test_a_process_that_cannot_start_ends_the_start_with_a_reason(self):
        with self.assertRaises(CommandFailed) as failed:
            self.suite("workers = 1", hostname="mailboxd").start()
        self.assertEqual(failed.exception.status, 1)
        self.assertIn("mailboxd: error: cannot start: stored data is damaged",
                      failed.exception.output)

    def test_a_port_in_use_and_a_second_maild_are_refused_in_one_line(self):
        with self.suite() as suite:
            again = self.maild("-f", suite.settings["config"])
            self.assertEqual(again.returncode, 1)
            self.assertEqual(again.stderr.count("\n"), 1)
            other = os.path.join(suite.directory, "other.conf")
            with open(other, "w") as out:
                out.write("hostname = \"a.example\"\ndata-directory = \"%s/other\"\n"
                          "control-socket = \"%s/other-control\"\nuser-id-base = 62000\n"
                          "listen smtp { address = {\"127.0.0.1:%d\"} }\n" %
                          (suite.directory, suite.directory, suite.settings["smtp"]["port"]))
            busy = self.maild("-f", other)
            self.assertEqual(busy.returncode, 1)
            self.assertIn("127.0.0.1:%d: Address already in use" % suite.settings["smtp"]["port"],
                          busy.stderr)
            self.assertEqual(busy.stderr.count("\n"), 1)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_a_store_of_another_owner_is_refused(self):
        with self.suite() as suite:
            suite.stop()
            os.chown(os.path.join(suite.directory, "data", "store"), 12345, 12345)
            refused = self.maild("-f", suite.settings["config"])
            self.assertEqual(refused.returncode, 1)
            self.assertIn("data/store: belongs to user 12345", refused.stderr)

    def test_config_errors_name_file_and_line(self):
        rows = (
            ("foo = 3", "no such option 'foo'"),
            ("connections = x", "connections: \"x\" is not a number"),
            ("connections = 0", "connections: \"0\" is not within"),
            ("message-size = 50Q", "message-size: \"50Q\" is not a size"),
            ("plaintext-login = maybe", "is not yes or no"),
            ("log-level = loud", "log-level: \"loud\""),
            ("hostname = \"mail example.org\"", "\"mail example.org\" is no host name"),
            ("listen ftp { address = {\"192.0.2.1:21\"} }", "no service \"ftp\""),
            ("listen smtp { address = {\"192.0.2.1\"} }", "\"192.0.2.1\" is not an address"),
            ("listen smtp { address = {\"host:25\"} }", "\"host:25\" is not an address"),
            ("listen smtp { adress = {\"192.0.2.1:25\"} }", "no such option 'adress'"),
            ("certificate { chain = \"/x\" }", "needs chain and key"),
            ("certificate { chain = \"/nowhere\" key = \"/y\" }", "/nowhere: No such file"),
            ("route a { via = x }", "via is not like host:port"),
            ("route a { via = \"x:1\" tls = no }", "tls is not may, must or at-once"),
            ("route a { via = \"x:1\" user = u }", "go together"),
        )
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "pabal.conf")
            for line, error in rows:
                with open(path, "w") as out:
                    out.write("# one\nhostname = \"mail.example.org\"\n%s\n" % line)
                checked = self.maild("-n", "-f", path)
                with self.subTest(line):
                    self.assertEqual(checked.returncode, 1)
                    self.assertIn("%s:3: " % path, checked.stderr)
                    self.assertIn(error, checked.stderr)
                    self.assertEqual(checked.stderr.count("\n"), 1)

    def test_the_effective_config_reads_back_as_the_same(self):
        with self.suite("message-size = 2M\nroute \"*\" { via = \"[::1]:26\" tls = must }") as suite:
            first = self.maild("-n", "-f", suite.settings["config"])
            self.assertEqual(first.returncode, 0, first.stderr)
            self.assertIn("message-size = 2M", first.stdout)
            path = os.path.join(suite.directory, "effective.conf")
            with open(path, "w") as out:
                out.write(first.stdout)
            second = self.maild("-n", "-f", path)
            self.assertEqual(second.stdout, first.stdout)

    def test_init_makes_a_host_and_refuses_to_do_it_twice(self):
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o755)
            extra = os.path.join(directory, "extra")
            with open(extra, "w") as out:
                out.write("listen smtp { address = {\"127.0.0.1:0\"} }\n"
                          .replace(":0", ":%d" % free_port()))
            control = os.path.join(directory, "run", "control")
            command = [os.path.join(self.binaries, "mailctl"), "--control", control]
            init = command + ["init", "you@example.org", "--hostname", "mail.example.org",
                              "--config", os.path.join(directory, "etc", "pabal.conf"),
                              "--data", os.path.join(directory, "data"), "--config-extra", extra]
            first = subprocess.run(init, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, check=False)
            try:
                self.assertEqual(first.returncode, 0, first.stdout)
                for text in ("you@example.org", "password", "MX  10 mail.example.org",
                             "v=spf1", "v=DMARC1", "_imaps._tcp"):
                    self.assertIn(text, first.stdout)
                key = os.stat(os.path.join(directory, "etc", "host.key"))
                self.assertEqual(key.st_mode & 0o007, 0)
                again = subprocess.run(init, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                       text=True, check=False)
                self.assertEqual(again.returncode, 1)
                self.assertIn("is there already", again.stdout)
                status = subprocess.run(command + ["--json", "status"], stdout=subprocess.PIPE,
                                        text=True, check=True)
                self.assertEqual(json.loads(status.stdout)["state"], "running")
            finally:
                subprocess.run(command + ["stop"], check=False)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    unittest.main()
