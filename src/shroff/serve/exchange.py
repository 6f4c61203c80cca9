"""A request on the fast path and its answer, without a task; see `Connection`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import ClassVar, NamedTuple, Protocol

import msgspec

from shroff.ledger import OnDurable
from shroff.serve.asgi import Headers, Refusal, explain, problem_response
from shroff.serve.watch import Telemetry
from shroff.telemetry.tracing import Trace

_JSON_HEADER = b"content-type: application/json\r\n"


class HotRoute(NamedTuple):
    """A hot operation: why a request is refused by its headers, and what takes a usable body.

    `deny` says why one may not pass by its header `Authorization`, which is asked for each request;
    None: all may.
    """

    path: str
    refuse: Callable[[Headers], Refusal | None]
    accept: Callable[[bytes, OnDurable[bytes]], None]
    deny: Callable[[bytes | None], Refusal | None] | None = None


class RequestHead(NamedTuple):
    """The head of a plain POST to a hot operation; `whole` is the length of the whole request."""

    route: HotRoute
    headers: Headers
    whole: int
    authorization: bytes | None


class HotApp(Protocol):
    """The application that a `Connection` serves."""

    hot_routes: Mapping[bytes, HotRoute]
    """Hot routes by their path as sent."""
    heads: dict[bytes, RequestHead]
    """Remembered heads by their bytes; the connections fill it."""
    streams: Collection[bytes]
    """Paths of requests without a time limit while bytes arrive."""
    telemetry: Telemetry
    """Counts, traces and logs requests."""


class Answering(Protocol):
    """The connection of a request."""

    def respond(self, exchange: Exchange, status: int, lines: bytes, body: bytes) -> None:
        """Send an answer with these lines of headers."""


class _Event:
    """Uvicorn would wake a task by this; here is none."""

    def set(self) -> None: ...


class Exchange(msgspec.Struct, eq=False):
    """A request on the fast path and its answer; uvicorn takes it for a cycle of its own.

    `old`: it is HTTP/1.0, where a connection stays open only if both sides say so.
    """

    connection: Answering
    route: HotRoute
    trace: Trace | None
    keep_alive: bool
    old: bool = False
    body: list[bytes] = []
    response_complete: bool = False
    disconnected: bool = False

    message_event: ClassVar[_Event] = _Event()

    def resolve(self, outcome: bytes | Exception) -> None:
        """Send the answer, or why there is none."""
        if isinstance(outcome, bytes):
            self.connection.respond(self, 200, _JSON_HEADER, outcome)
        else:
            self.refuse(explain(outcome))

    def refuse(self, refusal: Refusal) -> None:
        """Send problem details."""
        status, headers, body = problem_response(refusal)
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        self.connection.respond(self, status, lines, body)
