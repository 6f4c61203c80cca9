"""Messages that are read and written, the JSON of events, and the headers that go along."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from shroff.errors import ConfigurationError
from shroff.scoring.feedback import Label, Name, Result
from shroff.serve import problem
from shroff.serve.asgi import MAX_BODY_BYTES, decode
from shroff.serve.problem import Refused

Header = tuple[str, bytes | None]
_TRACE_HEADERS: Final = ("traceparent", "tracestate")


class Partition(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


class Message(NamedTuple):
    """A message as read."""

    place: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Topics:
    """The topics to read and to write; None: not used.

    Raises:
        ConfigurationError: one topic has two roles.
    """

    payments: str
    decisions: str
    results: str | None = None
    labels: str | None = None
    rejected: str | None = None

    def __post_init__(self) -> None:
        names = [*self.read, *self.written]
        for name in names:
            if names.count(name) > 1:
                raise ConfigurationError(
                    f"expected a topic of its own for each purpose, got `{name}` twice."
                )

    @property
    def read(self) -> tuple[str, ...]:
        """The topics to read."""
        return tuple(
            name for name in (self.payments, self.results, self.labels) if name is not None
        )

    @property
    def written(self) -> tuple[str, ...]:
        """The topics to write."""
        return (self.decisions,) if self.rejected is None else (self.decisions, self.rejected)


class _Result(Result, forbid_unknown_fields=True, kw_only=True):
    payment_id: Name


class _Label(Label, forbid_unknown_fields=True, kw_only=True):
    payment_id: Name


def read_event(value: bytes, *, label: bool) -> _Result | _Label:
    """A result, or a label, from its JSON: as over HTTP, with the payment's id in `payment_id`.

    >>> read_event(b'{"payment_id": "p1", "fraud": true}', label=True).payment_id
    'p1'

    Raises:
        BadPayment: it is neither.
    """
    return decode(value, _Label) if label else decode(value, _Result)


def require_size(message: Message) -> None:
    """Raise `Refused` for a message larger than a request over HTTP may be."""
    if message.value is not None and len(message.value) > MAX_BODY_BYTES:
        raise Refused(
            problem.TOO_LARGE,
            f"expected a message of at most {MAX_BODY_BYTES:,} bytes, got a larger one.",
        )


def named(message: Message) -> str:
    """The identity of a message; another one in a topic that was deleted and made anew."""
    digest = sha256(message.value or b"").hexdigest()[:8]
    return f"{message.place.topic}/{message.place.partition}/{message.offset}/{digest}"


def traced(message: Message) -> list[Header]:
    """The headers that continue a trace (W3C Trace Context)."""
    return [header for header in message.headers if header[0] in _TRACE_HEADERS]


def refused(message: Message, reason: str, sentence: str) -> list[Header]:
    """Headers added to a rejected message: why it was rejected, and where it was read."""
    why = {
        "shroff-reason": reason,
        "shroff-error": sentence,
        "shroff-topic": message.place.topic,
        "shroff-partition": str(message.place.partition),
        "shroff-offset": str(message.offset),
    }
    return [(name, text.encode()) for name, text in why.items()]
