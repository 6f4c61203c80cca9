"""A request on the short way and its answer, without a task; see `Connection`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from shroff.ledger import OnDurable
from shroff.serve.asgi import Headers, Refusal, explain, problem_response
from shroff.telemetry.tracing import Trace

_JSON = b"content-type: application/json\r\n"


class Short(NamedTuple):
    """A hot operation: why a request cannot be used, by its headers, and what takes the body of one
    that can.
    """

    path: str
    refuse: Callable[[Headers], Refusal | None]
    accept: Callable[[bytes, OnDurable[bytes]], None]


class Answering(Protocol):
    """The connection that a request came on."""

    def respond(self, exchange: Exchange, status: int, lines: bytes, body: bytes) -> None:
        """Send an answer, whose own headers are these lines."""


class _Event:
    """Uvicorn wakes its task by this; here is no task."""

    def set(self) -> None: ...


class Exchange:
    """A request on the short way and its answer; uvicorn's protocol takes it for a cycle of its
    own.
    """

    __slots__ = (
        "_connection",
        "body",
        "disconnected",
        "keep_alive",
        "old",
        "response_complete",
        "route",
        "trace",
    )

    message_event = _Event()

    def __init__(
        self,
        connection: Answering,
        route: Short,
        trace: Trace | None,
        *,
        keep_alive: bool,
        old: bool = False,
    ) -> None:
        self._connection = connection
        self.route = route
        self.trace = trace
        self.keep_alive = keep_alive
        # whether it came over HTTP/1.0, where a connection stays open only if both sides say so
        self.old = old
        self.body: list[bytes] = []
        self.response_complete = False
        self.disconnected = False

    def resolve(self, outcome: bytes | Exception) -> None:
        """Send the answer, or why there is none."""
        if isinstance(outcome, bytes):
            self._connection.respond(self, 200, _JSON, outcome)
        else:
            self.refuse(explain(outcome))

    def refuse(self, refusal: Refusal) -> None:
        """Send problem details."""
        status, headers, body = problem_response(refusal)
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        self._connection.respond(self, status, lines, body)
