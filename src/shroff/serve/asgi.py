"""Parts of requests and answers: usable headers, bounded bodies, JSON, problem details."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from functools import partial
from time import monotonic
from typing import Any, Final, TypeVar

import msgspec

from shroff.collect.json_text import (
    UNREADABLE,
    lenient,
    require_few_values,
    require_keys_once,
    unreadable,
)
from shroff.errors import BadPayment, ShroffError
from shroff.ledger.answer import encode
from shroff.serve import encoding, problem
from shroff.serve.problem import Kind, Refused
from shroff.serve.time_slices import in_thread_if_large
from shroff.telemetry.limit import Limit

T = TypeVar("T")
Scope = MutableMapping[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Refusal = tuple[Kind, str]
Admit = Callable[[bytes | None], str]
"""Admits a request by its `Authorization` header or raises; returns the name of its key."""

MAX_BODY_BYTES: Final = 1024 * 1024
"""Largest body of a request, in bytes."""

PATH_TEMPLATE: Final = "path_template"
"""The key of a request's scope under which the router, or a mount, leaves the path's template."""

TOO_LARGE: Final[Refusal] = (
    problem.TOO_LARGE,
    f"expected a body of at most {MAX_BODY_BYTES:,} bytes, got more.",
)
INFLATED_TOO_LARGE: Final = Refused(
    problem.TOO_LARGE,
    f"expected a body of at most {MAX_BODY_BYTES:,} bytes when it is inflated, got more.",
)
NOT_JSON: Final[Refusal] = (
    problem.UNSUPPORTED_MEDIA_TYPE,
    "expected the header `Content-Type: application/json`, got another one.",
)
COMPRESSED: Final[Refusal] = (
    problem.UNSUPPORTED_MEDIA_TYPE,
    "expected a body that is not compressed, got another one.",
)
_log = logging.getLogger(__name__)
_unexpected: Final = Limit()


def divert(headers: Headers, admit: Admit | None = None) -> Refusal | None:
    """Why headers keep a request off the fast path; the router checks again and answers.

    Only usable requests consume the rate limit of their key.
    """
    for name, value in headers:
        if name == b"content-type":
            if not is_json(value):
                return NOT_JSON
        elif name == b"content-length" and int(value) > MAX_BODY_BYTES:
            return TOO_LARGE
        elif name == encoding.HEADER:
            return COMPRESSED
    return None if admit is None else deny(admit, authorization(headers))


def authorization(headers: Headers) -> bytes | None:
    """The first header `Authorization`, if any."""
    return next((value for name, value in headers if name == b"authorization"), None)


def unknown_coding(headers: Iterable[tuple[bytes, bytes]]) -> Refusal | None:
    """Why the body of a request cannot be inflated, by its headers."""
    try:
        encoding.coding(headers)
    except Refused as error:
        return problem.problem_of(error)
    return None


def deny(admit: Admit, authorization: bytes | None) -> Refusal | None:
    """Why a request may not pass, by its `Authorization` header."""
    try:
        admit(authorization)
    except ShroffError as error:
        return problem.problem_of(error)
    return None


def is_json(content_type: bytes) -> bool:
    """Whether a content type is JSON.

    >>> is_json(b"application/json; charset=utf-8"), is_json(b"text/plain")
    (True, False)
    """
    return (
        content_type == b"application/json"
        or content_type.split(b";")[0].strip().lower() == b"application/json"
    )


def addressed(scope: Scope) -> Scope:
    """The scope by which to route a request: HEAD counts as GET, a final slash does not count.

    The server leaves out the body of an answer to HEAD.
    """
    path: bytes = scope["raw_path"]
    slash = path.endswith(b"/") and len(path) > 1
    if scope["method"] != "HEAD" and not slash:
        return scope
    asked = {**scope, "method": "GET" if scope["method"] == "HEAD" else scope["method"]}
    return asked | {"path": scope["path"][:-1], "raw_path": path[:-1]} if slash else asked


async def read_body(
    receive: Receive, headers: Iterable[tuple[bytes, bytes]]
) -> bytes | Refusal | None:
    """The body of a request, None if the client left; raises once the body is too large."""
    body = await _read(receive)
    if not isinstance(body, bytes):
        return body
    try:
        return await in_thread_if_large(plain, body, headers)
    except (BadPayment, Refused) as error:
        return problem.problem_of(error)


def plain(body: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A whole body, decompressed if its headers say so.

    Raises:
        BadPayment: the body is not compressed that way.
        Refused: an unknown coding, or too large a body.
    """
    named = encoding.coding(headers)
    return (
        encoding.inflate(body, named, INFLATED_TOO_LARGE, limit=MAX_BODY_BYTES) if named else body
    )


