"""The calls of scripts by which payments, their results and their labels reach a state in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_bytes

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.features.engines.online.redis import scripts
from shroff.features.engines.online.redis.link import Call, resp
from shroff.features.engines.online.redis.log import (
    TAGS,
    UNDONE,
    Event,
    kept_ms,
    logs,
    pack_value,
)
from shroff.features.engines.online.redis.replica import Place
from shroff.features.engines.online.redis.sending import Send
from shroff.features.plan import Plan
from shroff.features.streams import Later

Placed = tuple[Payment, Sequence[Place]]
"""A payment with the logs of its keys."""


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
        self._head = resp(name + b"head")
        self.epoch = b""
        self.logs = logs(plan, lateness)
        self.marked = Event([stream for stream in plan.streams if stream.later], (), plan)
        self._lateness = lateness
        awaited = [log.horizon for log in self.logs if log.later]
        self.marker_ms = kept_ms(max(awaited, default=0) + lateness)
        self._kinds = pack_value(
            [some for log in self.logs for some in (log.kept_ms, log.spare_us)]
        )
        self._owner = token_bytes(8)

    def key(self, name: bytes) -> bytes:
        """A key of the state as it is now, by its name."""
        return self.name + self.epoch + b":" + name

    def observe(
        self, payments: Sequence[Payment], send: Send, seen: int
    ) -> tuple[Call, list[Placed]]:
        """Add payments to their logs, and read what a replica lacks of them; with the logs."""
        prefix = self.key(b"p:")
        keys, sent = [self._head], list[bytes]()
        placed: list[Placed] = [(each, send(each, prefix, keys, sent)) for each in payments]
        words = self.epoch, seen, self._lateness, self._owner, self.marker_ms, self._kinds
        return (scripts.OBSERVE, keys, (*words, len(placed), b"".join(sent))), placed

    def read(self, places: Sequence[Place], positions: Sequence[int]) -> Call:
        """Read what logs hold behind these positions."""
        keys = [self._head, *[place.sent for place in places]]
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
        places = [place for place in self._places(payment) if event in place.log.later]
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
            words += (place.log.kept_ms, place.log.told.pack(payment))
        return scripts.LATER, self._keys(payment.id, places), words

    def forget(self, payment: Payment) -> Call:
        """Undo `observe` of this process."""
        places = self._places(payment)
        words: list[object] = [self.epoch, self._owner]
        for place in places:
            words += (place.log.kept_ms, UNDONE + place.log.event.pack(payment))
        return scripts.FORGET, self._keys(payment.id, places), words

    def trim(self, place: Place, snapshot: tuple[int, bytes]) -> Call:
        """Replace what a log holds up to an arrival by a snapshot."""
        return scripts.TRIM, (place.sent,), snapshot

    def _places(self, payment: Payment) -> list[Place]:
        """The keys of a payment with their logs, whether this process follows these or not."""
        keyed = [(log, log.key(payment)) for log in self.logs]
        return [Place(log, key, self.key(log.name(key))) for log, key in keyed if key is not None]

    def _keys(self, payment_id: str, places: Sequence[Place] = ()) -> list[bytes]:
        marker = resp(self.key(b"p:" + payment_id.encode()))
        return [self._head, marker, *[place.sent for place in places]]
