# SPDX-License-Identifier: ISC
"""What all steps with Thunderbird have in common: the program, and what the server has."""

import email
import email.header

from suite import compose, wait_until

SETTLE_S = 20  # Thunderbird plays moves and flags back some time after its own database


class Steps:
    """The steps of a subclass run in the order of their definition; later ones may need earlier."""

    def __init__(self, suite, client):
        self.suite = suite
        self.client = client
        self.notes = []

    def run(self, script, *args):
        return self.client.run(script, *args)

    def note(self, text, *values):
        self.notes.append(text % values)

    # what the server has, by another connection

    def fetch(self, mailbox, items="(FLAGS)", name="alice"):
        """[(uid, flags, text)] of a mailbox."""
        imap = self.suite.imap(name, '"%s"' % mailbox)
        try:
            status, data = imap.uid("FETCH", "1:*", items)
            assert status == "OK", data
            return [d for d in data if d is not None]
        finally:
            imap.logout()

    def subjects(self, mailbox, name="alice"):
        found = self.fetch(mailbox, "(BODY.PEEK[])", name)
        texts = [email.message_from_bytes(d[1]) for d in found if isinstance(d, tuple)]
        return [str(email.header.make_header(email.header.decode_header(t["Subject"])))
                for t in texts]

    def flags(self, mailbox, subject, name="alice"):
        imap = self.suite.imap(name, '"%s"' % mailbox)
        try:
            status, data = imap.uid("SEARCH", "HEADER", "SUBJECT", '"%s"' % subject)
            uids = data[0].split()
            assert status == "OK" and len(uids) == 1, (status, data)
            status, data = imap.uid("FETCH", uids[0], "(FLAGS)")
            return data[0].decode().partition("FLAGS (")[2].partition(")")[0].split()
        finally:
            imap.logout()

    def mailboxes(self, name="alice"):
        imap = self.suite.imap(name)
        try:
            return [line.decode().rpartition('"/" ')[2].strip('"') for line in imap.list()[1]]
        finally:
            imap.logout()

    def until(self, condition, what):
        wait_until(condition, what, SETTLE_S)

    def deliver(self, name, subject, text="Hello.\r\n"):
        address, _ = self.suite.account(name)
        self.suite.deliver(address, compose("s@example.net", address, subject, text),
                           "s@example.net")
