"""Columns beside a timeline: running sums, falling records, and the times of each name.

Each is told where events come and go, and answers for any span of them: by place, `low` … `high - 1`, or by time,
later than `after` and not later than `upto`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeVar, cast

Name = str | float | int | bool
Cell = Name | None
"""What one event gives a column: a number, or a name (None for none)."""

Packed = bytes | Sequence[Any]
"""A column as bytes (numbers of 64 bits in the machine's order), or as a sequence of what MessagePack knows."""

NOTHING: Final = 2**63 - 1
"""The record of no events, and the cell of an event without a value: larger than any number."""


Given = TypeVar("Given", contravariant=True)


class Column(Protocol[Given]):
    """What is kept of one column beside a timeline's times."""

    def push(self, time: int, cell: Given) -> None:
        """An event has come behind all others."""

    def insert(self, at: int, time: int, cell: Given) -> None:
        """An event has come to place `at`."""

    def remove(self, at: int, time: int, cell: Given) -> None:
        """Undo `insert`: an event has gone that was the first of its time, or one of those that follow it."""

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
    """Running sums of a whole number: `sums[i]` is the sum of the events before place `i`.

    Among events of one time only the last sum means anything. The sums take 8 bytes each, until one outgrows 64 bits.
    """

    __slots__ = ("sums",)

    def __init__(self) -> None:
        self.sums: array[int] | list[int] = array("q", (0,))

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
        base, kept = self.sums[events], self.sums[events + 1 :]
        self.sums = array("q", (0,))
        self._continue(1, [total - base for total in kept])

    def pack(self) -> Packed:
        # MessagePack's numbers end at 64 bits
        return list(map(str, self.sums)) if isinstance(self.sums, list) else self.sums.tobytes()

    def unpack(self, packed: Packed) -> None:
        self.sums = array("q", packed) if isinstance(packed, bytes) else list(map(int, packed))

    def _continue(self, place: int, rest: list[int]) -> None:
        """Let the sums go on like this from a place."""
        if isinstance(self.sums, list):
            self.sums[place:] = rest
            return
        try:
            self.sums[place:] = array("q", rest)
        except OverflowError:
            self.sums = [*self.sums[:place], *rest]


class Records:
    """The smallest number of any span. (The largest: give it the negatives.)

    `records` are the numbers that none after them undercuts, `times` theirs: over a span until now, the first
    record in it is the smallest number.
    """

    __slots__ = ("_all", "numbers", "records", "times")

    def __init__(self, all_times: array[int]) -> None:
        self._all = all_times
        self.numbers = array("q")
        self.times = array("q")
        self.records = array("q")

    def push(self, time: int, cell: int) -> None:
        self.numbers.append(cell)
        times, records = self.times, self.records
        if cell == NOTHING or (times and times[-1] == time and records[-1] <= cell):
            return
        while records and records[-1] >= cell:
            records.pop()
            times.pop()
        times.append(time)
        records.append(cell)

    def insert(self, at: int, time: int, cell: int) -> None:
        self.numbers.insert(at, cell)
        self._set(time, cell)

    def remove(self, at: int, time: int, cell: int) -> None:
        del self.numbers[self.numbers.index(cell, at)]
        self._set_all()

    def cut(self, events: int, limit: int) -> None:
        del self.numbers[:events]
        old = bisect_right(self.times, limit)
        del self.times[:old], self.records[:old]

    def smallest(self, low: int, high: int, after: int) -> int:
        """The smallest number of a span; `NOTHING` when there is none."""
        if high < len(self.numbers):
            return min(self.numbers[low:high], default=NOTHING)
        at = bisect_right(self.times, after)
        return self.records[at] if at < len(self.records) else NOTHING

    def pack(self) -> Packed:
        return self.numbers.tobytes()

    def unpack(self, packed: Packed) -> None:
        self.numbers = array("q", bytes(packed))
        self._set_all()

    def _set_all(self) -> None:
        del self.times[:], self.records[:]
        for time, number in zip(self._all, self.numbers, strict=True):
            self._set(time, number)

    def _set(self, time: int, number: int) -> None:
        times, records = self.times, self.records
        at = bisect_right(times, time)
        undercut = at < len(times) and records[at] <= number
        if number == NOTHING or undercut or (at and times[at - 1] == time and records[at - 1] <= number):
            return
        first = at
        while first and records[first - 1] >= number:
            first -= 1
        times[first:at] = array("q", (time,))
        records[first:at] = array("q", (number,))


class Times(array):  # type: ignore[type-arg]  # `array[int]` is a name for type checkers only until Python 3.12
    """When a name was seen, in order."""

    __slots__ = ()

    def see(self, time: int) -> None:
        if self and self[-1] > time:
            insort(self, time)
        else:
            self.append(time)

    def unsee(self, time: int) -> None:
        del self[bisect_left(self, time)]

    def cut(self, limit: int) -> None:
        del self[: bisect_right(self, limit)]

    def last(self) -> int:
        latest: int = self[-1]
        return latest

    def between(self, after: int, upto: int) -> int:
        return (len(self) if self[-1] <= upto else bisect_right(self, upto)) - bisect_right(self, after)

    def pack(self) -> bytes:
        return self.tobytes()

    @classmethod
    def unpack(cls, packed: bytes) -> Times:
        return cls("q", packed)


class Tally(dict[int, int]):
    """How often a name was seen at each time: bounded by the number of times, not of sightings."""

    __slots__ = ()

    def see(self, time: int) -> None:
        self[time] = self.get(time, 0) + 1

    def unsee(self, time: int) -> None:
        self[time] -= 1
        if not self[time]:
            del self[time]

    def cut(self, limit: int) -> None:
        for time in [time for time in self if time <= limit]:
            del self[time]

    def last(self) -> int:
        return max(self)

    def between(self, after: int, upto: int) -> int:
        return sum(times for time, times in self.items() if after < time <= upto)

    def pack(self) -> bytes:
        return array("q", [number for item in self.items() for number in item]).tobytes()

    @classmethod
    def unpack(cls, packed: bytes) -> Tally:
        numbers = array("q", packed)
        return cls(zip(numbers[::2], numbers[1::2], strict=True))


class Names:
    """When each name was seen, and `newest`: the latest time of each, in order."""

    __slots__ = ("_joins", "newest", "seen")

    def __init__(self, *, joins: bool) -> None:
        self._joins = joins
        self.newest = array("q")
        self.seen: dict[Name, Times | Tally] = {}

    def push(self, time: int, cell: Cell) -> None:
        if cell is None:
            return
        newest, seen = self.newest, self.seen.get(cell)
        if seen is None:
            seen = self.seen[cell] = Tally() if self._joins else Times("q")
        else:
            del newest[bisect_left(newest, seen.last())]
        seen.see(time)
        newest.append(time)

    def insert(self, at: int, time: int, cell: Cell) -> None:
        if cell is None:
            return
        seen = self.seen.get(cell)
        if seen is None:
            seen = self.seen[cell] = Tally() if self._joins else Times("q")
            seen.see(time)
            insort(self.newest, time)
        else:
            before = seen.last()
            seen.see(time)
            if time > before:
                self._forget_newest(before)
                insort(self.newest, time)

    join = insert

    def remove(self, at: int, time: int, cell: Cell) -> None:
        if cell is None:
            return
        seen = self.seen[cell]
        before = seen.last()
        seen.unsee(time)
        if not seen:
            del self.seen[cell]
            self._forget_newest(before)
        elif seen.last() < before:
            self._forget_newest(before)
            insort(self.newest, seen.last())

    part = remove

    def cut(self, events: int, limit: int) -> None:
        del self.newest[: bisect_right(self.newest, limit)]
        for name, seen in list(self.seen.items()):
            seen.cut(limit)
            if not seen:
                del self.seen[name]

    def distinct(self, after: int, upto: int) -> int:
        """How many names were seen in a span."""
        newest = self.newest
        if not newest or newest[-1] <= upto:
            return len(newest) - bisect_right(newest, after)
        return sum(1 for seen in self.seen.values() if seen.between(after, upto))

    def counts(self, after: int, upto: int) -> list[int]:
        """How often each name was seen in a span."""
        return [seen.between(after, upto) for seen in self.seen.values()]

    def pack(self) -> Packed:
        return [(name, seen.pack()) for name, seen in self.seen.items()]

    def unpack(self, packed: Packed) -> None:
        kind = Tally if self._joins else Times
        self.seen = {name: kind.unpack(seen) for name, seen in cast(Sequence[tuple[Name, bytes]], packed)}
        self.newest = array("q", sorted(seen.last() for seen in self.seen.values()))

    def _forget_newest(self, time: int) -> None:
        del self.newest[bisect_left(self.newest, time)]
