"""What the interfaces have in common on HTTP: routes as values, one way to be called, one way to fail."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from shroff.control import Gate
from shroff.control import Scope as KeyScope
from shroff.errors import ShroffError
from shroff.ledger.answer import encode
from shroff.serve import asgi, problem
from shroff.serve.asgi import Asgi, Receive, Refusal, Scope, Send
from shroff.serve.problem import Kind
from shroff.serve.turns import apart

T = TypeVar("T")
Headers = tuple[tuple[bytes, bytes], ...]
JSON: Final = "application/json"
TEXT: Final = "text/plain"


@dataclass(frozen=True)
class Call:
    """A request: its body, the names in its path, its query, and its headers (names in lower case)."""

    body: bytes
    names: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[bytes, bytes]
    count: Callable[[int], None] = lambda payments: None
    """Counts payments beyond the first against the rate of the key, and looks whether the key is still good."""

    async def json(self, kind: type[T], content: bytes | None = None) -> T:
        """The body (or `content`) as JSON of a type, where `NaN` is missing; raises BadPayment, which names no value.

        The protocols' own clients write `NaN` for a gap in a table.
        """
        return await apart(asgi.decode, self.body if content is None else content, kind, nan_is_null=True)


Stream = Callable[[Receive, Send], Awaitable[None]]
"""Reads the rest of a request and sends the whole response, as it likes."""


@dataclass(frozen=True)
class Reply:
    """A response; one that is streamed sends itself."""

    body: bytes | Stream
    media: str = JSON
    status: int = 200
    headers: Headers = ()

    @classmethod
    def json(cls, value: object) -> Reply:
        """A success in JSON."""
        return cls(encode(value))


Types = tuple[Any, ...]
"""What a text of one media type may be: one of these Python types."""
Handler = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, kw_only=True)
class Route:
    """One operation of an interface, and what OpenAPI says about it.

    `path` is a template such as `/v2/models/{name}/ready`. `takes` and `gives` map media types to Python types,
    `query` the names of parameters to their JSON Schema. `any_media`: the content type is not looked at, because
    stock clients of the protocol send none or a wrong one. `streamed`: the body is left to the reply. `scope`: of
    the API key that it asks for; None lets everybody.
    """

    method: str
    path: str
    operation: str
    summary: str
    handler: Handler
    scope: KeyScope | None
    gives: Mapping[str, Types]
    takes: Mapping[str, Types] = field(default_factory=dict)
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    fails: Sequence[Kind] = ()
    any_media: bool = False
    streamed: bool = False

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What matches the paths of the template; a colon divides as a slash does, as in `{name}:predict`."""
        parts = re.split(r"\{(\w+)\}", self.path)
        names = [f"(?P<{part}>[^/:]+)" if at % 2 else re.escape(part) for at, part in enumerate(parts)]
        return re.compile("".join(names))

    @property
    def names(self) -> list[str]:
        """The names in the template."""
        return list(self.pattern.groupindex)


@dataclass(frozen=True)
class Interface:
    """A protocol: its routes, the shape of its errors, and the beginning of addresses that are all its own.

    `fail` makes the body of an error, of type `error`.
    """

    name: str
    routes: tuple[Route, ...]
    fail: Callable[[Kind, str], object]
    error: Any
    error_media: str = JSON
    prefix: str | None = None

    def failure(self, kind: Kind, detail: str, headers: Headers = ()) -> Reply:
        """An error in the protocol's own shape."""
        own = tuple((name.encode(), value.encode()) for name, value in kind.headers.items())
        return Reply(encode(self.fail(kind, detail)), self.error_media, kind.status, (*own, *headers))


