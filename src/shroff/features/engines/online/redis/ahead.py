"""Logs that links are read from: fetched as they are, followed only as far as a payment may see.

Between a payment's arrival and the reading of its links, other payments arrive. So fetched entries
are kept, and a replica applies only those before the payment. One fetch serves all payments that
arrived by then: most entries are fetched at once, before the first of them is observed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from shroff.collect import Payment
from shroff.errors import StateUnavailable
from shroff.features.engines.online.links import Needed
from shroff.features.engines.online.redis.log import ARRIVAL_BYTES, SNAPSHOT, Log
from shroff.features.engines.online.redis.replica import NO_ARRIVAL, Place, Replica

Entries = Sequence[bytes]
Read = Callable[[Sequence[Place], Sequence[int]], tuple[int, Sequence[Entries]]]
"""The last arrival of the state, and the logs' entries after these arrivals."""

SNAPSHOT_AGE_US: Final = 5_000_000
"""Microseconds that a snapshot waits before it replaces a log: so links that are read after their
payment has arrived find what was there before it.
"""


class Ahead:
    """Log entries that a replica has yet to apply while a batch of payments is observed."""

    def __init__(self, replica: Replica, logs: Sequence[Log], read: Read) -> None:
        self.replica, self._read = replica, read
        self._logs: Mapping[tuple[str, ...], Log] = {log.columns: log for log in logs}
        self._entries: dict[Place, Entries] = {}
        self._upto: dict[Place, int] = {}

    def places(self, needed: Needed) -> list[Place]:
        """The logs of these keys."""
        log = self._logs[needed.columns]
        return [self.replica.place(log, key) for key in needed.keys]

    def expect(self, payments: Sequence[Payment]) -> None:
        """Fetch at once what links of these payments read, as far as the replica can tell."""
        timelines = self.replica.timelines
        needed = [one for payment in payments for one in timelines.needed(payment)]
        self._fetch(list(dict.fromkeys(place for one in needed for place in self.places(one))))

    def follow(self, places: Sequence[Place], arrival: int) -> None:
        """Apply to the replica what these logs had before an arrival.

        Raises:
            StateUnavailable: a log no longer has those entries, or cannot be read.
        """
        self._fetch([place for place in places if self._upto.get(place, NO_ARRIVAL) < arrival])
        for place in places:
            entries = self._entries[place]
            before = [entry for entry in entries if int.from_bytes(entry[:ARRIVAL_BYTES]) < arrival]
            if entries and not before and entries[0][ARRIVAL_BYTES : ARRIVAL_BYTES + 1] == SNAPSHOT:
                raise StateUnavailable(
                    "a log was replaced by its snapshot before links could be read from it."
                )
            self.replica.take(place, before)

    def whole(self, places: Sequence[Place]) -> Sequence[Entries]:
        """All entries of these logs."""
        return self._read(places, [NO_ARRIVAL] * len(places))[1] if places else ()

    def _fetch(self, places: Sequence[Place]) -> None:
        if not places:
            return
        last, logs = self._read(places, [place.position for place in places])
        for place, entries in zip(places, logs, strict=True):
            self._entries[place], self._upto[place] = entries, last


class ReadingAhead:
    """Reads the links of one payment as of its arrival, except for its own logs, known already."""

    def __init__(self, ahead: Ahead, own: Collection[Place], arrival: int) -> None:
        self._ahead, self._own, self._arrival = ahead, own, arrival

    def fetch(self, needed: Needed) -> None:
        """Apply to the replica what the payment may see of these keys."""
        self._ahead.follow(self._others(needed), self._arrival)

    def whole(self, needed: Needed) -> tuple[Sequence[Place], Sequence[Entries]]:
        """All logs of these keys."""
        places = self._others(needed)
        return places, self._ahead.whole(places)

    def _others(self, needed: Needed) -> list[Place]:
        return [place for place in self._ahead.places(needed) if place not in self._own]
