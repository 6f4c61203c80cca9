"""Compressed bodies: the header `Content-Encoding` (RFC 9110, 8.4), and how to inflate them.

A body is inflated in small pieces and no further than its reader allows, so a decompression bomb
costs no more than a body.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from shroff.errors import BadPayment
from shroff.serve import problem
from shroff.serve.problem import Refused

HEADER: Final = b"content-encoding"
_ACCEPTED: Final = "gzip, deflate"
_CODINGS: Final = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}
_PRINTABLE_NAMES: Final = re.compile(r"[a-z0-9-]{1,16}(, [a-z0-9-]{1,16}){0,3}")
_UNSUPPORTED: Final = replace(
    problem.UNSUPPORTED_MEDIA_TYPE, headers={"accept-encoding": _ACCEPTED}
)

_INFLATED_PIECE_BYTES: Final = 65_536  # inflated at a time
_COMPRESSED_SLICE_BYTES: Final = 4_096  # read at a time: zlib copies what follows a member
# one payment repeated compresses to a four hundredth at best, zeros to a thousandth
_MAX_COMPRESSION_RATIO: Final = 500
_UNCHECKED_RATIO_BYTES: Final = 131_072  # of inflated text whose ratio is not checked
_GZIP_WINDOW_BITS: Final = 31
_ZLIB_WINDOW_BITS, _RAW_WINDOW_BITS = 15, -15

Receive = Callable[[], Awaitable[dict[str, Any]]]


def coding(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The coding that the headers of a request name: `gzip`, `deflate`, or the empty text for none.

    >>> coding([(b"content-encoding", b"identity, X-GZip")]), coding([])
    ('gzip', '')

    Raises:
        Refused: an unknown coding, or several.
    """
    text = b",".join([value for name, value in headers if name == HEADER]).decode("latin-1").lower()
    named = [name for one in text.split(",") if (name := one.strip()) not in ("", "identity")]
    if not named:
        return ""
    found = _CODINGS.get(named[0]) if len(named) == 1 else None
    if found is None:
        shown = (
            f"`{', '.join(named)}`"
            if _PRINTABLE_NAMES.fullmatch(", ".join(named))
            else "another one"
        )
        raise Refused(
            _UNSUPPORTED,
            f"expected the header `Content-Encoding: gzip` or `deflate`, or none, got {shown}.",
        )
    return found


def inflate(body: bytes, named: str, too_large: Refused, *, limit: int) -> bytes:
    """A whole body, decompressed.

    Raises:
        BadPayment: the body is not compressed that way.
        Refused: `too_large`, as soon as it is larger than `limit` bytes.
    """
    inflater, parts, size = Inflater(named), [], 0
    for piece in inflater.feed(body):
        size += len(piece)
        if size > limit:
            raise too_large
        parts.append(piece)
    inflater.end()
    return b"".join(parts)


class Inflater:
    """Inflates a compressed text in pieces; gzip may have several members in a row.

    >>> inflater = Inflater("deflate")
    >>> b"".join(inflater.feed(zlib.compress(b"payments"))), inflater.end()
    (b'payments', None)
    """

    def __init__(self, named: str) -> None:
        self._coding = named
        self._member: zlib._Decompress | None = None
        self._whole = False
        self.taken, self.made = 0, 0
        """Bytes so far, compressed and not."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The inflated bytes, in small pieces; raises `BadPayment` for other bytes."""
        for at in range(0, len(data), _COMPRESSED_SLICE_BYTES):
            yield from self._inflate(data[at : at + _COMPRESSED_SLICE_BYTES])

    def end(self) -> None:
        """Raise `BadPayment` unless the text was complete."""
        if not self._whole or self._member is not None:
            raise self._bad("got its beginning")

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        piece = b""
        while data or len(piece) == _INFLATED_PIECE_BYTES:
            member = self._member = self._member or self._begin(data)
            try:
                piece = member.decompress(data, _INFLATED_PIECE_BYTES)
            except zlib.error:
                raise self._bad("got other bytes") from None
            left = member.unused_data if member.eof else member.unconsumed_tail
            self.taken += len(data) - len(left)
            self.made += len(piece)
            data = left
            if member.eof:
                self._member, self._whole = None, True
            if piece:
                yield piece

    def _begin(self, data: bytes) -> zlib._Decompress:
        if self._coding == "gzip":
            return zlib.decompressobj(_GZIP_WINDOW_BITS)
        if self._whole:
            raise self._bad("got more behind it")
        # RFC 9110 means zlib's format; some clients send raw deflate
        return zlib.decompressobj(
            _ZLIB_WINDOW_BITS if data[0] & 0x0F == zlib.DEFLATED else _RAW_WINDOW_BITS
        )

    def _bad(self, got: str) -> BadPayment:
        return BadPayment(
            f"expected a body compressed with {self._coding}, as its `Content-Encoding` says, "
            f"{got}."
        )


def inflated(receive: Receive, named: str, bomb: Refused, *, ahead: int = 0) -> Receive:
    """A `receive` that decompresses the body of a request; raises as `Inflater` does.

    Args:
        bomb: raised if the body inflates more than payments can.
        ahead: bytes to inflate before the first is given, so that errors in them are raised first.
    """
    return _ahead(_messages(receive, Inflater(named), bomb), ahead).__anext__


async def _ahead(
    messages: AsyncIterator[dict[str, Any]], left: int
) -> AsyncIterator[dict[str, Any]]:
    held = []
    async for message in messages:
        held.append(message)
        left -= len(message.get("body", b""))
        if left <= 0 or not message.get("more_body"):
            for one in held:
                yield one
            held = []


async def _messages(
    receive: Receive, inflater: Inflater, bomb: Refused
) -> AsyncIterator[dict[str, Any]]:
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            yield message
            return
        for piece in inflater.feed(message["body"]):
            if inflater.made > _UNCHECKED_RATIO_BYTES + _MAX_COMPRESSION_RATIO * inflater.taken:
                raise bomb
            yield {"type": "http.request", "body": piece, "more_body": True}
        more = message.get("more_body", False)
    inflater.end()
    yield {"type": "http.request", "body": b"", "more_body": False}
