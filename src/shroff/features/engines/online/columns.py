"""Columns of a timeline: running sums and falling records; `value_columns` has those of names.

A timeline tells each column where events are added and removed, and asks it for spans of them: by
place, `low` … `high - 1`, or by time, later than `after` and not later than `upto`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar, cast

Name = str | float | int | bool
Cell = Name | None
"""What one event gives a column: a number, or a name (None for none)."""

Packed = bytes | Sequence[Any] | Mapping[Any, bytes]
"""A column as bytes (numbers of 64 bits in the machine's order), or made of what else MessagePack
knows.
"""

FEW: Final = 32
"""Up to so many events a column is scanned: an index would cost more than it saves."""

NOTHING: Final = 2**63 - 1
"""The record of no events, and the cell of an event without a value: larger than any number."""

_MAX_STORED_SUM: Final = 2**62
_ZERO: Final = array("q", (0,))

Given = TypeVar("Given", contravariant=True)


class Column(Protocol[Given]):
    """What is kept of one column beside a timeline's times."""

    def push(self, time: int, cell: Given) -> None:
        """An event has come behind all others."""

    def insert(self, at: int, time: int, cell: Given) -> None:
        """An event has come to place `at`."""

    def remove(self, at: int, time: int, cell: Given) -> None:
        """Undo `insert`: an event has gone that was the first of its time, or one of those that
        follow it.
        """

    def cut(self, events: int, limit: int) -> None:
        """The first so many events are forgotten, all those until `limit`."""

    def pack(self) -> Packed:
        """All of it as what MessagePack knows."""

    def unpack(self, packed: Packed) -> None:
        """Become what was packed, beside the same times."""


class JoiningColumn(Column[Given], Protocol[Given]):
    """A column of a timeline that keeps events of one time as one."""

    def join(self, at: int, time: int, cell: Given) -> None:
        """An event has joined those in place `at`."""

    def part(self, at: int, time: int, cell: Given) -> None:
        """Undo `join`."""


class Running:
    """Running sums of a whole number: `sums[i]` is the sum of the events before place `i`, from
    where they begin.

    Among events of one time only the last sum means anything. The sums take 8 bytes each, until one
    outgrows 64 bits.
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

    def part(self, at: int, time: int, cell: int) -> None:
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
        """Replace the sums from a place on, by Python integers where they no longer fit into 64
        bits.
        """
        if isinstance(self.sums, list):
            self.sums[place:] = rest
            return
        try:
            self.sums[place:] = array("q", rest)
        except OverflowError:
            self.sums = [*self.sums[:place], *rest]


class Records:
    """The smallest number of any span; the largest too, if the column holds negated numbers.

    With more than `FEW` events it keeps a monotonic queue: `records` are the numbers that no later
    one undercuts, and `times` are their times. So the first record of a span that ends now is its
    smallest number, found by bisection.
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
            if len(self.numbers) > FEW:
                self._keep_records()
            return
        if cell == NOTHING:
            return
        while records and records[-1] >= cell:
            records.pop()
            times.pop()
        times.append(time)
        records.append(cell)

    def insert(self, at: int, time: int, cell: int) -> None:
        self.numbers.insert(at, cell)
        times, records = self.times, self.records
        if times is None:
            self._keep_records()
            return
        at = bisect_right(times, time)
        if cell == NOTHING or (at < len(times) and records[at] <= cell):
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
        """The smallest number of a span; `NOTHING` when there is none."""
        if self.times is None or high < len(self.numbers):
            return min(self.numbers[low:high]) if low < high else NOTHING
        at = bisect_right(self.times, after)
        return self.records[at] if at < len(self.records) else NOTHING

    def pack(self) -> Packed:
        return self.numbers.tobytes()

    def unpack(self, packed: Packed) -> None:
        self.numbers = array("q", cast(bytes, packed))
        self._keep_records()

    def _keep_records(self) -> None:
        """Rebuild the queue from the last event to the first; up to `FEW` events are scanned
        instead.
        """
        if len(self.numbers) <= FEW:
            self.times = None
            return
        times, records = array("q"), array("q")
        for time, number in zip(reversed(self._all), reversed(self.numbers), strict=True):
            if number != NOTHING and (not records or number < records[-1]):
                times.append(time)
                records.append(number)
        times.reverse()
        records.reverse()
        self.times, self.records = times, records
