"""A histogram of plain integers, without a lock."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise


class Histogram:
    """How many values lie at or below each bound, and their sum.

    Args:
        bounds: in ascending order; values above the last are counted too.

    `add` costs a bisection and two additions; `defer`, for the hottest path, appends to a list that
    `settle` or a reading counts.

    >>> histogram = Histogram([1, 5])
    >>> histogram.add(1), histogram.add_all(4, 2), histogram.defer(9)
    (None, None, None)
    >>> histogram.cumulative, histogram.count, histogram.total
    ([1, 3, 4], 4, 18)
    """

    __slots__ = ("_counts", "_deferred", "_total", "bounds", "defer")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self._total: float = 0
        self._counts = [0] * (len(self.bounds) + 1)
        self._deferred: list[float] = []
        self.defer: Callable[[float], None] = self._deferred.append

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self._total += value

    def add_all(self, value: float, times: int) -> None:
        """Count a value several times."""
        self._counts[bisect_left(self.bounds, value)] += times
        self._total += value * times

    def settle(self) -> None:
        """Count what was deferred."""
        values = sorted(self._deferred)
        if values:
            self._deferred.clear()
            upto = (0, *[bisect_right(values, bound) for bound in self.bounds], len(values))
            for at, (before, after) in enumerate(pairwise(upto)):
                self._counts[at] += after - before
            self._total += sum(values)

    @property
    def total(self) -> float:
        """The sum of all values."""
        self.settle()
        return self._total

    @property
    def cumulative(self) -> list[int]:
        """How many values are at or below each bound; at the end, how many there are."""
        self.settle()
        return list(accumulate(self._counts))

    @property
    def count(self) -> int:
        """How many values there are."""
        return self.cumulative[-1]
