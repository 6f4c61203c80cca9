"""Columns of a timeline: running sums and minima; names have `coded_names` and `name_times`.

A timeline tells each column where events are added and removed. Generated code reads spans of
events: by place, `low` … `high - 1`, or by time, later than `after` and not later than `upto`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Final, Protocol, TypeVar, cast

import msgspec

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

Given = TypeVar("Given", contravariant=True)


class Column(Protocol[Given]):
    """A column that a timeline keeps beside its `times`, which it lends with each call."""

    def push(self, times: array[int], cell: Given) -> None:
        """Add the event that is last in `times`, later than all others."""

    def insert(self, times: array[int], at: int, cell: Given) -> None:
        """Add the event that is in `times` at place `at`."""

    def fill(
        self, times: Sequence[int], cells: Sequence[Given], ends: Sequence[int] | None
    ) -> None:
        """Add events, in order of time, to a column without any.

        `ends` are the places where events end that are kept as one; None keeps each.
        """

    def remove(self, times: array[int], at: int, time: int, cell: Given) -> None:
        """Undo `insert` of an event that `times` has no longer; at place `at` was the first event
        of its time.
        """

    def cut(self, events: int, limit: int) -> None:
        """Forget the first so many events, all those until `limit`."""

    def pack(self) -> Packed:
        """The column as MessagePack values."""

    def unpack(self, times: array[int], packed: Packed) -> None:
        """Restore what was packed, beside the same times."""


class RunningSums(msgspec.Struct, gc=False, eq=False):
    """Running sums of whole numbers: `sums[i]` is the sum over the kept events before place `i`.

    Of events of one time only the last sum is meaningful. A sum takes 8 bytes, until one outgrows
    64 bits.
    """

    sums: array[int] | list[int] = msgspec.field(default_factory=lambda: array("q", (0,)))

    def push(self, times: array[int], cell: int) -> None:
        sums = self.sums
        try:
            sums.append(sums[-1] + cell)
        except OverflowError:
            self._continue(len(sums), [sums[-1] + cell])

    def fill(self, times: Sequence[int], cells: Sequence[int], ends: Sequence[int] | None) -> None:
        sums = list(accumulate(cells, initial=0))
        self._continue(0, sums if ends is None else [0, *map(sums.__getitem__, ends)])

    def insert(self, times: array[int], at: int, cell: int) -> None:
        sums = self.sums
        self._continue(at + 1, [sums[at] + cell, *[total + cell for total in sums[at + 1 :]]])

    def remove(self, times: array[int], at: int, time: int, cell: int) -> None:
        self._continue(at + 1, [total - cell for total in self.sums[at + 2 :]])

    def join(self, times: array[int], at: int, cell: int) -> None:
        sums = self.sums
        if at + 2 < len(sums):
            self._continue(at + 1, [total + cell for total in sums[at + 1 :]])
            return
        try:
            sums[-1] += cell
        except OverflowError:
            self._continue(at + 1, [sums[-1] + cell])

    def unjoin(self, times: array[int], at: int, cell: int) -> None:
        self.join(times, at, -cell)

    def cut(self, events: int, limit: int) -> None:
        if isinstance(self.sums, array) and -_MAX_STORED_SUM < self.sums[-1] < _MAX_STORED_SUM:
            del self.sums[:events]
            return
        # sums that start again from zero may fit into 64 bits again
        base, kept = self.sums[events], self.sums[events + 1 :]
        self.sums = array("q", (0,))
        self._continue(1, [total - base for total in kept])

    def pack(self) -> Packed:
        # MessagePack has no integers beyond 64 bits
        return list(map(str, self.sums)) if isinstance(self.sums, list) else self.sums.tobytes()

    def unpack(self, times: array[int], packed: Packed) -> None:
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


def _no_numbers() -> array[int]:
    return array("q")


class MonotonicQueue(msgspec.Struct, gc=False, eq=False):
    """The numbers that no later one undercuts, and their times.

    So the first of them in a span that ends now is the smallest number of the span.
    """

    times: array[int] = msgspec.field(default_factory=_no_numbers)
    numbers: array[int] = msgspec.field(default_factory=_no_numbers)

    @classmethod
    def of(cls, times: Sequence[int], numbers: Sequence[int]) -> MonotonicQueue:
        """Those of the numbers of all events."""
        queue = cls()
        # from the last event to the first
        for time, number in zip(reversed(times), reversed(numbers), strict=True):
            if number != NO_MINIMUM and (not queue.numbers or number < queue.numbers[-1]):
                queue.times.append(time)
                queue.numbers.append(number)
        queue.times.reverse()
        queue.numbers.reverse()
        return queue

    def push(self, times: array[int], cell: int) -> None:
        """Add the number of the event that is last in `times`."""
        if cell == NO_MINIMUM:
            return
        own, numbers = self.times, self.numbers
        while numbers and numbers[-1] >= cell:
            numbers.pop()
            own.pop()
        own.append(times[-1])
        numbers.append(cell)

    def insert(self, times: array[int], at: int, cell: int) -> None:
        """Add the number of the event that is in `times` at place `at`."""
        own, numbers, time = self.times, self.numbers, times[at]
        end = bisect_right(own, time)
        if cell == NO_MINIMUM or (end < len(own) and numbers[end] <= cell):
            return
        first = end
        while first and numbers[first - 1] >= cell:
            first -= 1
        own[first:end] = array("q", (time,))
        numbers[first:end] = array("q", (cell,))

    def cut(self, events: int, limit: int) -> None:
        """Forget the numbers of the first events, those until `limit`."""
        old = bisect_right(self.times, limit)
        del self.times[:old], self.numbers[:old]

    def smallest(self, after: int) -> int:
        """The smallest number later than that; `NO_MINIMUM` when there is none."""
        at = bisect_right(self.times, after)
        return self.numbers[at] if at < len(self.numbers) else NO_MINIMUM


class Minima(msgspec.Struct, gc=False, eq=False):
    """The smallest number of any span; the largest too, if the column holds negated numbers.

    With more than `MAX_SCANNED_EVENTS` events it has a `queue`, for spans that end now.
    """

    numbers: array[int] = msgspec.field(default_factory=_no_numbers)
    queue: MonotonicQueue | None = None

    def push(self, times: array[int], cell: int) -> None:
        self.numbers.append(cell)
        if self.queue is not None:
            self.queue.push(times, cell)
        elif len(self.numbers) > MAX_SCANNED_EVENTS:
            self._keep_queue(times)

    def fill(self, times: Sequence[int], cells: Sequence[int], ends: Sequence[int] | None) -> None:
        self.numbers.extend(cells)
        self._keep_queue(times)

    def insert(self, times: array[int], at: int, cell: int) -> None:
        self.numbers.insert(at, cell)
        if self.queue is None:
            self._keep_queue(times)
        else:
            self.queue.insert(times, at, cell)

    def remove(self, times: array[int], at: int, time: int, cell: int) -> None:
        del self.numbers[self.numbers.index(cell, at)]
        self._keep_queue(times)

    def cut(self, events: int, limit: int) -> None:
        del self.numbers[:events]
        if self.queue is not None:
            self.queue.cut(events, limit)

    def smallest(self, low: int, high: int, after: int) -> int:
        """The smallest number of a span; `NO_MINIMUM` when there is none."""
        if self.queue is None or high < len(self.numbers):
            return min(self.numbers[low:high]) if low < high else NO_MINIMUM
        return self.queue.smallest(after)

    def pack(self) -> Packed:
        return self.numbers.tobytes()

    def unpack(self, times: array[int], packed: Packed) -> None:
        self.numbers = array("q", cast(bytes, packed))
        self._keep_queue(times)

    def _keep_queue(self, times: Sequence[int]) -> None:
        """Make the queue anew; none for few events."""
        many = len(self.numbers) > MAX_SCANNED_EVENTS
        self.queue = MonotonicQueue.of(times, self.numbers) if many else None
