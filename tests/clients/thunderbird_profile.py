# SPDX-License-Identifier: ISC
"""A fresh Thunderbird profile for a running suite, and the program on it below an own Xvfb.

Accounts: server1 alice by IMAP with STARTTLS, server2 user1 by IMAP with TLS from the first byte,
server3 bob by POP3 with STARTTLS, server4 user2 by POP3 with TLS, server5 the local folders.
"""

import json
import os
import shutil
import signal
import subprocess

from marionette import Marionette
from suite import is_alive, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = {"thunderbird": "thunderbird", "Xvfb": "xvfb", "certutil": "libnss3-tools"}
STARTTLS, TLS = 2, 3
NORMAL_PASSWORD = 3
START_S = 120

# (server, identity, account of the suite, type, service, sending service)
ACCOUNTS = [
    (1, "alice", "imap", "imap", "submission"),
    (2, "user1", "imap", "imaps", "submissions"),
    (3, "bob", "pop3", "pop3", "submission"),
    (4, "user2", "pop3", "pop3s", "submissions"),
]
LOCAL = 5

# No questions, no first-run pages, nothing that speaks to the world.
QUIET = {
    "app.donation.eoy.version.viewed": 999,
    "app.update.enabled": False,
    "browser.safebrowsing.enabled": False,
    "datareporting.healthreport.uploadEnabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "extensions.update.enabled": False,
    "gfx.webrender.software": True,
    "mail.compose.attachment_reminder": False,
    "mail.compose.autosave": False,
    "mail.inappnotifications.enabled": False,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.rights.version": 1,
    "mail.shell.checkDefaultClient": False,
    "mail.spotlight.firstRunDone": True,
    "mail.spam.version": 1,
    "mailnews.confirm.moveFoldersToTrash": False,
    "mailnews.start_page.enabled": False,
    "mailnews.start_page_override.mstone": "ignore",
    "mail.winsearch.firstRunDone": True,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "security.OCSP.enabled": 0,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
    "toolkit.telemetry.unified": False,
}

# The dialogues of POP3 and SMTP, passwords included, into the program's output.
TALKATIVE = {
    "devtools.console.stdout.chrome": True,
    "mailnews.pop3.loglevel": "All",
    "mailnews.smtp.loglevel": "All",
}


def missing_packages():
    return [package for program, package in PROGRAMS.items() if shutil.which(program) is None]


def is_starttls(service):
    return service in ("imap", "pop3", "submission")


def server_preferences(suite, number, name, kind, service):
    address, _ = suite.account(name)
    prefix = "mail.server.server%d." % number
    values = {
        "type": kind,
        "name": name,
        "hostname": suite.settings["hostname"],
        "port": suite.place(service)[1],
        "realport": suite.place(service)[1],
        "userName": address,
        "realuserName": address,
        "socketType": STARTTLS if is_starttls(service) else TLS,
        "authMethod": NORMAL_PASSWORD,
        "login_at_startup": False,
        "check_new_mail": False,
        "download_on_biff": False,
        "autosync_offline_stores": False,
        "offline_download": False,
        "using_subscription": True,
        "use_idle": True,
        "leave_on_server": True,
        "delete_mail_left_on_server": True,
    }
    return {prefix + key: value for key, value in values.items()}


def identity_preferences(suite, number, name, kind):
    address, _ = suite.account(name)
    prefix = "mail.identity.id%d." % number
    root = "imap://%s@%s" % (address.replace("@", "%40"), suite.settings["hostname"])
    if kind != "imap":
        root = "mailbox://nobody@Local%20Folders"
    return {
        prefix + "fullName": name.capitalize(),
        prefix + "useremail": address,
        prefix + "valid": True,
        prefix + "smtpServer": "smtp%d" % number,
        prefix + "compose_html": False,
        prefix + "fcc": True,
        prefix + "fcc_folder": root + "/Sent",
        prefix + "draft_folder": root + "/Drafts",
        prefix + "archive_folder": root + "/Archive",
        prefix + "archives_folder_picker_mode": "0",
        prefix + "archive_granularity": 1,
        prefix + "fcc_folder_picker_mode": "0",
        prefix + "drafts_folder_picker_mode": "0",
    }


def sending_preferences(suite, number, name, service):
    address, _ = suite.account(name)
    prefix = "mail.smtpserver.smtp%d." % number
    return {
        prefix + "hostname": suite.settings["hostname"],
        prefix + "port": suite.place(service)[1],
        prefix + "username": address,
        prefix + "try_ssl": STARTTLS if is_starttls(service) else TLS,
        prefix + "authMethod": NORMAL_PASSWORD,
        prefix + "type": "smtp",
    }