class Interfaces:
    """Finds who answers a request."""

    def __init__(self, interfaces: Sequence[Interface], gate: Gate | None = None) -> None:
        self.all = tuple(interfaces)
        self._gate = gate

    @property
    def streams(self) -> frozenset[bytes]:
        """The paths whose bodies are streamed."""
        return frozenset(route.path.encode() for one in self.all for route in one.routes if route.streamed)

    def find(self, scope: Scope) -> Asgi | None:
        """What answers this request; None when it is for none of the interfaces."""
        path = scope["path"]
        for interface in self.all:
            matches = [(route, found) for route in interface.routes if (found := route.pattern.fullmatch(path))]
            for route, found in matches:
                if route.method == scope["method"]:
                    return partial(_answer, interface, route, found.groupdict(), self._gate)
            if matches:
                allow = asgi.allowed({route.method for route, _ in matches})
                if scope["method"] == "OPTIONS":
                    return partial(_options, matches[0][0], allow)
                refusal = (problem.METHOD_NOT_ALLOWED, f"expected {allow.decode()}, got another method.")
                return partial(_refuse, interface.failure(*refusal, ((b"allow", allow),)))
            if interface.prefix is not None and path.startswith(interface.prefix):
                nowhere = "there is no such address; /openapi.json describes those there are."
                return partial(_refuse, interface.failure(problem.NOT_FOUND, nowhere))
        return None


async def _options(route: Route, allow: bytes, scope: Scope, _: Receive, send: Send) -> None:
    scope[asgi.PATH_TEMPLATE] = route.path
    await asgi.send_options(send, allow)


async def _refuse(reply: Reply, _: Scope, receive: Receive, send: Send) -> None:
    await _send(reply, receive, send)


async def _answer(
    interface: Interface,
    route: Route,
    names: Mapping[str, str],
    gate: Gate | None,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    scope[asgi.PATH_TEMPLATE] = route.path
    headers: dict[bytes, bytes] = dict(scope["headers"])
    count, refusal = _admitted(route, gate, headers)
    refusal = refusal or _refusal(route, scope["headers"], headers)
    if route.streamed and refusal is None:
        receive = asgi.plain_stream(receive, scope["headers"])
    unread = route.streamed or not route.takes
    body = refusal or (b"" if unread else await asgi.read_body(receive, scope["headers"]))
    if body is None:
        return
    if isinstance(body, bytes):
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        try:
            reply = await route.handler(Call(body, names, query, headers, count))
        except Exception as error:  # noqa: BLE001  # the last line of defence: a client never meets a traceback
            reply = interface.failure(*asgi.explain(error))
    else:
        reply = interface.failure(*body)
    await _send(reply, receive, send)


def _admitted(
    route: Route, gate: Gate | None, headers: Mapping[bytes, bytes]
) -> tuple[Callable[[int], None], Refusal | None]:
    """What counts the payments of a request by its key, and why its key does not let it in."""
    if gate is None or route.scope is None:
        return lambda payments: None, None
    try:
        key = gate.key_of(headers.get(b"authorization"), route.scope)
    except ShroffError as error:
        return lambda payments: None, problem.problem_of(error)
    return partial(gate.count, key), None


def _refusal(route: Route, given: asgi.Headers, headers: Mapping[bytes, bytes]) -> Refusal | None:
    """Why a request cannot be used, as far as its headers tell: all that were given, and the last of each name."""
    if not route.takes:
        return None
    if not route.streamed and int(headers.get(b"content-length", b"0")) > asgi.LIMIT:
        return asgi.TOO_LARGE
    if unknown := asgi.unknown_coding(given):
        return unknown
    said = media(headers)
    if said and not route.any_media and said not in route.takes:
        wanted = " or ".join(route.takes)
        return problem.UNSUPPORTED_MEDIA_TYPE, f"expected the header `Content-Type: {wanted}`, got another one."
    return None


def media(headers: Mapping[bytes, bytes]) -> str:
    """The content type without its parameters, in lower case; empty when none is given.

    >>> media({b"content-type": b"Text/CSV; charset=utf-8"})
    'text/csv'
    """
    return headers.get(b"content-type", b"").split(b";")[0].strip().lower().decode("latin-1")


async def _send(reply: Reply, receive: Receive, send: Send) -> None:
    if isinstance(reply.body, bytes):
        headers = ((b"content-type", reply.media.encode()), *reply.headers)
        await asgi.send_bytes(send, reply.status, reply.body, headers)
    else:
        await reply.body(receive, send)
