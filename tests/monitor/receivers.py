"""Real receivers of alerts on loopback: an HTTP server, and an SMTP server with STARTTLS."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Posted(NamedTuple):
    """A request that came."""

    headers: Mapping[str, str]
    body: bytes


class WebhookReceiver(ThreadingHTTPServer):
    """Keeps what is posted to it, and answers with `status`; while `open` is clear, not at all."""

    daemon_threads = True

    def __init__(self) -> None:
        self.posted: list[Posted] = []
        self.status = 204
        self.open = threading.Event()
        self.open.set()
        super().__init__(("127.0.0.1", 0), _Posts)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/alerts"


class _Posts(BaseHTTPRequestHandler):
    server: WebhookReceiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.posted.append(Posted({k.lower(): v for k, v in self.headers.items()}, body))
        self.server.open.wait()
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Nothing on standard error."""


class EndlessReceiver(socketserver.ThreadingTCPServer):
    """Answers each request with `first`, and then with single bytes for as long as it is heard."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        self.first = b"HTTP/1.1 200 OK\r\n\r\n"
        self.asked = 0
        super().__init__(("127.0.0.1", 0), _Drip)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/alerts"


class _Drip(socketserver.BaseRequestHandler):
    server: EndlessReceiver

    def handle(self) -> None:
        self.server.asked += 1
        if not self.server.first.startswith(b"220"):  # a mail server speaks first
            self.request.recv(65_536)
        with suppress(OSError):
            self.request.sendall(self.server.first)
            while True:
                self.request.sendall(b"x")
                time.sleep(0.02)


class MailServer(socketserver.ThreadingTCPServer):
    """Takes mail after STARTTLS and the right password only; refuses the first `refuse` mails."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.mails: list[str] = []
        self.refuse = 0
        super().__init__(("127.0.0.1", 0), _Session)


class _Session(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self.safe = self.known = False
        self.say("220 test")
        with suppress(ssl.SSLError):  # a client that does not trust us goes away
            while line := self.rfile.readline().decode().strip():
                verb = line.split(":")[0].upper()
                if verb == "QUIT":
                    self.say("221 bye")
                    return
                self.answer(verb, line)

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def answer(self, verb: str, line: str) -> None:
        if verb.startswith("EHLO"):
            self.say("250-test", "250 AUTH PLAIN" if self.safe else "250 STARTTLS")
        elif verb == "STARTTLS":
            self.say("220 go on")
            self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.safe = self.connection.makefile("rb"), True
        elif verb.startswith("AUTH PLAIN"):
            told = base64.b64decode(line.split()[-1]).split(b"\0")[1:]
            self.known = self.safe and told == [b"watch@bank", b"p:ss word"]
            self.say("235 welcome" if self.known else "535 who are you")
        elif not self.known:
            self.say("530 authenticate first")
        elif verb == "DATA":
            self.take()
        else:
            self.say("250 ok")

    def take(self) -> None:
        self.say("354 go on")
        lines: list[str] = []
        while (line := self.rfile.readline().decode()) != ".\r\n":
            lines.append(line)
        if self.server.refuse:
            self.server.refuse -= 1
            self.say("451 later")
        else:
            self.server.mails.append("".join(lines))
            self.say("250 taken")

    def say(self, *lines: str) -> None:
        self.connection.sendall("".join(f"{line}\r\n" for line in lines).encode())


@contextmanager
def serving(server: Any) -> Iterator[Any]:
    """The server while it listens."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
