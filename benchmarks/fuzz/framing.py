"""Kinds of hostile framing: where a body ends, and a payment hidden where two readers disagree
about that.
"""

from __future__ import annotations

import gzip
import zlib
from typing import Final

from benchmarks.fuzz.draft import CRLF, MANY, Draft, Recipe, chunked, joined
from benchmarks.fuzz.watch import CANARY
from benchmarks.fuzz.wire import Case

_LENGTHS: Final = (
    b"-1", b"+5", b"0x10", b"5, 5", b"5,6", b"5 6", b"", b" ", b"1e3", b"5.0", b"\xb2",
    b"99999999999999999999", b"18446744073709551616", b"9" * 9_000, b"0" * 5_000 + b"5", b"5;q=1",
    b"five", b"\x00", b"5\x00", b"2147483648", b"4294967296",
)  # fmt: skip
_CODINGS: Final = (
    b"chunked, identity", b"identity", b"identity, chunked", b"xchunked", b"chunked chunked",
    b"Chunked", b" chunked", b"chunked ", b"\tchunked", b"chunked;q=1", b"gzip, chunked", b"gzip",
    b"", b",chunked", b"chunked,", b"\x0bchunked", b'"chunked"', b"chun\xffked", b"chunked\x00",
    b"chunked, chunked",
)  # fmt: skip
_SIZES: Final = (
    b"0x5", b"-5", b"+5", b" 5", b"5 ", b"5\t", b"FFFFFFFFFFFFFFFF", b"FFFFFFFFFFFFFFFFFF", b"g",
    b"", b"5;", b"5;a=b", b'5;a="b;c"', b'5;a="', b"5;" + b"a" * 70_000, b"0" * 5_000 + b"5",
    b"5\x00", b"5\r", b"1e1", b"00000005", b"5_0", b"5,5",
)  # fmt: skip
_TRAILERS: Final = (
    b"content-length: 5", b"transfer-encoding: chunked", b"authorization: Bearer x",
    b"host: elsewhere", b"content-encoding: gzip", b"x: y", b"x", b": y", b"\x00: y", b"x: \xff",
    b" folded", b"connection: close",
)  # fmt: skip


def lengths(draft: Draft) -> Case:
    """A `Content-Length` that is no number, another one, or one of two; behind the body hides a
    payment.
    """
    length = draft.one(*_LENGTHS)
    lines = [*draft.headers(), b"content-type: application/json", b"content-length: " + length]
    if draft.random.random() < 0.3:
        lines.append(b"content-length: " + draft.one(*_LENGTHS, b"5"))
    sent = joined(b"POST /v1/decisions HTTP/1.1", lines, b"12345")
    return Case(pieces=(sent,), answers=2, whole=False)


def codings(draft: Draft) -> Case:
    """A `Transfer-Encoding` that two readers take for two things, with and without a length beside
    it.
    """
    hidden = draft.hidden()
    version = draft.one(b"1.1", b"1.1", b"1.0")
    coding = b"transfer-encoding: " + draft.one(b"chunked", *_CODINGS)
    lines = [*draft.headers(), b"content-type: application/json", coding]
    if draft.random.random() < 0.3:
        lines.append(b"transfer-encoding: " + draft.one(b"chunked", *_CODINGS))
    # whoever reads chunks sees an empty body and a request behind it; whoever reads the length sees
    # one body
    body = b"0\r\n\r\n" + hidden
    lines.insert(draft.one(1, len(lines)), b"content-length: %d" % len(body))
    sent = joined(b"POST /v1/decisions HTTP/" + version, lines, body)
    return Case(pieces=(sent,), answers=1, whole=False)


def hidden(draft: Draft) -> Case:
    """Bodies that hold a request where every reader agrees that they are bodies."""
    inner = draft.hidden()
    sent = draft.one(
        draft.post(inner),
        joined(
            b"POST /v1/decisions HTTP/1.1",
            [*draft.headers(), b"content-type: application/json", b"transfer-encoding: chunked"],
            chunked(inner, inner),
        ),
        joined(
            b"GET /health/live HTTP/1.1",
            [*draft.headers(), b"content-length: %d" % len(inner)],
            inner,
        ),
        draft.post(inner, path=b"/nowhere"),
        draft.post(inner, b"connection: Upgrade", b"upgrade: h2c"),
        draft.post(inner, b"content-encoding: br"),
    )
    return Case(pieces=(sent,), due=True)


