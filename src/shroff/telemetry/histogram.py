"""A histogram of plain integers: one bisection and two additions an observation, no lock."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate


class Histogram:
    """How many values lie at or below each bound, and their sum.

    Args:
        bounds: in ascending order; values above the last are counted too.

    >>> histogram = Histogram([1, 5])
    >>> histogram.add(1), histogram.add_all(4, 2), histogram.add(9)
    (None, None, None)
    >>> histogram.cumulative, histogram.count, histogram.total
    ([1, 3, 4], 4, 18)
    """

    __slots__ = ("_counts", "bounds", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.total: float = 0
        self._counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def add_all(self, value: float, times: int) -> None:
        """Count a value several times."""
        self._counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    @property
    def cumulative(self) -> list[int]:
        """How many values are at or below each bound; at the end, how many there are."""
        return list(accumulate(self._counts))

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(self._counts)
