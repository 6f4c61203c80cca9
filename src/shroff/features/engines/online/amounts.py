"""The column of a timeline that keeps each amount; sums and extremes follow from it."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from operator import mul
from typing import Any, Final, Literal, cast

import msgspec

from shroff import speedups
from shroff.features.engines.online.columns import (
    MAX_SCANNED_EVENTS,
    MonotonicQueue,
    Packed,
    RunningSums,
)

MAX_SCANNED_AMOUNTS: Final = MAX_SCANNED_EVENTS if speedups.compiled is None else 128
"""Short histories are scanned; compiled code scans this many while Python asks an index once."""

AmountKind = Literal["total", "square", "min", "max"]
"""What is read of the amounts of a span."""

_CELLS: Final[Mapping[AmountKind, Callable[[int], int]]] = {
    "total": lambda amount: amount,
    "square": lambda amount: amount * amount,
    "min": lambda amount: amount,
    "max": lambda amount: -amount,
}
"""What an amount adds to the index of each kind."""

_NARROW: Final = "i"
"""The type of an array of amounts that take 4 bytes; once one does not fit, they take 8."""


def narrow(numbers: Sequence[int]) -> array[int]:
    """Whole numbers of 64 bits, in 4 bytes each if all fit."""
    try:
        return array(_NARROW, numbers)
    except OverflowError:
        return array("q", numbers)


class Amounts(msgspec.Struct, gc=False, eq=False):
    """The amount of each event, which every payment has.

    Short timelines are scanned, so one number of 4 bytes stands for sums, squares and extremes.
    With more than `MAX_SCANNED_AMOUNTS` events, `index` has running sums or queues of each of the
    `kinds` that are read.
    """

    kinds: Sequence[AmountKind]
    amounts: array[int] = msgspec.field(default_factory=lambda: array(_NARROW))
    index: dict[AmountKind, Any] | None = None

    def push(self, times: array[int], cell: int) -> None:
        """Add the event that is last in `times`, later than all others."""
        try:
            self.amounts.append(cell)
        except OverflowError:
            self._widen()
            self.amounts.append(cell)
        if self.index is not None:
            for kind, column in self.index.items():
                column.push(times, _CELLS[kind](cell))
        elif len(times) > MAX_SCANNED_AMOUNTS:
            self._build(times)

    def fill(self, times: Sequence[int], cells: Sequence[int], ends: Sequence[int] | None) -> None:
        """Add events, in order of time, to a column without any."""
        self.amounts = narrow(cells)
        self._build(times)

    def insert(self, times: array[int], at: int, cell: int) -> None:
        """Add the event that is in `times` at place `at`."""
        try:
            self.amounts.insert(at, cell)
        except OverflowError:
            self._widen()
            self.amounts.insert(at, cell)
        if self.index is None:
            self._build(times)
        else:
            for kind, column in self.index.items():
                column.insert(times, at, _CELLS[kind](cell))

    def remove(self, times: array[int], at: int, time: int, cell: int) -> None:
        """Undo `insert` of an event that `times` has no longer; at place `at` was the first event
        of its time.
        """
        del self.amounts[self.amounts.index(cell, at)]
        index = self.index or {}
        for kind, column in index.items():
            if isinstance(column, RunningSums):
                column.remove(times, at, time, _CELLS[kind](cell))
            else:
                # a number that it undercut may be in the queue now
                index[kind] = self._indexed(times, kind)

    def cut(self, events: int, limit: int) -> None:
        """Forget the first so many events, all those until `limit`."""
        del self.amounts[:events]
        if len(self.amounts) <= MAX_SCANNED_AMOUNTS:
            self.index = None
        elif self.index is not None:
            for column in self.index.values():
                column.cut(events, limit)

    def total(self, low: int, high: int) -> int:
        """The sum of a span."""
        if self.index is None:
            return sum(self.amounts[low:high])
        sums = self.index["total"].sums
        return cast(int, sums[high] - sums[low])

    def square(self, low: int, high: int) -> int:
        """The sum of the squares of a span."""
        if self.index is None:
            span = self.amounts[low:high]
            return sum(map(mul, span, span))
        sums = self.index["square"].sums
        return cast(int, sums[high] - sums[low])

    def smallest(self, low: int, high: int, after: int) -> int:
        """The smallest amount of a span that has events."""
        if self.index is None or high < len(self.amounts):
            return min(self.amounts[low:high])
        return cast(int, self.index["min"].smallest(after))

    def largest(self, low: int, high: int, after: int) -> int:
        """The largest amount of a span that has events."""
        if self.index is None or high < len(self.amounts):
            return max(self.amounts[low:high])
        return -cast(int, self.index["max"].smallest(after))

    @property
    def sums(self) -> Sequence[int]:
        """The sum over the kept events before each place."""
        if self.index is None:
            return [*accumulate(self.amounts, initial=0)]
        return cast(Sequence[int], self.index["total"].sums)

    def pack(self) -> Packed:
        """The column as MessagePack values."""
        return [self.amounts.typecode, self.amounts.tobytes()]

    def unpack(self, times: array[int], packed: Packed) -> None:
        """Restore what was packed, beside the same times."""
        kind, amounts = cast(tuple[str, bytes], packed)
        self.amounts = array(kind, amounts)
        # compiled code asks no array for its length
        if len(self.amounts) != len(times):
            raise ValueError("expected an amount of each event, got more or fewer.")
        self._build(times)

    def _widen(self) -> None:
        self.amounts = array("q", self.amounts)

    def _build(self, times: Sequence[int]) -> None:
        """Make the index of a long timeline."""
        many = len(self.amounts) > MAX_SCANNED_AMOUNTS
        self.index = {kind: self._indexed(times, kind) for kind in self.kinds} if many else None

    def _indexed(self, times: Sequence[int], kind: AmountKind) -> RunningSums | MonotonicQueue:
        cells = list(map(_CELLS[kind], self.amounts))
        if kind in ("min", "max"):
            return MonotonicQueue.of(times, cells)
        sums = RunningSums()
        sums.fill(times, cells, None)
        return sums
