# SPDX-License-Identifier: ISC
"""A throw-away suite for end-to-end tests: `mailctl try` in a temporary directory.

    with Suite(accounts=3, config="workers = 1") as suite:
        address, password = suite.account("alice")
        imap = suite.imap("alice")

PABAL_BUILD names the build directory (default: build).  Standard library only.
"""

import email.message
import email.policy
import email.utils
import imaplib
import json
import os
import poplib
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("PABAL_BUILD", "build"))
DEADLINE_S = float(os.environ.get("PABAL_DEADLINE", "60"))

# One FETCH answer may be long.
imaplib._MAXLINE = 10_000_000

# LeakSanitizer needs ptrace, which a sandboxed process does not have.
os.environ.setdefault("ASAN_OPTIONS", "detect_leaks=0")

# A shell starts its background jobs with SIGINT ignored; what the tests start must hear it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def wait_until(condition, what="the condition", deadline_s=DEADLINE_S):
    """Polls until condition() gives something true, and returns that."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("%s did not come within %g s" % (what, deadline_s))
        time.sleep(0.02)


def is_alive(pid):
    """True for a process that runs; a zombie does not."""
    try:
        with open("/proc/%d/stat" % pid) as stat:
            return stat.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def compose(sender, recipient, subject="test", text="Hello.\r\n"):
    """A small message as bytes with CRLF."""
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"], message["Subject"] = sender, recipient, subject
    message["Date"] = email.utils.formatdate()
    message["Message-ID"] = email.utils.make_msgid(domain="example.org")
    message.set_content(text)
    return message.as_bytes()


class CommandFailed(Exception):
    """A mailctl command with an exit status other than 0."""

    def __init__(self, arguments, status, output, error):
        super().__init__("mailctl %s: status %d: %s%s" % (" ".join(arguments), status, output, error))
        self.status = status
        self.output = output
        self.error = error


class Suite:
    """One running suite.  config: lines appended to its config; binaries: where mailctl is."""

    def __init__(self, config="", accounts=0, domain=None, hostname=None, address=None,
                 directory=None, binaries=None):
        self.binaries = binaries or os.path.join(BUILD, "bin")
        self.own_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="pabal-e2e-")
        os.chmod(self.directory, 0o755)
        self.options = ["--accounts", str(accounts)]
        for name, value in (("--domain", domain), ("--hostname", hostname), ("--address", address)):
            if value is not None:
                self.options += [name, value]
        self.extra = os.path.join(self.directory, "extra.conf")
        self.set_config(config)
        self.settings = {}

    # life

    def set_config(self, config):
        """Lines for the next start()."""
        with open(self.extra, "w") as out:
            out.write(config + "\n")

    def start(self):
        command = [os.path.join(self.binaries, "mailctl"), "try", "--detach",
                   "--config-extra", self.extra] + self.options + [self.directory]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise CommandFailed(command[1:], done.returncode, done.stdout, "")
        with open(os.path.join(self.directory, "settings.json")) as settings:
            self.settings = json.load(settings)
        return self

    def stop(self):
        """Ends the suite; one that is dead already is fine."""
        done = subprocess.run(
            [os.path.join(self.binaries, "mailctl"), "try", "--stop", self.directory],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False)
        if done.returncode not in (0, 3):
            raise CommandFailed(["try", "--stop"], done.returncode, done.stdout, "")

    def restart(self):
        self.stop()
        return self.start()

    def kill_all(self, how=signal.SIGKILL):
        """All processes at once, maild first; waits until they are gone."""
        pids = self.pids("maild") + [p for p in self.pids() if p not in self.pids("maild")]
        for pid in pids:
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                pass
        wait_until(lambda: not any(is_alive(pid) for pid in pids), "the end of all processes")

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.remove()
            raise

    def __exit__(self, kind, value, trace):
        if kind is not None:
            sys.stderr.write("--- log of %s\n%s---\n" % (self.directory, self.log()[-20000:]))
        self.stop()
        self.remove()

    def remove(self):
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def log(self):
        try:
            with open(os.path.join(self.directory, "log"), errors="replace") as log:
                return log.read()
        except OSError:
            return ""

    # processes

    def status(self):
        return self.ctl("status")

    def pids(self, name=None):
        """Process ids now: of one daemon, or of all children; "maild" for maild itself."""
        status = self.status()
        if name == "maild":
            return [status["pid"]]
        return [p["pid"] for p in status["processes"]
                if p["pid"] != 0 and name in (None, p["name"])]

    def kill(self, name, how=signal.SIGKILL, instance=0):
        """Kills a daemon and returns the pid that it had."""
        pid = self.pids(name)[instance]
        os.kill(pid, how)
        return pid

    def kill_workers(self, name, how=signal.SIGKILL):
        """Kills every instance of a daemon; one that is gone already is fine."""
        for pid in self.pids(name):
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                pass

    def wait_running(self):
        wait_until(lambda: all(p["state"] == "running" for p in self.status()["processes"]),
                   "all processes to run")

    def kill_and_wait(self, name, how=signal.SIGKILL):
        """Kills a daemon and waits until another one has taken its place."""
        pid = self.kill(name, how)
        wait_until(lambda: pid not in self.pids(name), "the death of %s" % name)
        self.wait_running()

    # mailctl

    def ctl(self, *words, given=None, json_wanted=True):
        """Runs mailctl and returns its JSON (or text); given: its standard input."""
        command = [os.path.join(self.binaries, "mailctl"), "--control",
                   os.path.join(self.directory, "control")]
        if json_wanted:
            command.append("--json")
        done = subprocess.run(command + list(words), input=given if given is not None else "",
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)
        if done.returncode != 0:
            raise CommandFailed(words, done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout) if json_wanted else done.stdout

    # clients

    def account(self, name):
        """(address, password) of "alice", "bob", "user1" ... or of a whole address."""
        for account in self.settings["accounts"]:
            if name in (account["address"], account["address"].partition("@")[0]):
                return account["address"], account["password"]
        raise KeyError(name)

    @property
    def alice(self):
        return self.account("alice")[0]

    @property
    def bob(self):
        return self.account("bob")[0]

    def place(self, service):
        """(host, port) of "smtp", "imaps" ..."""
        return self.settings[service]["host"], self.settings[service]["port"]

    def tls_context(self):
        return ssl.create_default_context(cafile=self.settings["ca_file"])

    def connect(self, service, timeout=DEADLINE_S):
        """A socket; with TLS where the service begins with it."""
        plain = socket.create_connection(self.place(service), timeout=timeout)
        if service not in ("submissions", "imaps", "pop3s"):
            return plain
        return self.tls_context().wrap_socket(plain, server_hostname=self.settings["hostname"])

    def smtp(self, service="smtp"):
        host, port = self.place(service)
        if service == "submissions":
            return smtplib.SMTP_SSL(host, port, timeout=DEADLINE_S, context=self.tls_context())
        return smtplib.SMTP(host, port, timeout=DEADLINE_S)

    def submission(self, name="alice"):
        """A logged-in session at the submission port."""
        client = self.smtp("submission")
        client.starttls(context=self.tls_context())
        client.login(*self.account(name))
        return client

    def imap(self, name=None, select=None):
        host, port = self.place("imaps")
        client = imaplib.IMAP4_SSL(host, port, ssl_context=self.tls_context(), timeout=DEADLINE_S)
        if name is not None:
            client.login(*self.account(name))
        if select is not None:
            status, text = client.select(select)
            assert status == "OK", text
        return client

    def pop3(self, name=None):
        host, port = self.place("pop3s")
        client = poplib.POP3_SSL(host, port, context=self.tls_context(), timeout=DEADLINE_S)
        if name is not None:
            address, password = self.account(name)
            client.user(address)
            client.pass_(password)
        return client

    def deliver(self, recipients, text, sender="sender@example.net"):
        """One message by SMTP; text with LF or CRLF."""
        if isinstance(recipients, str):
            recipients = [recipients]
        with self.smtp() as client:
            return client.sendmail(sender, recipients, text)

    def messages(self, name="bob", mailbox="INBOX"):
        """All messages of a mailbox as bytes, in order."""
        client = self.imap(name, mailbox)
        try:
            status, data = client.uid("FETCH", "1:*", "(BODY.PEEK[])")
            assert status == "OK", data
            return [item[1] for item in data if isinstance(item, tuple)]
        finally:
            client.logout()

    def wait_for_messages(self, count, name="bob", mailbox="INBOX"):
        """The messages of a mailbox as soon as there are so many."""
        def enough():
            found = self.messages(name, mailbox)
            return found if len(found) >= count else None
        return wait_until(enough, "%d messages in %s" % (count, mailbox))
