# SPDX-License-Identifier: ISC
"""What the e2e tests share: a throw-away suite, clients logged in to it, waiting for conditions.

Every test starts the real programs by `mailctl try` from the build directory named by PABAL_BUILD,
on free loopback ports.  Nothing here sleeps for luck: wait_until polls a condition to a deadline.
"""

import contextlib
import email.message
import email.policy
import email.utils
import imaplib
import json
import os
import pathlib
import poplib
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("PABAL_BUILD", TOP / "build")).resolve()
MAILCTL = str(BUILD / "bin/mailctl")
# Sanitizer builds on a busy machine are slow; a deadline only ends a hang.
DEADLINE_S = 60

imaplib._MAXLINE = 10_000_000


def wait_until(condition, what, deadline_s=DEADLINE_S):
    """Polls until condition() is true and returns its value; AssertionError at the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s} s in vain: {what}")
        time.sleep(0.01)


def compose(sender, recipient, subject="test", text="Hello.\r\n"):
    """A small message as bytes with CRLF."""
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"], message["Subject"] = sender, recipient, subject
    message["Date"] = email.utils.formatdate()
    message["Message-ID"] = email.utils.make_msgid(domain="example.org")
    message.set_content(text)
    return message.as_bytes()


class Suite:
    """One throw-away suite.  Use it as a context manager."""

    def __init__(self, accounts=0, extra="", arguments=()):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="pabal-test-"))
        self.directory.chmod(0o755)
        self.suite = self.directory / "suite"
        (self.directory / "extra.conf").write_text(extra)
        self.command = [MAILCTL, "try", str(self.suite), "--detach", "--accounts", str(accounts),
                        "--config-extra", str(self.directory / "extra.conf"), *arguments]
        self.settings = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        self.stop()
        if kind is not None:
            print(self.log()[-8000:])
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self):
        done = subprocess.run(self.command, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise RuntimeError(f"mailctl try: {done.stdout}{done.stderr}{self.log()[-4000:]}")
        self.settings = json.loads((self.suite / "settings.json").read_text())
        self.tls = ssl.create_default_context(cafile=self.settings["ca_file"])
        # The loopback address stands for the host name of the certificate.
        self.tls.check_hostname = False

    def stop(self):
        if self.suite.exists():
            subprocess.run([MAILCTL, "try", "--stop", str(self.suite)], capture_output=True,
                           timeout=120)

    def log(self):
        with contextlib.suppress(OSError):
            return (self.suite / "log").read_text(errors="replace")
        return ""

    # accounts

    def password(self, address):
        return next(account["password"] for account in self.settings["accounts"]
                    if account["address"] == address)

    @property
    def alice(self):
        return self.settings["accounts"][0]["address"]

    @property
    def bob(self):
        return self.settings["accounts"][1]["address"]

    # control

    def mailctl(self, *words, check=True, stdin=None):
        """Runs mailctl --json; returns its JSON (or text) and raises when it fails."""
        done = subprocess.run([MAILCTL, "--control", self.settings["control"], "--json", *words],
                              capture_output=True, text=True, timeout=120, input=stdin)
        if check and done.returncode != 0:
            raise AssertionError(f"mailctl {' '.join(words)}: {done.stdout}{done.stderr}")
        try:
            return json.loads(done.stdout)
        except ValueError:
            return done.stdout + done.stderr

    def processes(self):
        return self.mailctl("status")["processes"]

    def pids(self, name):
        """All pids of a process; workers count as one name."""
        return [p["pid"] for p in self.processes() if p["name"].split("/")[0] == name and p["pid"]]

    def kill(self, name, with_signal=signal.SIGKILL):
        for pid in self.pids(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, with_signal)

    # clients

    def endpoint(self, service):
        return self.settings[service]["host"], self.settings[service]["port"]

    def connect(self, service, tls=False):
        plain = socket.create_connection(self.endpoint(service), timeout=DEADLINE_S)
        return self.tls.wrap_socket(plain, server_hostname=self.settings["hostname"]) if tls else plain

    def smtp(self, service="smtp"):
        host, port = self.endpoint(service)
        if service == "submissions":
            return smtplib.SMTP_SSL(host, port, timeout=DEADLINE_S, context=self.tls)
        return smtplib.SMTP(host, port, timeout=DEADLINE_S)

    def submission(self, address=None):
        """A submission session, over TLS and logged in."""
        client = self.smtp("submission")
        client.starttls(context=self.tls)
        client.login(address or self.alice, self.password(address or self.alice))
        return client

    def imap(self, address=None, select=None):
        client = imaplib.IMAP4_SSL(*self.endpoint("imaps"), ssl_context=self.tls,
                                   timeout=DEADLINE_S)
        client.login(address or self.bob, self.password(address or self.bob))
        if select:
            assert client.select(select)[0] == "OK"
        return client

    def pop3(self, address=None):
        client = poplib.POP3_SSL(*self.endpoint("pop3s"), context=self.tls, timeout=DEADLINE_S)
        client.user(address or self.bob)
        client.pass_(self.password(address or self.bob))
        return client

    def messages(self, address=None, mailbox="INBOX"):
        """All messages of a mailbox as bytes, in order."""
        client = self.imap(address, mailbox)
        try:
            status, data = client.uid("FETCH", "1:*", "(BODY.PEEK[])")
            assert status == "OK", data
            return [item[1] for item in data if isinstance(item, tuple)]
        finally:
            client.logout()

    def wait_for_messages(self, count, address=None, mailbox="INBOX"):
        return wait_until(lambda: (lambda all_of: len(all_of) >= count and all_of)(
            self.messages(address, mailbox)), f"{count} messages in {mailbox}")