def preferences(suite, log):
    chosen = dict(QUIET)
    if log:
        chosen.update(TALKATIVE)
    chosen["marionette.port"] = 0
    chosen["network.dns.localDomains"] = suite.settings["hostname"]
    chosen["network.dns.disableIPv6"] = True
    keys = []
    for number, name, kind, service, sending in ACCOUNTS:
        chosen.update(server_preferences(suite, number, name, kind, service))
        chosen.update(identity_preferences(suite, number, name, kind))
        chosen.update(sending_preferences(suite, number, name, sending))
        chosen["mail.account.account%d.server" % number] = "server%d" % number
        chosen["mail.account.account%d.identities" % number] = "id%d" % number
        keys.append("account%d" % number)
    local = "mail.server.server%d." % LOCAL
    chosen.update({local + "type": "none", local + "name": "Local Folders",
                   local + "hostname": "Local Folders", local + "userName": "nobody"})
    chosen["mail.account.account%d.server" % LOCAL] = "server%d" % LOCAL
    chosen["mail.accountmanager.accounts"] = ",".join(keys + ["account%d" % LOCAL])
    chosen["mail.accountmanager.defaultaccount"] = "account1"
    chosen["mail.accountmanager.localfoldersserver"] = "server%d" % LOCAL
    chosen["mail.smtpservers"] = ",".join("smtp%d" % a[0] for a in ACCOUNTS)
    chosen["mail.smtp.defaultserver"] = "smtp1"
    return chosen


class Thunderbird:
    """The running program: with Thunderbird(suite) as client: client.run("...").

    log: all dialogues are written, IMAP into "dialogue.moz_log" and the others into "output"; slow.
    """

    def __init__(self, suite, log=False):
        self.log = log
        self.suite = suite
        self.home = os.path.join(suite.directory, "thunderbird")
        self.profile = os.path.join(self.home, "profile")
        self.processes = []
        self.remote = None

    def __enter__(self):
        try:
            self.make_profile()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        if self.remote is not None:
            self.remote.close()
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def make_profile(self):
        os.makedirs(self.profile)
        with open(os.path.join(self.profile, "user.js"), "w") as out:
            for name, value in preferences(self.suite, self.log).items():
                out.write("user_pref(%s, %s);\n" % (json.dumps(name), json.dumps(value)))
        database = "sql:" + self.profile
        subprocess.run(["certutil", "-N", "-d", database, "--empty-password"], check=True)
        subprocess.run(["certutil", "-A", "-d", database, "-n", "try", "-t", "CT,,",
                        "-i", self.suite.settings["ca_file"]], check=True)

    def start_screen(self):
        """Xvfb chooses a free display and says which."""
        read, write = os.pipe()
        self.processes.append(subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", "1400x900x24", "-nolisten", "tcp"],
            pass_fds=[write], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        os.close(write)
        with os.fdopen(read) as answer:
            number = answer.readline().strip()
        if not number:
            raise RuntimeError("Xvfb does not start")
        return ":" + number

    def start(self):
        environment = dict(os.environ, DISPLAY=self.start_screen(), HOME=self.home,
                           MOZ_CRASHREPORTER_DISABLE="1", LC_ALL="C.UTF-8")
        if self.log:
            environment.update(MOZ_LOG="IMAP:4,timestamp,sync",
                               MOZ_LOG_FILE=os.path.join(self.home, "dialogue"))
        with open(os.path.join(self.home, "output"), "w") as output:
            program = subprocess.Popen(
                ["thunderbird", "--no-remote", "--profile", self.profile, "--marionette",
                 "--remote-allow-system-access"],
                env=environment, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT)
        self.processes.append(program)
        port = wait_until(lambda: self.read_port(program), "Thunderbird", START_S)
        with open(os.path.join(HERE, "thunderbird.js")) as helpers:
            self.remote = Marionette(port, helpers.read())
        wait_until(lambda: self.run("return mail3pane && mail3pane.document.readyState"
                                    " == 'complete' && !!mail3pane.msgWindow"),
                   "the main window", START_S)

    def read_port(self, program):
        if not is_alive(program.pid):
            raise RuntimeError("Thunderbird does not start")
        try:
            with open(os.path.join(self.profile, "MarionetteActivePort")) as port:
                return int(port.read())
        except (OSError, ValueError):
            return None

    def run(self, script, *args):
        return self.remote.run(script, *args)

    def add_password(self, scheme, name):
        self.run("""
            const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(
                Ci.nsILoginInfo);
            const origin = args[0] + "://" + args[1];
            login.init(origin, null, origin, args[2], args[3], "", "");
            await Services.logins.addLoginAsync(login);
            """, scheme, self.suite.settings["hostname"], *self.suite.account(name))
