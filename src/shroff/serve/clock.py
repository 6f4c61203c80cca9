"""The service's clock: when something arrived, as a number that only grows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

Clock = Callable[[], int]
"""Microseconds since the epoch."""

AHEAD: Final = 300_000_000
"""How far in the future a payment's own time may lie, in microseconds: five minutes of clocks that differ."""


def system_time() -> int:
    """The computer's clock in microseconds since the epoch."""
    return time.time_ns() // 1_000


class Arrivals:
    """Gives each event an arrival of its own, later than every one before, also when the clock is set back.

    >>> arrivals = Arrivals(lambda: 1_000)
    >>> arrivals.next(), arrivals.next()
    (1000, 1001)
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> int:
        """The arrival of an event that comes now."""
        self._last = max(self._clock(), self._last + 1)
        return self._last

    def after(self, arrived: int) -> None:
        """Let everything from now on arrive after this."""
        self._last = max(self._last, arrived)
