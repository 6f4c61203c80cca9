"""One process's copy of the shared state: timelines of the keys that it touches, each up to a
position in its log.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.features.engines.online.links import Needed
from shroff.features.engines.online.plan_timelines import PlanTimelines
from shroff.features.engines.online.redis.link import resp
from shroff.features.engines.online.redis.log import (
    ARRIVAL_BYTES,
    PAYMENT,
    SNAPSHOT,
    Log,
    unpack_value,
)
from shroff.features.engines.online.stream_timelines import Key, shared_key
from shroff.features.plan import Plan
from shroff.features.window import END_OF_TIME_US

NO_ARRIVAL: Final = -1
"""A position before every arrival."""
_HEAD_BYTES: Final = ARRIVAL_BYTES + 1
"""Bytes of an entry before what it holds: arrival and kind."""


class Reading(Protocol):
    """How logs are read that a payment has no key of, for what it is linked to."""

    def fetch(self, needed: Needed) -> None:
        """Let the replica know of these keys what a payment may see."""

    def whole(self, needed: Needed) -> tuple[Sequence[Place], Sequence[Sequence[bytes]]]:
        """The logs of these keys, all of them."""


class Place:
    """A key of payments, its log, and what a process knows of that.

    Attributes:
        sent: what the log is called on the server, as it is sent.
        position: the arrival of the last known entry.
        length: how many entries the log had with that one, as far as that is known: one that is
            wrong is only slower to follow.
    """

    __slots__ = ("key", "length", "log", "position", "sent")

    def __init__(self, log: Log, key: Key, name: bytes) -> None:
        self.log, self.key, self.sent = log, key, resp(name)
        self.position, self.length = NO_ARRIVAL, 0


class Replica:
    """Timelines that follow the logs.

    Attributes:
        places: of each log the keys that are known, those used longest ago first.

    Args:
        most: keys that are kept; the least recently used are dropped, and read again when needed.
        named: what a log is called on the server, from its own name.
    """

    def __init__(
        self,
        plan: Plan,
        logs: Sequence[Log],
        *,
        lateness: str,
        most: int,
        named: Callable[[bytes], bytes],
    ) -> None:
        self._plan, self._lateness, self._most, self._named = plan, lateness, most, named
        self.places: dict[Log, OrderedDict[Key, Place]] = {log: OrderedDict() for log in logs}
        self.clear()

    def clear(self) -> None:
        """Drop all timelines."""
        self._following = _Following(self._plan, self.places, self._lateness)
        self.timelines = self._following.timelines
        for places in self.places.values():
            places.clear()

    def place(self, log: Log, key: Key) -> Place:
        """A key with its log, which is used now."""
        places = self.places[log]
        place = places.get(key)
        if place is None:
            return self.begin(log, key)
        places.move_to_end(key)
        return place

    def begin(self, log: Log, key: Key) -> Place:
        """A key with its log, of which nothing is known."""
        # timelines may have outlived what was known
        log.drop(self.timelines, key)
        key = shared_key(key)
        place = self.places[log][key] = Place(log, key, self._named(log.name(key)))
        return place

    def take(self, place: Place, entries: Sequence[bytes]) -> None:
        """Apply entries of a log, some of which may be known already."""
        place.position = self._following.take(place, entries, place.position, END_OF_TIME_US)

    def as_of(
        self,
        payment: Payment,
        places: Sequence[Place],
        logs: Sequence[Sequence[bytes]],
        arrival: int,
        newest: int,
        reading: Reading | None = None,
    ) -> dict[str, Value]:
        """The features of a payment that is in the logs already, from the whole logs.

        They are as of its arrival. If a snapshot has replaced earlier entries, they are as of now,
        without the payment itself.
        """
        then = _Then(_Following(self._plan, self.places, self._lateness), arrival)
        try:
            then.follow(places, logs)
            return then.observe(payment, newest, reading)
        except _Overtaken:
            for place, entries in zip(places, logs, strict=True):
                self.take(place, entries)
            self.timelines.forget(payment)
            return self.timelines.observe(payment, newest, reading.fetch if reading else None)

    def events(self, place: Place) -> int:
        """How many events the timelines of a key hold."""
        lines = [
            timelines.by_key.get(place.key) for timelines in place.log.timelines(self.timelines)
        ]
        return sum(len(line.times) for line in lines if line)

    def snapshot(self, place: Place) -> tuple[int, bytes]:
        """A snapshot that can replace a log up to an arrival."""
        return place.position, place.log.snapshot(self.timelines, place.key, place.position)

    def shrink(self) -> None:
        """Drop the keys beyond the limit."""
        beyond = sum(map(len, self.places.values())) - self._most
        for _ in range(beyond):
            places = max(self.places.values(), key=len)
            _, place = places.popitem(last=False)
            place.log.drop(self.timelines, place.key)


class _Following:
    """Timelines to which entries of logs are applied."""

    def __init__(self, plan: Plan, logs: Iterable[Log], lateness: str) -> None:
        self.timelines = PlanTimelines(plan, lateness=lateness)
        self._add = {log: log.adder(self.timelines) for log in logs}

    def take(self, place: Place, entries: Sequence[bytes], position: int, before: int) -> int:
        """Apply entries of a log after a position and before an arrival; returns the new position.

        Raises:
            ValueError: a foreign entry.
        """
        log, key, add, last = place.log, place.key, self._add[place.log], NO_ARRIVAL
        for entry in entries:
            arrival, kind = int.from_bytes(entry[:ARRIVAL_BYTES]), entry[ARRIVAL_BYTES:_HEAD_BYTES]
            if arrival <= last or not kind:
                # it would hide those before it
                raise ValueError("expected entries of a log in order of arrival, got another one.")
            last = arrival
            if position < arrival < before:
                position, held = arrival, unpack_value(entry[_HEAD_BYTES:])
                if kind == PAYMENT:
                    add(key, held, self.timelines.watermark)
                else:
                    log.apply(self.timelines, key, kind, held)
        return position


class _Overtaken(Exception):
    """A snapshot has replaced what a log said of then."""


class _Then:
    """What was known when a payment arrived, from whole logs."""

    def __init__(self, following: _Following, arrival: int) -> None:
        self._following = following
        self._arrival = arrival
        self._followed: set[Place] = set()

    def observe(self, payment: Payment, newest: int, reading: Reading | None) -> dict[str, Value]:
        """The features of the payment."""

        def fetch(needed: Needed) -> None:
            if reading is not None:
                self.follow(*reading.whole(needed))

        return self._following.timelines.observe(payment, newest, fetch)

    def follow(self, places: Sequence[Place], logs: Sequence[Sequence[bytes]]) -> None:
        """Know what these logs say, as far as it had arrived."""
        for place, entries in zip(places, logs, strict=True):
            if not _reaches(entries, self._arrival):
                raise _Overtaken
            if place in self._followed:
                continue
            self._followed.add(place)
            self._following.take(place, entries, NO_ARRIVAL, self._arrival)


def _reaches(entries: Sequence[bytes], arrival: int) -> bool:
    """Whether a log still has all entries before an arrival."""
    return not any(
        entry[ARRIVAL_BYTES : ARRIVAL_BYTES + 1] == SNAPSHOT
        and int.from_bytes(entry[:ARRIVAL_BYTES]) >= arrival
        for entry in entries[:1]
    )
