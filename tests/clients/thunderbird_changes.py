# SPDX-License-Identifier: ISC
"""What reaches Thunderbird by itself, and how it bears lost connections and wrong passwords."""

import time

from suite import compose, wait_until
from thunderbird_steps import SETTLE_S, Steps


class Changes(Steps):
    def step_idle_new_mail(self):
        self.run("""
            const inbox = folderOf("server1", "INBOX");
            await updateFolder(inbox);
            await wait(4000);
            """)
        delays = []
        for number in range(3):
            subject = "pushed %d" % number
            self.deliver("alice", subject)
            begin = time.monotonic()
            self.run("""await waitHeader(folderOf("server1", "INBOX"), args[0]);""", subject)
            delays.append(time.monotonic() - begin)
            time.sleep(4)
        self.note("shown after %s s", ", ".join("%.2f" % d for d in delays))
        assert max(delays) < 10, delays

    def step_idle_changes_of_others(self):
        imap = self.suite.imap("alice", "INBOX")
        uid = imap.uid("SEARCH", "SUBJECT", '"pushed 0"')[1][0].split()[0]
        begin = time.monotonic()
        imap.uid("STORE", uid, "+FLAGS", "(\\Flagged)")
        self.run("""
            const inbox = folderOf("server1", "INBOX");
            await until("the star", () => headerOf(inbox, "pushed 0").isFlagged);
            """)
        flag = time.monotonic() - begin
        time.sleep(4)
        begin = time.monotonic()
        imap.uid("STORE", uid, "+FLAGS", "(\\Deleted)")
        imap.expunge()
        self.run("""
            await until("the end", () => !headerOf(folderOf("server1", "INBOX"), "pushed 0"));
            """)
        self.note("flag after %.2f s, expunge after %.2f s", flag, time.monotonic() - begin)
        imap.logout()

    def step_filter_moves_new_mail(self):
        """A filter of Thunderbird, run when IDLE tells of the message."""
        self.run("""
            const filters = serverOf("server1").getFilterList(msgWindow);
            const filter = filters.createFilter("sieve");
            const term = filter.createTerm();
            const value = term.value;
            term.attrib = value.attrib = Ci.nsMsgSearchAttrib.Subject;
            term.op = Ci.nsMsgSearchOp.Contains;
            value.str = "filtered";
            term.value = value;
            filter.appendTerm(term);
            const action = filter.createAction();
            action.type = Ci.nsMsgFilterAction.MoveToFolder;
            action.targetFolderUri = folderOf("server1", "Vorhaben").URI;
            filter.appendAction(action);
            filter.enabled = true;
            filters.insertFilterAt(0, filter);
            filters.saveToDefaultFile();
            """)
        self.deliver("alice", "to be filtered")
        self.until(lambda: "to be filtered" in self.subjects("Vorhaben"), "the move")
        assert "to be filtered" not in self.subjects("INBOX")

    def while_offline(self, script):
        """One kind of change at a time: of a star and a move together, Thunderbird 153 plays back
        the star and mostly sends no command for the move."""
        self.run("""
            const inbox = folderOf("server1", "INBOX");
            await wait(3000); // the filter's move is still being looked at
            Services.io.offline = true;
            await wait(500);
            %s
            await wait(500);
            Cc["@mozilla.org/messenger/offline-manager;1"].getService(
                Ci.nsIMsgOfflineManager).goOnline(false, true, msgWindow);
            """ % script)

    def step_offline_star(self):
        self.while_offline("""
            inbox.markMessagesFlagged([headerOf(inbox, "pushed 1")], true);""")
        self.until(lambda: "\\Flagged" in self.flags("INBOX", "pushed 1"), "the star")

    def step_offline_move(self):
        self.while_offline("""
            const end = copyEnd();
            MailServices.copy.copyMessages(inbox, [headerOf(inbox, "pushed 2")],
                folderOf("server1", "Vorhaben"), true, end.listener, msgWindow, true);
            await end.promise;""")
        self.until(lambda: "pushed 2" in self.subjects("Vorhaben"), "the move")

    def step_lost_connections(self):
        """imapd dies; the next use of the folder connects again."""
        self.suite.kill_and_wait("imapd")
        self.deliver("alice", "after the crash")
        self.run("""
            const inbox = folderOf("server1", "INBOX");
            await updateFolder(inbox);
            if (!headerOf(inbox, "after the crash")) {
                await updateFolder(inbox);
            }
            await waitHeader(inbox, "after the crash");
            """)

    def step_wrong_password(self):
        """Three guesses for Thunderbird, one for us: the right one works at once."""
        address, password = self.suite.account("user1")
        host = self.suite.settings["hostname"]
        self.run("""
            await changePassword("imap", args[0], args[1], "wrong");
            const server = serverOf("server2");
            server.closeCachedConnections();
            server.forgetSessionPassword(false);
            mail3pane.setTimeout(() => folderOf("server2", "INBOX").updateFolder(msgWindow));
            """, host, address)
        dismiss = self.client.remote.dismiss
        text = wait_until(dismiss, "the question for the password", SETTLE_S)
        time.sleep(1)
        while dismiss():  # one for each connection that it tried
            time.sleep(1)
        self.note("the user reads: %s", text.replace("\n", " "))
        self.deliver("user1", "after the password")
        begin = time.monotonic()
        self.run("""
            await changePassword("imap", args[0], args[1], args[2]);
            serverOf("server2").forgetSessionPassword(false);
            const inbox = folderOf("server2", "INBOX");
            await updateFolder(inbox);
            await waitHeader(inbox, "after the password");
            """, host, address, password)
        self.note("then logged in after %.1f s", time.monotonic() - begin)

    def step_quota_is_shown(self):
        quota = self.run("""
            const inbox = folderOf("server1", "INBOX");
            await updateFolder(inbox);
            return inbox.QueryInterface(Ci.nsIMsgImapMailFolder).getQuota().map(
                q => [q.name, Number(q.usage), Number(q.limit)]);
            """)
        imap = self.suite.imap("alice")
        announced = "QUOTA" in imap.capabilities
        imap.logout()
        self.note("QUOTA is%s announced, shown: %s", "" if announced else " not", quota)
        assert bool(quota) == announced

    def step_many_messages(self):
        """200 headers and then all bodies at once, as for offline use."""
        address, _ = self.suite.account("user1")
        with self.suite.smtp() as smtp:
            for number in range(200):
                smtp.sendmail("s@example.net", [address],
                              compose("s@example.net", address, "bulk %d" % number))
        taken = self.run("""
            const inbox = folderOf("server2", "INBOX");
            const begin = Date.now();
            await updateFolder(inbox);
            await waitHeader(inbox, "bulk 199");
            const shown = Date.now() - begin;
            inbox.setFlag(Ci.nsMsgFolderFlags.Offline);
            const end = urlEnd();
            inbox.downloadAllForOffline(end.listener, msgWindow);
            await end.promise;
            const bulk = [...inbox.messages].filter(h => h.subject.startsWith("bulk"));
            return [shown, Date.now() - begin, bulk.length,
                bulk.filter(h => h.flags & Ci.nsMsgMessageFlags.Offline).length];
            """)
        self.note("headers after %d ms, bodies after %d ms", taken[0], taken[1])
        assert taken[2:] == [200, 200], taken
