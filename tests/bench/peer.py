# SPDX-License-Identifier: ISC
"""Debian's postfix and dovecot in a private directory, on free loopback ports.

Their defaults hold wherever they do not forbid the measurement: limits per client address are
lifted, plain-text logins allowed, passwords are compared in the clear (so that no hash is paid for).
"""

import contextlib
import os
import pathlib
import random
import shutil
import socket
import subprocess
import time

START_S = 30


def free_ports(count):
    """Ports that nobody uses, below those that clients get by chance."""
    sockets = []
    for port in random.sample(range(12000, 32000), 2000):
        with contextlib.suppress(OSError):
            sockets.append(socket.create_server(("127.0.0.1", port)))
        if len(sockets) == count:
            break
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def wait_for_port(port, what):
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{what} does not listen on port {port}")


MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = {root}/postfix.log
maillog_file_prefixes = {root}
myhostname = mail.example.org
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
virtual_mailbox_domains = example.org
virtual_mailbox_maps = texthash:{root}/recipients
virtual_transport = lmtp:unix:{root}/run/lmtp
transport_maps = texthash:{root}/transport
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_tls_security_level = may
smtpd_tls_cert_file = {root}/cert.pem
smtpd_tls_key_file = {root}/key.pem
smtp_tls_security_level = may
smtp_dns_support_level = disabled
biff = no
"""

MASTER_CF = """\
127.0.0.1:{smtp} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

DOVECOT_CONF = """\
base_dir = {root}/run
state_dir = {root}/state
instance_name = {instance}
log_path = {root}/dovecot.log
protocols = imap pop3 lmtp
listen = 127.0.0.1
ssl = yes
ssl_cert = <{root}/cert.pem
ssl_key = <{root}/key.pem
disable_plaintext_auth = no
mail_location = {location}
mail_uid = mail
mail_gid = mail
first_valid_uid = 1
first_valid_gid = 1
mail_max_userip_connections = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {root}/passwd
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={root}/mail/%n allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service lmtp {{
  unix_listener lmtp {{
    mode = 0666
  }}
}}
"""


LOCATIONS = {"mdbox": "mdbox:~/mdbox", "Maildir": "maildir:~/Maildir"}


class Peer:
    def __init__(self, directory, account_count, sink_port, mail_format):
        self.name = f"dovecot {mail_format}"
        self.root = pathlib.Path(directory) / f"peer-{mail_format}"
        self.accounts = [(f"user{i}@example.org", f"secret{i}")
                         for i in range(1, account_count + 1)]
        self.location = LOCATIONS[mail_format]
        self.sink_port = sink_port
        self.ports = dict(zip(("smtp", "imap", "imaps", "pop3", "pop3s"), free_ports(5)))
        self.ports["relay"] = self.ports["smtp"]  # mynetworks may relay
        self.postfix = self.dovecot = None

    def write_configuration(self):
        values = dict(self.ports, root=self.root, location=self.location,
                      instance=self.root.name)
        postfix = self.root / "postfix"
        for name in ("postfix", "queue", "data", "mail"):
            (self.root / name).mkdir(parents=True)
        shutil.chown(self.root / "data", "postfix")
        shutil.chown(self.root / "mail", "mail", "mail")
        (postfix / "main.cf").write_text(MAIN_CF.format(**values))
        (postfix / "master.cf").write_text(MASTER_CF.format(**values))
        (self.root / "dovecot.conf").write_text(DOVECOT_CONF.format(**values))
        (self.root / "recipients").write_text("".join(f"{a} {a}\n" for a, _ in self.accounts))
        (self.root / "transport").write_text(
            f"sink.example smtp:[127.0.0.1]:{self.sink_port}\n")
        passwd = self.root / "passwd"
        passwd.write_text("".join(f"{a}:{{PLAIN}}{p}\n" for a, p in self.accounts))
        shutil.chown(passwd, "root", "dovecot")
        passwd.chmod(0o640)

    def start(self):
        self.root.mkdir(parents=True)
        self.root.chmod(0o755)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        "/CN=mail.example.org", "-keyout", str(self.root / "key.pem"), "-out",
                        str(self.root / "cert.pem")], check=True, capture_output=True)
        self.write_configuration()
        self.dovecot = subprocess.Popen(["dovecot", "-F", "-c", str(self.root / "dovecot.conf")],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        self.postfix_command("start")
        pid_file = self.root / "queue/pid/master.pid"
        wait_for_port(self.ports["smtp"], "postfix")
        self.postfix = int(pid_file.read_text())
        for service in ("imap", "pop3"):
            wait_for_port(self.ports[service], "dovecot")

    def postfix_command(self, word):
        return subprocess.run(["postfix", "-c", str(self.root / "postfix"), word],
                              capture_output=True, text=True, timeout=60, check=word == "start")

    def stop(self):
        if (self.root / "queue/pid/master.pid").exists():
            self.postfix_command("stop")
        if self.dovecot is not None:
            self.dovecot.terminate()
            self.dovecot.wait(timeout=30)
        self.postfix = self.dovecot = None

    def roots(self):
        return [self.postfix, self.dovecot.pid]

    def log(self):
        text = ""
        for name in ("postfix.log", "dovecot.log"):
            path = self.root / name
            text += path.read_text(errors="replace")[-4000:] if path.exists() else ""
        return text

    @staticmethod
    def version():
        postfix = subprocess.run(["postconf", "-dh", "mail_version"], capture_output=True, text=True)
        dovecot = subprocess.run(["dovecot", "--version"], capture_output=True, text=True)
        return f"postfix {postfix.stdout.strip()}, dovecot {dovecot.stdout.split()[0]}"

    @staticmethod
    def is_possible():
        """postfix starts as root only."""
        return os.geteuid() == 0 and Peer.is_installed()

    @staticmethod
    def is_installed():
        return all(os.path.exists(f"/usr/sbin/{name}") for name in ("postfix", "dovecot"))
