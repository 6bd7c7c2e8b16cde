# SPDX-License-Identifier: ISC
"""The other host: an SMTP server whose every answer a test can choose, and a DNS server (nsd) that
knows the zones a test gives it.  Standard library only."""

import os
import shutil
import socket
import socketserver
import ssl
import subprocess
import tempfile
import threading

from suite import wait_until

EXTENSIONS = ["PIPELINING", "8BITMIME", "SIZE 10000000", "DSN", "SMTPUTF8", "ENHANCEDSTATUSCODES"]


class Sink:
    """A server on address:port (0: any).  messages: (MAIL line, RCPT lines, body) taken so far."""

    def __init__(self, address="127.0.0.1", port=0):
        self.greeting = "220 sink.example ESMTP"
        self.extensions = list(EXTENSIONS)
        self.rcpt = lambda line: "250 2.1.5 ok"
        self.dot = lambda: "250 2.0.0 taken"
        self.tls = None
        self.lines, self.messages, self.sessions, self.handshakes = [], [], 0, 0
        sink = self

        class Session(socketserver.BaseRequestHandler):
            def handle(self):
                sink.sessions += 1
                self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    sink.serve(self.request)
                except OSError:
                    pass

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 128

        self.server = Server((address, port), Session)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def serve(self, connection):
        stream = connection.makefile("rwb")
        mail, recipients = "", []

        def say(text):
            stream.write(text.encode() + b"\r\n")
            stream.flush()

        say(self.greeting)
        while True:
            line = stream.readline().decode("latin-1").rstrip("\r\n")
            verb = line.upper().partition(" ")[0].partition(":")[0]
            self.lines.append(line)
            if line == "" or verb == "QUIT":
                say("221 2.0.0 bye")
                return
            if verb == "EHLO":
                words = ["sink.example"] + self.extensions
                if self.tls is not None and not isinstance(connection, ssl.SSLSocket):
                    words.append("STARTTLS")
                for index, word in enumerate(words):
                    say("250%s%s" % (" " if index == len(words) - 1 else "-", word))
            elif verb == "STARTTLS":
                say("220 2.0.0 go")
                self.handshakes += 1
                connection = self.tls(connection)
                stream = connection.makefile("rwb")
            elif verb == "MAIL":
                mail, recipients = line, []
                say("250 2.1.0 ok")
            elif verb == "RCPT":
                reply = self.rcpt(line)
                if reply.startswith("2"):
                    recipients.append(line)
                say(reply)
            elif verb == "DATA" and recipients:
                say("354 go")
                body = self.read_body(stream)
                if body is None:
                    return
                reply = self.dot()
                if reply.startswith("2"):
                    self.messages.append((mail, recipients, body))
                say(reply)
            elif verb == "RSET":
                say("250 2.0.0 ok")
            else:
                say("503 5.5.1 what")

    @staticmethod
    def read_body(stream):
        body = b""
        while True:
            line = stream.readline()
            if line == b"":
                return None
            if line == b".\r\n":
                return body
            body += line[1:] if line.startswith(b".") else line

    def wait(self, count, what="messages at the other host"):
        wait_until(lambda: len(self.messages) >= count, "%d %s" % (count, what))
        return self.messages


def server_tls(certificate, key):
    """For Sink.tls: a real handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return lambda connection: context.wrap_socket(connection, server_side=True)


def broken_tls(connection):
    """For Sink.tls: what was promised is no TLS."""
    connection.sendall(b"this is no handshake\r\n")
    connection.shutdown(socket.SHUT_RDWR)
    raise OSError("broken on purpose")


def free_port(address="127.0.0.1", kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


class Nsd:
    """nsd with one zone, "test."."""

    CONFIG = """server:
  ip-address: 127.0.0.1@{port}
  zonesdir: "{top}"
  database: ""
  pidfile: "{top}/pid"
  xfrdfile: "{top}/xfrd"
  zonelistfile: "{top}/zones"
  username: ""
  chroot: ""
  server-count: 1
remote-control:
  control-enable: no
zone:
  name: test
  zonefile: zone
"""
    HEAD = "$ORIGIN test.\n$TTL 60\n@ SOA ns root 1 3600 900 3600 60\n@ NS ns\nns A 127.0.0.1\n"

    def __init__(self, records):
        self.top = tempfile.mkdtemp(prefix="pabal-nsd-")
        with open(os.path.join(self.top, "zone"), "w") as zone:
            zone.write(self.HEAD + records + "\n")
        # Somebody else may take the port before nsd does.
        for _ in range(10):
            self.start()
            wait_until(lambda: self.process.poll() is not None or self.answers(), "nsd's answer")
            if self.process.poll() is None:
                return
        raise AssertionError("nsd does not start")

    def start(self):
        self.port = free_port(kind=socket.SOCK_DGRAM)
        self.resolver = "127.0.0.1@%d" % self.port
        with open(os.path.join(self.top, "conf"), "w") as conf:
            conf.write(self.CONFIG.format(top=self.top, port=self.port))
        self.process = subprocess.Popen(
            [shutil.which("nsd", path=os.environ.get("PATH", "") + ":/usr/sbin") or "nsd", "-d",
             "-c", os.path.join(self.top, "conf")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers(self):
        question = b"\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04test\x00\x00\x06\x00\x01"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(0.2)
            try:
                client.sendto(question, ("127.0.0.1", self.port))
                return len(client.recv(512)) > 12
            except OSError:
                return False

    def close(self):
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.top, ignore_errors=True)