def plain_stream(receive: Receive, headers: Headers) -> Receive:
    """A body in pieces, decompressed if its headers say so; the start of one of known length is
    checked first.

    Raises:
        Refused: an unknown coding.
    """
    named = encoding.coding(headers)
    ahead = MAX_BODY_BYTES if any(name == b"content-length" for name, _ in headers) else 0
    return encoding.inflated(receive, named, INFLATED_TOO_LARGE, ahead=ahead) if named else receive


async def _read(receive: Receive) -> bytes | Refusal | None:
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message["body"]
        return body if len(body) <= MAX_BODY_BYTES else TOO_LARGE
    parts, size = [], 0
    while message["type"] == "http.request":
        parts.append(message["body"])
        size += len(message["body"])
        if size > MAX_BODY_BYTES:
            return TOO_LARGE
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()
    return None


def decode(body: bytes, kind: type[T], *, nan_is_null: bool = False) -> T:
    """Decode JSON of a type, strictly: no text as a number, no number as a truth, no key twice.

    Args:
        nan_is_null: a bare `NaN`, which Python's `json` writes, is a value that is missing.

    Raises:
        BadPayment: it is something else or has too many values; the message repeats none.
    """
    require_few_values(body)
    try:
        decoded: T = lenient(partial(msgspec.json.decode, type=kind), body, nan_is_null=nan_is_null)
    except UNREADABLE as error:
        raise BadPayment(unreadable(error, body) or str(error)) from None
    require_keys_once(body)
    return decoded


def explain(error: BaseException) -> Refusal:
    """What a client gets for an error; the log gets where an unexpected one arose, no value."""
    kind, detail = problem.problem_of(error)
    if kind is problem.INTERNAL and (held := _unexpected.held(monotonic())) is not None:
        where = "".join(traceback.format_tb(error.__traceback__))
        fields = {"not_logged_before": held} if held else {}
        _log.error(
            "unexpected %s\n%s",
            type(error).__name__,
            where,
            extra={"event": "unexpected", "fields": fields},
        )
    return kind, detail


async def send_problem(
    send: Send, refusal: Refusal, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """Send problem details."""
    status, own, body = problem_response(refusal)
    await send_bytes(send, status, body, (*own, *headers))


def problem_response(refusal: Refusal) -> tuple[int, tuple[tuple[bytes, bytes], ...], bytes]:
    """Status, headers and body of problem details."""
    kind, detail = refusal
    own = ((name.encode(), value.encode()) for name, value in kind.headers.items())
    return (
        kind.status,
        ((b"content-type", problem.MEDIA_TYPE.encode()), *own),
        encode(kind.problem(detail)),
    )


def allowed(methods: Collection[str]) -> bytes:
    """The header `Allow` of an address that has these methods.

    >>> allowed({"GET"})
    b'GET, HEAD, OPTIONS'
    """
    return ", ".join(
        sorted({*methods, "OPTIONS", *(("HEAD",) if "GET" in methods else ())})
    ).encode()


async def send_options(send: Send, allow: bytes) -> None:
    """Answer OPTIONS."""
    await send_nothing(send, ((b"allow", allow),))


async def send_nothing(send: Send, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    """Send a success without a body."""
    await send({"type": "http.response.start", "status": 204, "headers": [*headers]})
    await send({"type": "http.response.body", "body": b""})


async def send_bytes(
    send: Send, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    """Send a whole response."""
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
