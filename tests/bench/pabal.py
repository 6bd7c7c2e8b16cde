# SPDX-License-Identifier: ISC
"""A throw-away suite of Pabal by `mailctl try`, opened for the same measurements."""

import json
import pathlib
import subprocess

EXTRA = """\
plaintext-login = yes
connections-per-address = 20000
route sink.example {{
  via = "127.0.0.1:{sink_port}"
  tls = "may"
}}
"""


class Pabal:
    name = "Pabal"

    def __init__(self, build, directory, account_count, sink_port):
        self.mailctl = str(pathlib.Path(build) / "bin/mailctl")
        self.top = pathlib.Path(directory) / "pabal"
        self.root = self.top / "suite"
        self.account_count = account_count
        self.sink_port = sink_port
        self.accounts, self.ports, self.settings = [], {}, None

    def start(self):
        self.top.mkdir(parents=True)
        self.top.chmod(0o755)
        extra = self.top / "extra.conf"
        extra.write_text(EXTRA.format(sink_port=self.sink_port))
        done = subprocess.run([self.mailctl, "try", str(self.root), "--detach", "--accounts",
                               str(self.account_count), "--config-extra", str(extra)],
                              capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise RuntimeError(f"mailctl try: {done.stdout}{done.stderr}")
        self.settings = json.loads((self.root / "settings.json").read_text())
        self.ports = {name: self.settings[name]["port"] for name in
                      ("smtp", "submission", "imap", "imaps", "pop3", "pop3s")}
        self.ports["relay"] = self.ports["submission"]
        self.accounts = [(a["address"], a["password"]) for a in self.settings["accounts"]
                         if a["address"].startswith("user")]

    def stop(self):
        if self.root.exists():
            subprocess.run([self.mailctl, "try", "--stop", str(self.root)], capture_output=True,
                           timeout=120)

    def roots(self):
        return self.settings["pids"]["maild"]

    def log(self):
        path = self.root / "log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""
