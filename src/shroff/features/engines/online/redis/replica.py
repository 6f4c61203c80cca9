"""One process's copy of the shared state: timelines of the keys that it touches, each up to a
position in its log.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.features.engines.online.links import Needed
from shroff.features.engines.online.plan_timelines import PlanTimelines
from shroff.features.engines.online.redis.log import ARRIVAL_BYTES, SNAPSHOT, Log
from shroff.features.engines.online.stream_timelines import Key
from shroff.features.plan import Plan

NO_ARRIVAL: Final = -1
"""A position before every arrival."""

_MIN_LOG_ENTRIES: Final = 128
"""A log of so many entries is never trimmed."""


class Reading(Protocol):
    """How logs are read that a payment has no key of, for what it is linked to."""

    def fetch(self, needed: Needed) -> None:
        """Let the replica know of these keys what a payment may see."""

    def whole(self, needed: Needed) -> tuple[Sequence[Place], Sequence[Sequence[bytes]]]:
        """The logs of these keys, all of them."""


class Place(NamedTuple):
    """A key of a payment, and its log."""

    log: Log
    key: Key
    name: bytes


class Replica:
    """Timelines that follow the logs.

    Args:
        most: keys that are kept; the least recently used are dropped, and read again when needed.
    """

    def __init__(self, plan: Plan, *, lateness: str, most: int) -> None:
        self._plan, self._lateness, self._most = plan, lateness, most
        self.clear()

    def clear(self) -> None:
        """Drop all timelines."""
        self.timelines = PlanTimelines(self._plan, lateness=self._lateness)
        self._known: OrderedDict[bytes, tuple[int, Place]] = OrderedDict()

    def position(self, place: Place) -> int:
        """The arrival of the last known entry of a log."""
        known = self._known.get(place.name)
        return NO_ARRIVAL if known is None else known[0]

    def take(self, place: Place, entries: Sequence[bytes]) -> None:
        """Apply entries of a log, some of which may be known already."""
        position = self.position(place)
        if position == NO_ARRIVAL:
            # timelines may have outlived their position
            place.log.drop(self.timelines, place.key)
        for arrival, entry in _ordered(entries):
            if arrival > position:
                place.log.apply(self.timelines, place.key, entry)
                position = arrival
        self._reach(place, position)

    def observe(
        self,
        payment: Payment,
        places: Sequence[Place],
        arrival: int,
        newest: int,
        reading: Reading | None = None,
    ) -> dict[str, Value]:
        """The features of the payment that arrives next, and add it; `newest` is the state's."""
        features = self.timelines.observe(payment, newest, reading.fetch if reading else None)
        for place in places:
            self._reach(place, arrival)
        return features

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
        then = _Then(PlanTimelines(self._plan, lateness=self._lateness), arrival)
        try:
            then.follow(places, logs)
            return then.observe(payment, newest, reading)
        except _Overtaken:
            for place, entries in zip(places, logs, strict=True):
                self.take(place, entries)
            self.timelines.forget(payment)
            return self.timelines.observe(payment, newest, reading.fetch if reading else None)

    def snapshot(self, place: Place, length: int) -> tuple[int, bytes] | None:
        """A snapshot that can replace a log up to an arrival; None while the log is shorter than
        its snapshot is worth.
        """
        if length <= _MIN_LOG_ENTRIES:
            return None
        lines = [
            timelines.by_key.get(place.key) for timelines in place.log.timelines(self.timelines)
        ]
        if length <= sum(len(line.times) for line in lines if line) // 4:
            return None
        upto = self.position(place)
        return upto, place.log.snapshot(self.timelines, place.key, upto)

    def shrink(self) -> None:
        """Drop the keys beyond the limit."""
        while len(self._known) > self._most:
            _, (_, place) = self._known.popitem(last=False)
            place.log.drop(self.timelines, place.key)

    def _reach(self, place: Place, arrival: int) -> None:
        self._known[place.name] = arrival, place
        self._known.move_to_end(place.name)


class _Overtaken(Exception):
    """A snapshot has replaced what a log said of then."""


class _Then:
    """What was known when a payment arrived, from whole logs."""

    def __init__(self, timelines: PlanTimelines, arrival: int) -> None:
        self.timelines = timelines
        self._arrival = arrival
        self._followed: set[bytes] = set()

    def observe(self, payment: Payment, newest: int, reading: Reading | None) -> dict[str, Value]:
        """The features of the payment."""

        def fetch(needed: Needed) -> None:
            if reading is not None:
                self.follow(*reading.whole(needed))

        return self.timelines.observe(payment, newest, fetch)

    def follow(self, places: Sequence[Place], logs: Sequence[Sequence[bytes]]) -> None:
        """Know what these logs say, as far as it had arrived."""
        for place, entries in zip(places, logs, strict=True):
            if not _reaches(entries, self._arrival):
                raise _Overtaken
            if place.name in self._followed:
                continue
            self._followed.add(place.name)
            for arrived, entry in _ordered(entries):
                if arrived < self._arrival:
                    place.log.apply(self.timelines, place.key, entry)


def _ordered(entries: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    """Entries of a log with their arrivals.

    Raises:
        ValueError: a foreign entry, which would hide those before it.
    """
    last = NO_ARRIVAL
    for entry in entries:
        arrival = int.from_bytes(entry[:ARRIVAL_BYTES])
        if arrival <= last or len(entry) <= ARRIVAL_BYTES:
            raise ValueError("expected the entries of a log in order of arrival, got another one.")
        last = arrival
        yield arrival, entry


def _reaches(entries: Sequence[bytes], arrival: int) -> bool:
    """Whether a log still has all entries before an arrival."""
    return not any(
        entry[ARRIVAL_BYTES : ARRIVAL_BYTES + 1] == SNAPSHOT
        and int.from_bytes(entry[:ARRIVAL_BYTES]) >= arrival
        for entry in entries[:1]
    )
