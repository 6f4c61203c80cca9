"""The calls of scripts by which payments, their results and their labels reach a state in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_bytes
from typing import Final

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.features.engines.online.redis import scripts
from shroff.features.engines.online.redis.link import Call, resp, sent
from shroff.features.engines.online.redis.log import (
    TAGS,
    UNDONE,
    Event,
    kept_ms,
    logs,
    pack_value,
)
from shroff.features.engines.online.redis.replica import Place
from shroff.features.engines.online.redis.sending import Placed, Send
from shroff.features.plan import Plan
from shroff.features.streams import Later

_MEMBERSHIP_MS: Final = 86_400_000
"""How long members are kept after the last heartbeat."""


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
        self.follow(b"")
        self.logs = logs(plan, lateness)
        self.marked = Event([stream for stream in plan.streams if stream.later], (), plan)
        awaited = [log.horizon for log in self.logs if log.later]
        self.marker_ms = kept_ms(max(awaited, default=0) + lateness)
        self._lateness = lateness
        self._kept = [number for log in self.logs for number in (log.kept_ms, log.renewed_us)]
        self._owner, self._marker_ms = resp(token_bytes(8)), resp(self.marker_ms)

    def follow(self, epoch: bytes) -> None:
        """Mean this filling of the state from now on."""
        self.epoch, self._epoch = epoch, resp(epoch)

    def key(self, name: bytes) -> bytes:
        """A key of the state as it is now, by its name."""
        return self.name + self.epoch + b":" + name

    def observe(
        self, payments: Sequence[Payment], send: Send, seen: int
    ) -> tuple[Call, list[Placed]]:
        """Add payments to their logs, and read what a replica lacks of them; with the logs."""
        keys = [self._head]
        numbers = [seen, self._lateness, len(payments), len(self.logs), *self._kept]
        events: list[bytes] = []
        placed = send(payments, self.key(b"p:"), keys, numbers, events)
        told = sent(pack_value(numbers), b"".join(events))
        return (scripts.OBSERVE, keys, [self._epoch, *told, self._owner, self._marker_ms]), placed

    def read(self, places: Sequence[Place], positions: Sequence[int]) -> Call:
        """Read what logs hold behind these positions."""
        keys = [self._head, *[place.sent for place in places]]
        return scripts.READ, keys, [self._epoch, *sent(*positions)]

    def recall(self, payment_id: str) -> Call:
        """Read what is kept of a payment for its later events."""
        return scripts.RECALL, self._keys(payment_id), [self._epoch]

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
        said = sent(event, pack_value(value), TAGS[event], rank, arrived, token)
        words = [self._epoch, self._owner, *said]
        for place in places:
            words += sent(place.log.kept_ms, place.log.told.pack(payment))
        return scripts.LATER, self._keys(payment.id, places), words

    def forget(self, payment: Payment) -> Call:
        """Undo `observe` of this process."""
        places = self._places(payment)
        words = [self._epoch, self._owner]
        for place in places:
            words += sent(place.log.kept_ms, UNDONE + place.log.event.pack(payment))
        return scripts.FORGET, self._keys(payment.id, places), words

    def heartbeat(self, member: bytes, others: Sequence[bytes], seen: int, *, clear: bool) -> Call:
        """Record a heartbeat of a process, and read those of all; the `others` are members."""
        state = pack_value([seen, self._lateness])
        words = [self._epoch, *sent(state, member, int(clear), _MEMBERSHIP_MS, *others)]
        return scripts.HEARTBEAT, [self._head, resp(self.name + b"roll")], words

    def trim(self, place: Place, snapshot: tuple[int, bytes]) -> Call:
        """Replace what a log holds up to an arrival by a snapshot."""
        return scripts.TRIM, [self._head, place.sent], [self._owner, *sent(*snapshot)]

    def _places(self, payment: Payment) -> list[Place]:
        """The keys of a payment with their logs, whether this process follows these or not."""
        keyed = [(log, log.key(payment)) for log in self.logs]
        return [Place(log, key, self.key(log.name(key))) for log, key in keyed if key is not None]

    def _keys(self, payment_id: str, places: Sequence[Place] = ()) -> list[bytes]:
        marker = resp(self.key(b"p:" + payment_id.encode()))
        return [self._head, marker, *[place.sent for place in places]]
