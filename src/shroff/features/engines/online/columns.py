"""Columns of a timeline: running sums and minima; `value_columns` has those of names.

A timeline tells each column where events are added and removed. Generated code reads spans of
events: by place, `low` … `high - 1`, or by time, later than `after` and not later than `upto`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Final, Protocol, TypeVar, cast

Name = str | float | int | bool
Cell = Name | None
"""What an event adds to a column: a number, or a name (None for no value)."""

Packed = bytes | Sequence[Any] | Mapping[Any, bytes]
"""A column as bytes (64-bit numbers in the machine's byte order), or as other MessagePack values.
"""

MAX_SCANNED_EVENTS: Final = 32
"""Short histories are scanned; an index would cost more than it saves."""

NO_MINIMUM: Final = 2**63 - 1
"""The minimum of no events, and the cell of an event without a value: larger than any number."""

_MAX_STORED_SUM: Final = 2**62
_ZERO: Final = array("q", (0,))

Given = TypeVar("Given", contravariant=True)


class Column(Protocol[Given]):
    """A column that a timeline keeps beside its times."""

    def push(self, time: int, cell: Given) -> None:
        """Add an event that is later than all others."""

    def insert(self, at: int, time: int, cell: Given) -> None:
        """Add an event at place `at`."""

    def fill(
        self, times: Sequence[int], cells: Sequence[Given], ends: Sequence[int] | None
    ) -> None:
        """Add events, in order of time, to a column without any.

        `ends` are the places where events end that are kept as one; None keeps each.
        """

    def remove(self, at: int, time: int, cell: Given) -> None:
        """Undo `insert` of an event; `at` is the place of the first event of its time."""

    def cut(self, events: int, limit: int) -> None:
        """Forget the first so many events, all those until `limit`."""

    def pack(self) -> Packed:
        """The column as MessagePack values."""

    def unpack(self, packed: Packed) -> None:
        """Restore what was packed, beside the same times."""


class JoiningColumn(Column[Given], Protocol[Given]):
    """A column of a timeline that keeps events of one time as one."""

    def join(self, at: int, time: int, cell: Given) -> None:
        """Add an event to those at place `at`."""

    def unjoin(self, at: int, time: int, cell: Given) -> None:
        """Undo `join`."""


class RunningSums:
    """Running sums of whole numbers: `sums[i]` is the sum over the kept events before place `i`.

    Of events of one time only the last sum is meaningful. A sum takes 8 bytes, until one outgrows
    64 bits.
    """

    __slots__ = ("sums",)

    def __init__(self) -> None:
        self.sums: array[int] | list[int] = _ZERO[:]

    def push(self, time: int, cell: int) -> None:
        sums = self.sums
        try:
            sums.append(sums[-1] + cell)
        except OverflowError:
            self._continue(len(sums), [sums[-1] + cell])

    def fill(self, times: Sequence[int], cells: Sequence[int], ends: Sequence[int] | None) -> None:
        sums = list(accumulate(cells, initial=0))
        self._continue(0, sums if ends is None else [0, *map(sums.__getitem__, ends)])

    def insert(self, at: int, time: int, cell: int) -> None:
        sums = self.sums
        self._continue(at + 1, [sums[at] + cell, *[total + cell for total in sums[at + 1 :]]])

    def remove(self, at: int, time: int, cell: int) -> None:
        self._continue(at + 1, [total - cell for total in self.sums[at + 2 :]])

    def join(self, at: int, time: int, cell: int) -> None:
        sums = self.sums
        if at + 2 < len(sums):
            self._continue(at + 1, [total + cell for total in sums[at + 1 :]])
            return
        try:
            sums[-1] += cell
        except OverflowError:
            self._continue(at + 1, [sums[-1] + cell])

    def unjoin(self, at: int, time: int, cell: int) -> None:
        self.join(at, time, -cell)

    def cut(self, events: int, limit: int) -> None:
        if isinstance(self.sums, array) and -_MAX_STORED_SUM < self.sums[-1] < _MAX_STORED_SUM:
            del self.sums[:events]
            return
        # sums that start again from zero may fit into 64 bits again
        base, kept = self.sums[events], self.sums[events + 1 :]
        self.sums = _ZERO[:]
        self._continue(1, [total - base for total in kept])

    def pack(self) -> Packed:
        # MessagePack has no integers beyond 64 bits
        return list(map(str, self.sums)) if isinstance(self.sums, list) else self.sums.tobytes()

    def unpack(self, packed: Packed) -> None:
        self.sums = (
            array("q", packed)
            if isinstance(packed, bytes)
            else list(map(int, cast(Sequence[str], packed)))
        )

    def _continue(self, place: int, rest: list[int]) -> None:
        """Replace the sums from a place on, with Python integers once they outgrow 64 bits."""
        if isinstance(self.sums, list):
            self.sums[place:] = rest
            return
        try:
            self.sums[place:] = array("q", rest)
        except OverflowError:
            self.sums = [*self.sums[:place], *rest]


class Minima:
    """The smallest number of any span; the largest too, if the column holds negated numbers.

    With more than `MAX_SCANNED_EVENTS` events it keeps a monotonic queue: `records` are the numbers
    that no later one undercuts, and `times` are their times. So the first record of a span that
    ends now is its smallest number, found by bisection.
    """

    __slots__ = ("_all", "numbers", "records", "times")

    def __init__(self, all_times: array[int]) -> None:
        self._all = all_times
        self.numbers = array("q")
        self.times: array[int] | None = None
        self.records: array[int] = self.numbers

    def push(self, time: int, cell: int) -> None:
        self.numbers.append(cell)
        times, records = self.times, self.records
        if times is None:
            if len(self.numbers) > MAX_SCANNED_EVENTS:
                self._keep_records()
            return
        if cell == NO_MINIMUM:
            return
        while records and records[-1] >= cell:
            records.pop()
            times.pop()
        times.append(time)
        records.append(cell)

    def fill(self, times: Sequence[int], cells: Sequence[int], ends: Sequence[int] | None) -> None:
        self.numbers.extend(cells)
        self._keep_records()

    def insert(self, at: int, time: int, cell: int) -> None:
        self.numbers.insert(at, cell)
        times, records = self.times, self.records
        if times is None:
            self._keep_records()
            return
        at = bisect_right(times, time)
        if cell == NO_MINIMUM or (at < len(times) and records[at] <= cell):
            return
        first = at
        while first and records[first - 1] >= cell:
            first -= 1
        times[first:at] = array("q", (time,))
        records[first:at] = array("q", (cell,))

    def remove(self, at: int, time: int, cell: int) -> None:
        del self.numbers[self.numbers.index(cell, at)]
        self._keep_records()

    def cut(self, events: int, limit: int) -> None:
        del self.numbers[:events]
        if self.times is not None:
            old = bisect_right(self.times, limit)
            del self.times[:old], self.records[:old]

    def smallest(self, low: int, high: int, after: int) -> int:
        """The smallest number of a span; `NO_MINIMUM` when there is none."""
        if self.times is None or high < len(self.numbers):
            return min(self.numbers[low:high]) if low < high else NO_MINIMUM
        at = bisect_right(self.times, after)
        return self.records[at] if at < len(self.records) else NO_MINIMUM

    def pack(self) -> Packed:
        return self.numbers.tobytes()

    def unpack(self, packed: Packed) -> None:
        self.numbers = array("q", cast(bytes, packed))
        self._keep_records()

    def _keep_records(self) -> None:
        """Rebuild the queue from the last event to the first; drop it for few events."""
        if len(self.numbers) <= MAX_SCANNED_EVENTS:
            self.times = None
            return
        times, records = array("q"), array("q")
        for time, number in zip(reversed(self._all), reversed(self.numbers), strict=True):
            if number != NO_MINIMUM and (not records or number < records[-1]):
                times.append(time)
                records.append(number)
        times.reverse()
        records.reverse()
        self.times, self.records = times, records
