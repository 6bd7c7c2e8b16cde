# SPDX-License-Identifier: ISC
"""Thunderbird's POP3 accounts, and the way from a local folder to IMAP."""

from thunderbird_steps import Steps


class Pop3(Steps):
    def get_mail(self, server):
        return self.run("""
            const server = serverOf(args[0]);
            const inbox = server.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
            const end = urlEnd();
            MailServices.pop3.GetNewMail(msgWindow, end.listener, inbox, server);
            await end.promise;
            return [...inbox.messages].map(h => h.mime2DecodedSubject);
            """, server)

    def pop3_round(self, server, name):
        for number in range(3):
            self.deliver(name, "pop %d" % number, ".dot\r\n..\r\n")
        first = ["pop 0", "pop 1", "pop 2"]
        assert self.get_mail(server) == first
        assert self.get_mail(server) == first, "fetched twice"
        assert self.subjects("INBOX", name) == first, "not left at the server"
        self.deliver(name, "pop 3")
        assert self.get_mail(server) == first + ["pop 3"]

    def step_pop3_leaves_on_server(self):
        self.pop3_round("server3", "bob")

    def step_pop3_over_tls_from_the_first_byte(self):
        self.pop3_round("server4", "user2")

    def step_pop3_text_is_whole(self):
        text = self.run("""
            const inbox = serverOf("server3").rootFolder.getFolderWithFlags(
                Ci.nsMsgFolderFlags.Inbox);
            return await streamMessage(inbox, headerOf(inbox, "pop 0"));
            """)
        assert "\n.dot\r\n..\r\n" in text or "\n.dot\n..\n" in text, text

    def step_pop3_headers_only(self):
        """TOP first, the whole on demand is left out here."""
        self.deliver("user2", "long one", "0123456789\r\n" * 3000)
        self.run("serverOf('server4').QueryInterface(Ci.nsIPop3IncomingServer).headersOnly = true;")
        assert "long one" in self.get_mail("server4")
        partial, size = self.run("""
            const inbox = serverOf("server4").rootFolder.getFolderWithFlags(
                Ci.nsMsgFolderFlags.Inbox);
            const header = headerOf(inbox, "long one");
            return [!!(header.flags & Ci.nsMsgMessageFlags.Partial),
                (await streamMessage(inbox, header)).length];
            """)
        assert partial and size < 5000, (partial, size)

    def step_pop3_deletes_at_server(self):
        """A message deleted here goes at the next fetch."""
        self.run("""
            const inbox = serverOf("server3").rootFolder.getFolderWithFlags(
                Ci.nsMsgFolderFlags.Inbox);
            const end = copyEnd();
            inbox.deleteMessages([headerOf(inbox, "pop 1")], msgWindow, true, false, end.listener,
                false);
            await end.promise;
            """)
        self.get_mail("server3")
        self.until(lambda: self.subjects("INBOX", "bob") == ["pop 0", "pop 2", "pop 3"],
                   "the deletion at the server")

    def step_from_local_folder_to_imap(self):
        """APPEND with an internal date."""
        self.run("""
            const inbox = serverOf("server3").rootFolder.getFolderWithFlags(
                Ci.nsMsgFolderFlags.Inbox);
            const end = copyEnd();
            MailServices.copy.copyMessages(inbox, [headerOf(inbox, "pop 2")],
                folderOf("server1", "Vorhaben"), false, end.listener, msgWindow, true);
            await end.promise;
            """)
        self.until(lambda: "pop 2" in self.subjects("Vorhaben"), "the append")

    def step_no_dialog_is_open(self):
        assert self.run("return openDialogs()") == []
