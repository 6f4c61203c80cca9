"""One process's copy of the shared state: timelines of the keys that it touches, each up to a
position in its log.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.features.engines.online.plan_timelines import PlanTimelines
from shroff.features.engines.online.redis.log import ARRIVAL_BYTES, SNAPSHOT, Log
from shroff.features.engines.online.stream_timelines import Key
from shroff.features.plan import Plan

NO_ARRIVAL: Final = -1
"""A position before every arrival."""

_MIN_LOG_ENTRIES: Final = 128
"""A log of so many entries is never trimmed."""


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
        self, payment: Payment, places: Sequence[Place], arrival: int, newest: int
    ) -> dict[str, Value]:
        """The features of the payment that arrives next, and add it; `newest` is the state's."""
        features = self.timelines.observe(payment, newest)
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
    ) -> dict[str, Value]:
        """The features of a payment that is in the logs already, from the whole logs.

        They are as of its arrival. If a snapshot has replaced earlier entries, they are as of now,
        without the payment itself.
        """
        if all(_reaches(entries, arrival) for entries in logs):
            then = PlanTimelines(self._plan, lateness=self._lateness)
            for place, entries in zip(places, logs, strict=True):
                for arrived, entry in _ordered(entries):
                    if arrived < arrival:
                        place.log.apply(then, place.key, entry)
            return then.observe(payment, newest)
        for place, entries in zip(places, logs, strict=True):
            self.take(place, entries)
        self.timelines.forget(payment)
        return self.timelines.observe(payment, newest)

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
