"""Arrivals: when events reached the service, as strictly increasing numbers."""

from __future__ import annotations

from shroff.clock import Clock


class Arrivals:
    """Gives each event an arrival later than all before it, even if the clock is set back.

    >>> arrivals = Arrivals(lambda: 1_000)
    >>> arrivals.next(), arrivals.next()
    (1000, 1001)
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    @property
    def last(self) -> int:
        """The latest arrival so far."""
        return self._last

    def next(self) -> int:
        """The arrival of an event that comes now."""
        self._last = max(self._clock(), self._last + 1)
        return self._last

    def after(self, arrived: int) -> None:
        """Let all later events arrive after this."""
        self._last = max(self._last, arrived)
