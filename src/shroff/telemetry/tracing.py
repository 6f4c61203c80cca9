"""W3C trace context: the trace that a request belongs to, recorded here or elsewhere.

Without OpenTelemetry, a request costs one look at its headers, and its `traceparent` is returned
unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Final, Protocol

Headers = Iterable[tuple[bytes, bytes]]
Span = tuple[int, int]
"""Begin and end, in nanoseconds of `time.perf_counter_ns`."""

TRACEPARENT: Final = b"traceparent"
_TRACEPARENT_FORM: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)


class Recording(Protocol):
    """Records a request."""

    def stages(self, spans: Mapping[str, Span]) -> None:
        """The stages of one payment."""

    def end(self, route: str, status: int) -> None:
        """End the record: the request was answered."""


class Trace:
    """The span of one request in a distributed trace.

    Args:
        id: of the trace, 32 hexadecimal digits.
        answer: the `traceparent` to answer with.
        recording: who keeps what the request does; None keeps nothing.
    """

    __slots__ = ("_recording", "answer", "id")

    def __init__(self, id: str, answer: bytes | None, recording: Recording | None = None) -> None:  # noqa: A002  # the field's name
        self.id = id
        self.answer = answer
        self._recording = recording

    def stages(self, **spans: Span) -> None:
        """Record the stages of a payment of this request."""
        if self._recording is not None:
            self._recording.stages(spans)

    def end(self, route: str, status: int) -> None:
        """End the span with the status of the answer (0: the client left first)."""
        if self._recording is not None:
            self._recording.end(route, status)


CURRENT: Final[ContextVar[Trace | None]] = ContextVar("trace", default=None)
"""The trace of the request that is being answered."""


class Tracer(Protocol):
    """Gives requests their trace.

    `records`: also those that bring no `traceparent`.
    """

    records: bool

    def begin(self, method: str, headers: Headers) -> Trace | None:
        """The trace of a new request; None if it is neither recorded nor answered with one."""

    def close(self) -> None:
        """Send what is still to be sent."""


class PassThrough:
    """Records nothing, and passes a request's own trace to logs and answer.

    >>> came = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    >>> trace = PassThrough().begin("POST", [(b"traceparent", came)])
    >>> trace.id, trace.answer == came
    ('0af7651916cd43dd8448eb211c80319c', True)
    """

    records = False

    def begin(self, method: str, headers: Headers) -> Trace | None:
        """The trace that the request brought, if any."""
        for name, value in headers:
            if name == TRACEPARENT:
                found = _TRACEPARENT_FORM.fullmatch(value)
                return None if found is None else Trace(found[1].decode("ascii"), value)
        return None

    def close(self) -> None:
        """Nothing to send."""
