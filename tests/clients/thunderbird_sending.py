# SPDX-License-Identifier: ISC
"""Thunderbird's compose window: sending, the copy in Sent, drafts, what a refusal looks like."""

import email
import email.policy
import os
import time

from thunderbird_steps import Steps

ATTACHMENT_OCTETS = 300_000
LARGE_OCTETS = 12_000_000


class Sending(Steps):
    def send(self, identity, to, subject, attachment=None):
        self.run("""
            await sendNow(await openCompose({ identity: args[0], to: args[1], subject: args[2],
                body: "Written by Thunderbird ä.\\n.\\nA line with a dot above.\\n",
                attachment: args[3] }));
            """, identity, to, subject, attachment)

    def step_send_with_attachment(self):
        path = os.path.join(self.client.home, "anhang.bin")
        content = os.urandom(ATTACHMENT_OCTETS)
        with open(path, "wb") as out:
            out.write(content)
        self.send("id1", self.suite.account("user1")[0], "sent with file", path)
        for mailbox, name in (("INBOX", "user1"), ("Sent", "alice")):
            self.until(lambda: "sent with file" in self.subjects(mailbox, name),
                       "the message in %s of %s" % (mailbox, name))
            message = [m for m in (email.message_from_bytes(d[1], policy=email.policy.default)
                                   for d in self.fetch(mailbox, "(BODY.PEEK[])", name)
                                   if isinstance(d, tuple)) if m["Subject"] == "sent with file"][0]
            assert [a.get_content() for a in message.iter_attachments()] == [content], mailbox
            text = message.get_body().get_content().replace("\r\n", "\n")
            assert "ä.\n.\nA line" in text, (mailbox, text)
        assert "\\Seen" in self.flags("Sent", "sent with file")

    def step_send_by_submissions(self):
        self.send("id2", self.suite.account("alice")[0], "by submissions")
        self.until(lambda: "by submissions" in self.subjects("INBOX"), "the message")
        self.until(lambda: "by submissions" in self.subjects("Sent", "user1"), "its copy")

    def step_reply_sets_answered(self):
        self.run("""
            const inbox = folderOf("server1", "INBOX");
            await updateFolder(inbox);
            const header = await waitHeader(inbox, "by submissions");
            await sendNow(await openCompose({ identity: "id1", reply: header }));
            """)
        self.until(lambda: "\\Answered" in self.flags("INBOX", "by submissions"), "\\Answered")
        self.until(lambda: "Re: by submissions" in self.subjects("INBOX", "user1"), "the reply")

    def step_forward_sets_forwarded(self):
        self.run("""
            const inbox = folderOf("server1", "INBOX");
            await sendNow(await openCompose({ identity: "id1", to: args[0],
                forward: headerOf(inbox, "by submissions") }));
            """, self.suite.account("user1")[0])
        self.until(lambda: "$Forwarded" in self.flags("INBOX", "by submissions"), "$Forwarded")
        self.until(lambda: "Fwd: by submissions" in self.subjects("INBOX", "user1"), "the message")

    def step_delivery_is_confirmed(self):
        """RCPT with NOTIFY: a report of success comes back."""
        self.run("""
            await sendNow(await openCompose({ identity: "id1", to: args[0], subject: "confirm",
                body: "x", dsn: true }));
            """, self.suite.account("user1")[0])
        self.until(lambda: "confirm" in self.subjects("INBOX", "user1"), "the message")
        self.until(lambda: any("multipart/report" in text for text in self.texts("INBOX")),
                   "the report")
        self.note("subjects now: %s", self.subjects("INBOX")[-1])

    def texts(self, mailbox):
        found = self.fetch(mailbox, "(BODY.PEEK[HEADER])")
        return [d[1].decode(errors="replace") for d in found if isinstance(d, tuple)]

    def step_large_attachment(self):
        path = os.path.join(self.client.home, "gross.bin")
        content = os.urandom(LARGE_OCTETS)
        with open(path, "wb") as out:
            out.write(content)
        begin = time.monotonic()
        self.send("id1", self.suite.account("user1")[0], "large", path)
        self.note("sent and kept after %.1f s", time.monotonic() - begin)
        self.until(lambda: "large" in self.subjects("INBOX", "user1"), "the message")
        self.until(lambda: "large" in self.subjects("Sent"), "its copy")
        begin = time.monotonic()
        size = self.run("""
            const inbox = folderOf("server2", "INBOX");
            await updateFolder(inbox);
            const mime = await readMime(await waitHeader(inbox, "large"));
            return saveAttachment(mime.attachments[0].url, args[0]);
            """, path + ".saved")
        self.note("read after %.1f s", time.monotonic() - begin)
        with open(path + ".saved", "rb") as saved:
            assert saved.read() == content, size

    def step_draft_is_replaced(self):
        self.run("""
            const window = await openCompose({ identity: "id1", to: "x@example.net",
                subject: "a draft", body: "first" });
            await saveDraft(window);
            await wait(1500);
            window.document.getElementById("msgSubject").value = "a better draft";
            window.gContentChanged = true;
            await saveDraft(window);
            await closeCompose(window);
            """)
        self.until(lambda: self.subjects("Drafts") == ["a better draft"], "one draft")

    def step_refused_recipient_is_told(self):
        """A 5xx to RCPT opens a dialog with the server's text; nothing is sent."""
        domain = self.suite.account("alice")[0].partition("@")[2]
        text = self.run("""
            const window = await openCompose({ identity: "id1", to: args[0], subject: "nobody",
                body: "x" });
            window.goDoCommand("cmd_sendNow");
            const text = await answerDialog("accept");
            await closeCompose(window);
            return text;
            """, "nobody-here@" + domain)
        self.note("the user reads: %s", text.replace("\n", " "))
        assert "nobody-here" in text and "unknown" in text, text
