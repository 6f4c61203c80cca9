"""Long logs are replaced by snapshots, which their readers find shorter."""

from __future__ import annotations

from typing import Final

from shroff.features.engines.online.redis.calls import Calls
from shroff.features.engines.online.redis.link import Call
from shroff.features.engines.online.redis.replica import Place, Replica

MIN_LOG_ENTRIES: Final = 192
"""A log of so many entries is never trimmed."""


class Trimming:
    """The snapshots that are to replace logs.

    Args:
        age_us: how many microseconds a snapshot waits.
    """

    def __init__(self, calls: Calls, replica: Replica, *, age_us: int) -> None:
        self._calls, self._replica, self._age_us = calls, replica, age_us
        self._waiting: dict[Place, tuple[int, Call]] = {}

    def clear(self) -> None:
        """Drop all snapshots: they are of another state."""
        self._waiting.clear()

    def shorten(self, place: Place) -> None:
        """Take a snapshot of a log that is longer than one is worth."""
        if place in self._waiting or place.length <= self._replica.events(place) // 4:
            return
        due = place.position + self._age_us
        self._waiting[place] = due, self._calls.trim(place, self._replica.snapshot(place))

    def due(self, seen: int) -> list[Call]:
        """The snapshots that may replace logs after this arrival, each once."""
        if not self._waiting:
            return []
        due = [place for place, (at, _) in self._waiting.items() if at <= seen]
        for place in due:
            place.length = 0
        return [self._waiting.pop(place)[1] for place in due]
