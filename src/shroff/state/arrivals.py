"""Arrivals: when something reached the service, as a number that only grows."""

from __future__ import annotations

from shroff.clock import Clock


class Arrivals:
    """Gives each event an arrival of its own, later than every one before, also when the clock is
    set back.

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