def chunks(draft: Draft) -> Case:
    """Sizes of chunks that are none, too large, or followed by something else."""
    size = draft.one(*_SIZES)
    end = draft.one(CRLF, CRLF, b"\n", b"\r", b"", b"\r\n\r\n")
    middle = size + end + b"12345" + draft.one(CRLF, b"", b"x\r\n", b"\n")
    lines = [*draft.headers(), b"content-type: application/json", b"transfer-encoding: chunked"]
    body = (
        draft.one(b"", b"1\r\n{\r\n")
        + middle
        + draft.one(b"0\r\n\r\n", b"", b"0\r\n", b"00000\r\n\r\n")
    )
    return Case(
        pieces=(joined(b"POST /v1/decisions HTTP/1.1", lines, body),), answers=2, whole=False
    )


def small_chunks(draft: Draft) -> Case:
    """A good body in very many chunks, each with an extension that nobody wants."""
    body, extension = draft.body(), draft.one(b"", b";a=b", b";" + b"a" * 200)
    chunks = b"".join([b"1%b\r\n%c\r\n" % (extension, byte) for byte in body])
    lines = [*draft.headers(), b"content-type: application/json", b"transfer-encoding: chunked"]
    return Case(
        pieces=(joined(b"POST /v1/decisions HTTP/1.1", lines, chunks + b"0\r\n\r\n"),), due=True
    )


def trailers(draft: Draft) -> Case:
    """Headers behind the body: ones that belong before it, ones that are none, very many."""
    lines = [
        *draft.headers(),
        b"content-type: application/json",
        b"transfer-encoding: chunked",
        b"trailer: x",
    ]
    count = draft.one(1, 1, *MANY)
    behind = CRLF.join([draft.one(*_TRAILERS, CANARY.encode() + b": y")] * count)
    body = chunked(draft.body())[:-2] + behind + draft.one(b"\r\n\r\n", b"\r\n\r\n", b"\r\n", b"")
    return Case(
        pieces=(joined(b"POST /v1/decisions HTTP/1.1", lines, body),), answers=2, whole=False
    )


def compressed(draft: Draft) -> Case:
    """Bodies that are said to be compressed: that are not, that end early, go on, or hold a
    thousand times as much.
    """
    good = draft.body()
    packed = draft.one(gzip.compress, zlib.compress)(good)
    spoilt = bytearray(packed)
    spoilt[draft.random.randrange(len(spoilt))] ^= 1 << draft.random.randrange(8)
    body = draft.one(
        packed,
        bytes(spoilt),
        packed[: draft.random.randrange(len(packed))],
        packed + draft.noise(50),
        packed + packed,
        gzip.compress(packed),
        gzip.compress(bytes(30_000_000), 9),
        zlib.compress(b"[" * 30_000_000, 9),
        gzip.compress(gzip.compress(bytes(30_000_000), 9), 9),
        b"\x1f\x8b\x08\x1f" + draft.noise(500),
        b"\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x03" + b"a" * 100_000,
        b"",
        good,
        gzip.compress(b"") * 20_000 + packed,
    )
    coding = draft.one(
        b"gzip",
        b"deflate",
        b"x-gzip",
        b"gzip, gzip",
        b"br",
        b"zstd",
        b"GZIP",
        b"identity",
        b"",
        b"gzip;q=1",
    )
    path = draft.one(
        b"/v1/decisions", b"/v1/decisions", b"/execute", b"/invocations", b"/v1/decisions:batch"
    )
    return Case(pieces=(draft.post(body, b"content-encoding: " + coding, path=path),), due=True)


KINDS: Final[dict[str, Recipe]] = {
    "length": lengths,
    "transfer coding": codings,
    "hidden request": hidden,
    "chunk": chunks,
    "small chunks": small_chunks,
    "trailer": trailers,
    "compressed": compressed,
}
