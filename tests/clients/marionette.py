# SPDX-License-Identifier: ISC
"""Runs JavaScript inside a Mozilla program by its remote protocol (length-prefixed JSON on TCP).

    remote = Marionette(port)
    remote.run("return args[0] + 1", 41)

A script is the body of an async function; it gets args and may return what JSON can hold.
"""

import json
import socket

CONNECT_S = 10


class ScriptFailed(Exception):
    """The script threw, or the program refused to run it."""


class Marionette:
    def __init__(self, port, prelude="", timeout_s=60):
        self.prelude = prelude
        self.timeout_s = timeout_s
        self.serial = 0
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=CONNECT_S)
        self.socket.settimeout(timeout_s + CONNECT_S)
        self.reader = self.socket.makefile("rb")
        self.read_packet()
        self.call("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {
            "unhandledPromptBehavior": "ignore"}}})
        self.call("Marionette:SetContext", {"value": "chrome"})
        self.call("WebDriver:SetTimeouts", {"script": int(timeout_s * 1000)})

    def read_packet(self):
        length = b""
        while not length.endswith(b":"):
            octet = self.reader.read(1)
            if not octet:
                raise ConnectionError("the program closed the connection")
            length += octet
        return json.loads(self.reader.read(int(length[:-1])))

    def call(self, name, parameters):
        self.serial += 1
        text = json.dumps([0, self.serial, name, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(text), text))
        _, serial, error, result = self.read_packet()
        if error:
            raise ScriptFailed("%s: %s" % (error.get("error"), error.get("message")))
        if serial != self.serial:
            raise ConnectionError("an answer to another command")
        return result

    def run(self, script, *args):
        wrapped = """
            const done = arguments[arguments.length - 1];
            const args = [...arguments].slice(0, -1);
            (async () => { %s
            %s })().then(v => done({ value: v === undefined ? null : v }),
                e => done({ thrown: String(e) + "\\n" + (e.stack || "") }));
            """ % (self.prelude, script)
        result = self.call("WebDriver:ExecuteAsyncScript", {
            "script": wrapped, "args": list(args), "newSandbox": True, "sandbox": "system"})
        value = result["value"]
        if value is None:
            raise ScriptFailed("a dialog came up: %s" % self.dismiss())
        if "thrown" in value:
            raise ScriptFailed(value["thrown"])
        return value["value"]

    def dismiss(self):
        """Presses Cancel in the dialog that is open; returns its text, None when there is none."""
        try:
            text = self.call("WebDriver:GetAlertText", {})["value"]
            self.call("WebDriver:DismissAlert", {})
            return text
        except ScriptFailed:
            return None

    def screenshot(self):
        """The front window as base64 of a PNG."""
        return self.call("WebDriver:TakeScreenshot", {"full": True, "hash": False})["value"]

    def close(self):
        self.reader.close()
        self.socket.close()
