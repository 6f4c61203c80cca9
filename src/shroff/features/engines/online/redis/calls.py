"""The calls of scripts by which payments, their results and their labels reach a state in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_bytes
from typing import Final

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.features.engines.online.redis import scripts
from shroff.features.engines.online.redis.link import Call
from shroff.features.engines.online.redis.log import (
    PAYMENT,
    TAGS,
    UNDONE,
    Event,
    Log,
    logs,
    pack_value,
)
from shroff.features.engines.online.redis.replica import Place, Replica
from shroff.features.plan import Plan
from shroff.features.streams import Later

_CLOCK_SKEW_MS: Final = 300_000
"""Milliseconds that keys are kept longer than windows reach, for clocks that differ."""


class Calls:
    """The calls of one process, for the epoch of the state that it follows.

    Attributes:
        name: what the names of the state's keys begin with.
        epoch: the filling of the state that the calls are meant for; empty before there is one.
        logs: the logs of each entity.
        marked: what is kept of each payment for its later events.
        marker_ms: how long that is kept, milliseconds.
    """

    def __init__(self, plan: Plan, name: bytes, lateness: int) -> None:
        self.name = name
        self.epoch = b""
        self.logs = logs(plan)
        self.marked = Event([stream for stream in plan.streams if stream.later], (), plan.schema)
        self._lateness = lateness
        awaited = [log.horizon for log in self.logs if log.later]
        self.marker_ms = self._kept_ms(max(awaited, default=0))
        self._log_ms = {log: self._kept_ms(log.horizon) for log in self.logs}
        self._awaits = bool(plan.later)
        self._owner = token_bytes(8)

    def key(self, name: bytes) -> bytes:
        """A key of the state as it is now, by its name."""
        return self.name + self.epoch + b":" + name

    def log_ms(self, log: Log) -> int:
        """How long a log is kept after its last entry, in milliseconds."""
        return self._log_ms[log]

    def places(self, payment: Payment) -> list[Place]:
        """The keys of a payment, with their logs."""
        keyed = [(log, log.key(payment)) for log in self.logs]
        return [Place(log, key, log.name(key)) for log, key in keyed if key is not None]

    def observe(
        self, payment: Payment, places: Sequence[Place], replica: Replica, seen: int
    ) -> Call:
        """Add a payment to its logs, and read what a replica lacks of them."""
        words: list[object] = [
            self.epoch,
            seen,
            self._lateness,
            self._owner,
            payment.time,
            self.marker_ms,
        ]
        words.append(self.marked.pack(payment) if self._awaits else b"")
        for place in places:
            event = PAYMENT + place.log.event.pack(payment)
            words += (replica.position(place), self._log_ms[place.log], event)
        return scripts.OBSERVE, self._keys(payment.id, places), words

    def read(self, places: Sequence[Place], positions: Sequence[int]) -> Call:
        """Read what logs hold behind these positions."""
        keys = [self.name + b"head", *[self.key(place.name) for place in places]]
        return scripts.READ, keys, (self.epoch, *positions)

    def recall(self, payment_id: str) -> Call:
        """Read what is kept of a payment for its later events."""
        return scripts.RECALL, self._keys(payment_id), (self.epoch,)

    def later(
        self,
        payment: Payment,
        event: Later,
        value: Value,
        *,
        rank: int,
        arrived: int,
        token: bytes,
    ) -> Call:
        """Add a result or a label to the logs of its payment."""
        places = [place for place in self.places(payment) if event in place.log.later]
        words: list[object] = [
            self.epoch,
            event,
            pack_value(value),
            TAGS[event],
            rank,
            arrived,
            token,
        ]
        for place in places:
            words += (self._log_ms[place.log], place.log.told.pack(payment))
        return scripts.LATER, self._keys(payment.id, places), words

    def forget(self, payment: Payment) -> Call:
        """Undo `observe` of this process."""
        places = self.places(payment)
        words: list[object] = [self.epoch, self._owner]
        for place in places:
            words += (self._log_ms[place.log], UNDONE + place.log.event.pack(payment))
        return scripts.FORGET, self._keys(payment.id, places), words

    def trim(self, place: Place, snapshot: tuple[int, bytes]) -> Call:
        """Replace what a log holds up to an arrival by a snapshot."""
        return scripts.TRIM, (self.key(place.name),), (*snapshot, self._log_ms[place.log])

    def _keys(self, payment_id: str, places: Sequence[Place] = ()) -> list[bytes]:
        marker = self.key(b"p:" + payment_id.encode())
        return [self.name + b"head", marker, *[self.key(place.name) for place in places]]

    def _kept_ms(self, horizon: int) -> int:
        return (horizon + self._lateness) // 1_000 + _CLOCK_SKEW_MS
