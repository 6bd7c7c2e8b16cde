# SPDX-License-Identifier: ISC
"""Thunderbird's mailboxes: login, folders, reading, flags, moves, searches."""

import email.message
import email.policy
import os
import time

from thunderbird_profile import ACCOUNTS
from thunderbird_steps import Steps

ATTACHMENT_OCTETS = 300_000


def mime_message(recipient, subject, attachment):
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"], message["Subject"] = "s@example.net", recipient, subject
    message["Message-ID"] = "<%s@example.net>" % subject.split()[0].encode().hex()
    message.set_content("Grüße aus dem Norden.\nZweite Zeile.\n")
    message.add_attachment(attachment, maintype="application", subtype="octet-stream",
                           filename="daten.bin")
    return message.as_bytes()


class Mailboxes(Steps):
    def step_passwords(self):
        for _, name, kind, _, _ in ACCOUNTS:
            self.client.add_password("imap" if kind == "imap" else "mailbox", name)
            self.client.add_password("smtp", name)

    def step_login_and_list(self):
        for server in ("server1", "server2"):
            names = self.run("return await discover(args[0]);", server)
            assert "INBOX" in [n.upper() for n in names], names
        self.note("folders: %s", " ".join(names))

    def step_special_folders(self):
        """What LIST tells of special use ends as the icon and the purpose of the folder."""
        wanted = {}
        imap = self.suite.imap("alice")
        for line in imap.list()[1]:
            for use in ("Sent", "Drafts", "Trash", "Archive", "Junk"):
                if "\\" + use in line.decode():
                    wanted[use] = line.decode().rpartition('"/" ')[2].strip('"')
        imap.logout()
        shown = self.run("""
            const flags = { Sent: Ci.nsMsgFolderFlags.SentMail, Drafts: Ci.nsMsgFolderFlags.Drafts,
                Trash: Ci.nsMsgFolderFlags.Trash, Archive: Ci.nsMsgFolderFlags.Archive,
                Junk: Ci.nsMsgFolderFlags.Junk };
            const found = {};
            for (const use in flags) {
                const folder = serverOf("server1").rootFolder.getFolderWithFlags(flags[use]);
                if (folder) {
                    found[use] = folder.name;
                }
            }
            return found;
            """)
        self.note("server: %s, shown: %s", wanted, shown)
        for use, name in wanted.items():
            assert shown.get(use), (wanted, shown)

    def step_read_a_message(self):
        content = os.urandom(ATTACHMENT_OCTETS)
        address, _ = self.suite.account("alice")
        raw = mime_message(address, "Umlaut ä und Anhang", content)
        self.suite.deliver(address, raw, "s@example.net")
        path = os.path.join(self.client.home, "saved.bin")
        mime = self.run("""
            const folder = folderOf("server1", "INBOX");
            await updateFolder(folder);
            const header = await waitHeader(folder, "Umlaut ä und Anhang");
            const mime = await readMime(header);
            mime.saved = await saveAttachment(mime.attachments[0].url, args[0]);
            mime.raw = (await streamMessage(folder, header)).length;
            mime.size = header.messageSize;
            return mime;
            """, path)
        assert "Grüße aus dem Norden." in mime["text"], mime
        assert mime["attachments"][0]["name"] == "daten.bin", mime
        with open(path, "rb") as saved:
            assert saved.read() == content, "the attachment differs"
        [stored] = [d[1] for d in self.fetch("INBOX", "(BODY.PEEK[])") if isinstance(d, tuple)]
        assert mime["size"] == mime["raw"] == len(stored), (mime["size"], mime["raw"], len(stored))

    def step_read_over_tls_from_the_first_byte(self):
        self.deliver("user1", "for user1")
        text = self.run("""
            const folder = folderOf("server2", "INBOX");
            await updateFolder(folder);
            return await streamMessage(folder, await waitHeader(folder, "for user1"));
            """)
        assert "Hello." in text, text

    def step_mark_star_tag(self):
        self.run("""
            const folder = folderOf("server1", "INBOX");
            const header = headerOf(folder, "Umlaut ä und Anhang");
            folder.markMessagesRead([header], true);
            folder.markMessagesFlagged([header], true);
            folder.addKeywordsToMessages([header], "$label1");
            """)
        wanted = {"\\Seen", "\\Flagged", "$label1"}
        self.until(lambda: wanted <= set(self.inbox_flags()), "the flags at the server")
        self.run("""
            const folder = folderOf("server1", "INBOX");
            const header = headerOf(folder, "Umlaut ä und Anhang");
            folder.markMessagesRead([header], false);
            folder.markMessagesFlagged([header], false);
            folder.removeKeywordsFromMessages([header], "$label1");
            """)
        self.until(lambda: not wanted & set(self.inbox_flags()), "the end of the flags")

    def inbox_flags(self):
        return self.fetch("INBOX")[0].decode().partition("FLAGS (")[2].partition(")")[0].split()

    def step_folders(self):
        self.run("""
            const root = serverOf("server1").rootFolder;
            root.createSubfolder("Projekte", msgWindow);
            await until("Projekte", () => folderIfThere("server1", "Projekte"));
            folderOf("server1", "Projekte").createSubfolder("Größe & Maß", msgWindow);
            await until("the child", () => folderIfThere("server1", "Projekte/Größe & Maß"));
            """)
        child = "Gr&APYA3w-e &- Ma&AN8-"
        self.until(lambda: "Projekte/" + child in self.mailboxes(), "the child at the server")
        self.run("""
            folderOf("server1", "Projekte").rename("Vorhaben", msgWindow);
            await until("the new name", () => folderIfThere("server1", "Vorhaben/Größe & Maß"));
            """)
        self.until(lambda: "Vorhaben/" + child in self.mailboxes() and
                   "Projekte" not in self.mailboxes(), "the new names at the server")
        imap = self.suite.imap("alice")
        subscribed = b"\n".join(imap.lsub()[1]).decode()
        imap.logout()
        assert "Vorhaben/" + child in subscribed and "Projekte" not in subscribed, subscribed
        self.run("""
            folderOf("server1", "Vorhaben/Größe & Maß").deleteSelf(msgWindow);
            await until("the end of it", () => !folderIfThere("server1", "Vorhaben/Größe & Maß"));
            """)
        self.until(lambda: "Vorhaben/" + child not in self.mailboxes(), "the deletion")
        self.note("after deletion: %s", self.mailboxes())

    def step_move(self):
        for number in range(4):
            self.deliver("alice", "move %d" % number)
        self.run("""
            const inbox = folderOf("server1", "INBOX");
            await updateFolder(inbox);
            const headers = [];
            for (let i = 0; i < 4; i++) {
                headers.push(await waitHeader(inbox, "move " + i));
            }
            const end = copyEnd();
            MailServices.copy.copyMessages(inbox, headers.slice(0, 3),
                folderOf("server1", "Vorhaben"), true, end.listener, msgWindow, true);
            await end.promise;
            """)
        self.until(lambda: self.subjects("Vorhaben") == ["move 0", "move 1", "move 2"],
                   "the moved messages")
        self.until(lambda: not {"move 0", "move 1", "move 2"} & set(self.subjects("INBOX")),
                   "their end in INBOX")

    def step_copy(self):
        self.run("""
            const inbox = folderOf("server1", "INBOX");
            const end = copyEnd();
            MailServices.copy.copyMessages(inbox, [headerOf(inbox, "move 3")],
                folderOf("server1", "Vorhaben"), false, end.listener, msgWindow, true);
            await end.promise;
            """)
        self.until(lambda: "move 3" in self.subjects("Vorhaben"), "the copy")
        assert "move 3" in self.subjects("INBOX")

    def step_move_between_accounts(self):
        """Another server's folder: fetched and appended."""
        self.run("""
            const inbox = folderOf("server1", "INBOX");
            const end = copyEnd();
            MailServices.copy.copyMessages(inbox, [headerOf(inbox, "move 3")],
                folderOf("server2", "INBOX"), true, end.listener, msgWindow, true);
            await end.promise;
            """)
        self.until(lambda: "move 3" in self.subjects("INBOX", "user1"), "the append")
        self.until(lambda: "\\Deleted" in self.flags("INBOX", "move 3"), "\\Deleted at the source")
        self.run("""
            const end = urlEnd();
            folderOf("server1", "INBOX").compact(end.listener, msgWindow);
            await end.promise;
            """)
        self.until(lambda: "move 3" not in self.subjects("INBOX"), "the expunge")

    def step_delete_to_trash(self):
        self.deliver("alice", "delete me")
        self.run("""
            const inbox = folderOf("server1", "INBOX");
            await updateFolder(inbox);
            const end = copyEnd();
            inbox.deleteMessages([await waitHeader(inbox, "delete me")], msgWindow, false, false,
                end.listener, true);
            await end.promise;
            """)
        self.until(lambda: "delete me" in self.subjects("Trash"), "the message in Trash")
        assert "delete me" not in self.subjects("INBOX")

    def step_empty_trash(self):
        self.run("""
            const root = serverOf("server1").rootFolder;
            const end = urlEnd();
            folderOf("server1", "Trash").emptyTrash(end.listener);
            """)
        self.until(lambda: self.subjects("Trash") == [], "the empty Trash")

    def step_search_on_server(self):
        for subject, text in (("needle one", "plain"), ("other", "the Größe matters\r\n"),
                              ("needle two", "plain")):
            self.deliver("alice", subject, text)
        found = self.run("""
            const inbox = folderOf("server1", "INBOX");
            await updateFolder(inbox);
            await waitHeader(inbox, "needle two");
            return [await searchOnServer(inbox, Ci.nsMsgSearchAttrib.Subject, "needle"),
                await searchOnServer(inbox, Ci.nsMsgSearchAttrib.Body, "Größe")];
            """)
        assert found == [["needle one", "needle two"], ["other"]], found

    def step_junk(self):
        self.run("""
            const inbox = folderOf("server1", "INBOX");
            inbox.setJunkScoreForMessages([headerOf(inbox, "needle one")], "100", "user", -1);
            """)
        self.until(lambda: "Junk" in self.flags("INBOX", "needle one"), "the keyword Junk")

    def step_archive(self):
        """Into a folder of the year, made on first use."""
        self.run("""
            const { MessageArchiver } = ChromeUtils.importESModule(
                "resource:///modules/MessageArchiver.sys.mjs");
            const archiver = new MessageArchiver();
            archiver.msgWindow = msgWindow;
            const done = new Promise(resolve => archiver.oncomplete = resolve);
            archiver.archiveMessages([headerOf(folderOf("server1", "INBOX"), "needle two")]);
            await done;
            """)
        year = "Archive/%d" % time.gmtime().tm_year
        self.until(lambda: year in self.mailboxes(), year)
        self.until(lambda: self.subjects(year) == ["needle two"], "the message in the archive")

    def step_folders_of_others(self):
        """Only what is subscribed is shown; what another client deleted goes."""
        imap = self.suite.imap("alice")
        imap.create("Shown")
        imap.subscribe("Shown")
        imap.create("Hidden")
        names = self.run("return await discover('server1');")
        assert "Shown" in names and "Hidden" not in names, names
        imap.delete("Shown")
        imap.unsubscribe("Shown")
        imap.delete("Hidden")
        imap.logout()
        self.run("""
            serverOf("server1").performExpand(msgWindow);
            await until("its end", () => !folderIfThere("server1", "Shown"));
            """)
