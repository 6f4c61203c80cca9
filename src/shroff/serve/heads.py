"""Rules for the head of a request beyond the parser's: RFC 9110, RFC 9112, and a size limit."""

from __future__ import annotations

from typing import Final

from shroff.serve import problem
from shroff.serve.asgi import Headers, Refusal

MAX_HEAD_BYTES: Final = 64 * 1024
"""Largest head of a request, and most bytes of framing between or after pieces of its body."""

TOO_LARGE: Final[Refusal] = (
    problem.HEAD_TOO_LARGE,
    f"expected at most {MAX_HEAD_BYTES:,} bytes of headers or trailers, got more.",
)
MALFORMED: Final[Refusal] = (
    problem.BAD_PAYMENT,
    "expected a request of HTTP/1.1, got bytes that are none.",
)
FRAGMENTED: Final[Refusal] = (
    problem.BAD_PAYMENT,
    "expected a body in pieces of some length, got thousands of a few bytes.",
)
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_MAX_LENGTH_DIGITS: Final = 20
"""Most digits of a length: Python refuses to parse thousands."""
_SINGLE_HEADERS: Final = (b"host", b"authorization", b"content-type")
"""Headers that may come only once: of two, proxies and servers could believe different ones."""


def misfit(version: str, headers: Headers) -> Refusal | None:
    """Why a head is refused whatever it asks for; header names are in lower case.

    >>> misfit("1.1", [(b"host", b"a"), (b"host", b"b")])[1]
    'expected the header `host` once, got it again.'
    >>> misfit("1.1", [(b"host", b"a")])
    >>> misfit("1.1", [(b"host", b"a"), (b"transfer-encoding", b"gzip, chunked")])[0].status
    501
    """
    if version not in _VERSIONS:
        return problem.BAD_PAYMENT, "expected HTTP/1.0 or HTTP/1.1, got another version."
    found = [name for name, _ in headers if name in _SINGLE_HEADERS]
    if any(
        name == b"content-length" and len(value) > _MAX_LENGTH_DIGITS for name, value in headers
    ):
        return MALFORMED
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings and (refusal := _coded(version, codings)) is not None:
        return refusal
    if version == "1.1" and b"host" not in found:
        return (
            problem.BAD_PAYMENT,
            "expected the header `host`, got a request of HTTP/1.1 without it.",
        )
    for name in _SINGLE_HEADERS:
        if found.count(name) > 1:
            return problem.BAD_PAYMENT, f"expected the header `{name.decode()}` once, got it again."
    return None


def _coded(version: str, codings: list[bytes]) -> Refusal | None:
    """Why a body in transfer codings is refused (RFC 9112, 6.1): only chunks are understood, and a
    proxy may have found another end of the body in whatever else there is.
    """
    if version == "1.0":
        return problem.BAD_PAYMENT, "expected no `transfer-encoding` in HTTP/1.0, got one."
    named = [one.strip().lower() for one in b",".join(codings).split(b",")]
    if named == [b"chunked"]:
        return None
    if named.count(b"chunked") == 1 and named[-1] == b"chunked":
        return (
            problem.NOT_IMPLEMENTED,
            "expected `transfer-encoding: chunked` alone, got another transfer coding before it.",
        )
    return (
        problem.BAD_PAYMENT,
        "expected `transfer-encoding: chunked`, got a body whose last transfer coding is another, "
        "or chunks in chunks.",
    )


def size(url: bytes, headers: Headers) -> int:
    """The approximate size of a head in bytes."""
    return len(url) + sum([len(name) + len(value) + 4 for name, value in headers])


def without_upgrade(method: bytes, url: bytes, version: str, headers: Headers) -> bytes:
    """The head of the same request without `Upgrade`.

    A server may ignore `Upgrade` (RFC 9110, 7.8); Java's HTTP client asks for HTTP/2 with it in its
    first request.

    >>> without_upgrade(b"POST", b"/", "1.1", [(b"host", b"x"), (b"upgrade", b"h2c")])
    b'POST / HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n'
    """
    lines = [b"%b: %b\r\n" % header for header in headers if header[0] != b"upgrade"]
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, url, version.encode(), b"".join(lines))
