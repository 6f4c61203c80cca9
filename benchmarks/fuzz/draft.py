"""What cases are made of: requests as bytes, good ones to spoil and payments to hide in them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from benchmarks.faults.load import payment
from benchmarks.fuzz.watch import CANARY
from benchmarks.fuzz.wire import SMUGGLED, Case

CRLF: Final = b"\r\n"
MANY: Final = (1, 2, 10, 100, 1_000, 10_000)
JSON: Final = b"application/json"


@dataclass(frozen=True)
class Draft:
    """Makes the parts of one case; `token` is a good API key, `kind` and `number` tell it from all
    others.
    """

    random: Random
    token: str
    kind: str
    number: int

    @property
    def name(self) -> str:
        """The id of this case's payment."""
        return f"{CANARY}-{self.kind}-{self.number}"

    def payment(self, **changes: Any) -> dict[str, Any]:
        """A good payment of now, with fields replaced."""
        return payment(self.number, time.time() - 60) | {"payment_id": self.name} | changes

    def body(self, **changes: Any) -> bytes:
        """The same as JSON."""
        return json.dumps(self.payment(**changes)).encode()

    def headers(self, body: bytes | None = None, kind: bytes = JSON) -> list[bytes]:
        """Lines of headers that a good request has, with the length of a body if there is one."""
        lines = [b"host: localhost", b"authorization: Bearer " + self.token.encode()]
        if body is not None:
            lines += [b"content-type: " + kind, b"content-length: %d" % len(body)]
        return lines

    def post(
        self,
        body: bytes,
        *more: bytes,
        path: bytes = b"/v1/decisions",
        kind: bytes = JSON,
    ) -> bytes:
        """A POST with more lines of headers."""
        return joined(b"POST %b HTTP/1.1" % path, [*self.headers(body, kind), *more], body)

    def good(self) -> bytes:
        """A payment that is decided."""
        return self.post(self.body())

    def hidden(self) -> bytes:
        """A payment as a request that must never be read as one."""
        return self.post(self.body(payment_id=f"{SMUGGLED.decode()}-{self.kind}-{self.number}"))

    def noise(self, most: int) -> bytes:
        """Bytes of any kind, without line ends."""
        size = self.random.randint(0, most)
        return self.random.randbytes(size).translate(None, CRLF)

    def one(self, *choices: Any) -> Any:
        """One of them."""
        return self.random.choice(choices)


Recipe = Callable[[Draft], Case]


def joined(first: bytes, lines: Sequence[bytes], body: bytes = b"", end: bytes = CRLF) -> bytes:
    """A request of its first line, its headers and its body."""
    return end.join([first, *lines, b"", b""]) + body


def chunked(*chunks: bytes) -> bytes:
    """A body in chunks, with its end."""
    return b"".join([b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks]) + b"0\r\n\r\n"
