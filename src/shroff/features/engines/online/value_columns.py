"""Columns of names: a plain list for short timelines, timestamps per name for long ones."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, Final, cast

from shroff.features.engines.online.columns import Cell, Name, Packed
from shroff.features.engines.online.shared_names import NAMES

MAX_CODED_EVENTS: Final = 128
"""Up to so many events, names are scanned; timestamps per name would cost more than they save."""

_NAMELESS: Final = 255
"""The code of an event that has no name."""

_LAST: Final = 254
"""The code after which there is none for another name."""

_CODES: Final = [bytes((code,)) for code in range(_NAMELESS + 1)]


class Times(array):  # type: ignore[type-arg]  # `array[int]` is a name for type checkers only until Python 3.12
    """The times at which a name was seen, in order."""

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
        latest = self[-1]
        if latest <= after:
            return 0
        return (len(self) if latest <= upto else bisect_right(self, upto)) - bisect_right(
            self, after
        )

    def pack(self) -> bytes:
        return self.tobytes()

    @classmethod
    def unpack(cls, packed: bytes) -> Times:
        return cls("q", packed)


class Tally(dict[int, int]):
    """How often a name was seen at each time: its size is bounded by the number of times."""

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


class NameTimes:
    """When each name was seen; `newest` has the latest time of each, in order.

    If it `joins`, its size is bounded by steps of time and names, not by events.
    """

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
            seen = self.seen[NAMES.once(cell)] = Tally() if self._joins else Times("q")
        else:
            del newest[bisect_left(newest, seen.last())]
        seen.see(time)
        newest.append(time)

    def fill(self, times: Sequence[int], cells: Sequence[Cell], ends: Sequence[int] | None) -> None:
        all_seen = self.seen
        for time, cell in zip(times, cells, strict=True):
            if cell is not None:
                seen = all_seen.get(cell)
                if seen is None:
                    seen = all_seen[NAMES.once(cell)] = Tally() if self._joins else Times("q")
                seen.see(time)
        self._sort_newest()

    def insert(self, at: int, time: int, cell: Cell) -> None:
        if cell is None:
            return
        seen = self.seen.get(cell)
        if seen is None:
            seen = self.seen[NAMES.once(cell)] = Tally() if self._joins else Times("q")
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

    unjoin = remove

    def cut(self, events: int, limit: int) -> None:
        del self.newest[: bisect_right(self.newest, limit)]
        for name, seen in list(self.seen.items()):
            seen.cut(limit)
            if not seen:
                del self.seen[name]

    def distinct(self, low: int, high: int, after: int, upto: int) -> int:
        """How many names were seen in a span."""
        newest = self.newest
        if not newest or newest[-1] <= upto:
            return len(newest) - bisect_right(newest, after)
        return sum(1 for seen in self.seen.values() if seen.between(after, upto))

    def named(self, low: int, high: int, after: int, upto: int) -> int:
        """How many events of a span have a name."""
        return sum(seen.between(after, upto) for seen in self.seen.values())

    def own(self, mine: Name, low: int, high: int, after: int, upto: int) -> int:
        """How often a name was seen in a span."""
        seen = self.seen.get(mine)
        return seen.between(after, upto) if seen else 0

    def counts(self, low: int, high: int, after: int, upto: int) -> list[int]:
        """How often each name was seen in a span, of those that were."""
        return [count for seen in self.seen.values() if (count := seen.between(after, upto))]

    def latest(self, after: int) -> Iterator[tuple[Name, int]]:
        """The names that were seen later than that, each with when it was last."""
        return ((name, last) for name, seen in self.seen.items() if (last := seen.last()) > after)

    def commonest(self, low: int, high: int, after: int, upto: int) -> Name | None:
        """The name that was seen most in a span, of several the smallest."""
        return _commonest((name, seen.between(after, upto)) for name, seen in self.seen.items())

    def pack(self) -> Packed:
        return {name: seen.pack() for name, seen in self.seen.items()}

    def unpack(self, packed: Packed) -> None:
        kind = Tally if self._joins else Times
        self.seen = {
            NAMES.once(name): kind.unpack(seen)
            for name, seen in cast(Mapping[Name, bytes], packed).items()
        }
        self._sort_newest()

    def _sort_newest(self) -> None:
        self.newest = array("q", sorted(seen.last() for seen in self.seen.values()))

    def _forget_newest(self, time: int) -> None:
        del self.newest[bisect_left(self.newest, time)]


def _commonest(counted: Iterable[tuple[Any, int]]) -> Name | None:
    """The most frequent name, of several the smallest; None if no count is above zero."""
    best, most = None, 0
    for name, count in counted:
        if count > most or (count == most > 0 and name < best):
            best, most = name, count
    return best


class CodedNames:
    """The name of each event as a one-byte code; `NameTimes` beyond `MAX_CODED_EVENTS` events.

    Names and codes are a tuple and bytes, made anew for each event: they have no room to spare.
    """

    __slots__ = ("_all", "cells", "names", "seen")

    def __init__(self, all_times: array[int]) -> None:
        self._all = all_times
        self.names: tuple[Name, ...] = ()
        self.cells = b""
        self.seen: NameTimes | None = None

    def push(self, time: int, cell: Cell) -> None:
        if self.seen is not None:
            self.seen.push(time, cell)
            return
        # `_code`, inlined: a new name is found behind all others
        names, cells = self.names, self.cells
        code = _NAMELESS if cell is None else (names + (cell,)).index(cell)  # noqa: RUF005  # a star makes a list first
        if code == len(names):
            code = self._add(cast(Name, cell))
        self.cells = cells + _CODES[code]
        if len(cells) >= MAX_CODED_EVENTS or code == _LAST:
            self._see()

    def fill(self, times: Sequence[int], cells: Sequence[Cell], ends: Sequence[int] | None) -> None:
        if len(cells) > MAX_CODED_EVENTS:
            self.seen = NameTimes(joins=False)
            self.seen.fill(times, cells, ends)
            return
        names = dict.fromkeys(cells)
        names.pop(None, None)
        self.names = tuple(map(NAMES.once, cast(dict[Name, None], names)))
        places = {name: place for place, name in enumerate(names)}
        self.cells = bytes(map(places.get, cells, repeat(_NAMELESS)))

    def insert(self, at: int, time: int, cell: Cell) -> None:
        if self.seen is not None:
            self.seen.insert(at, time, cell)
            return
        cells, code = self.cells, self._code(cell)
        self.cells = cells[:at] + _CODES[code] + cells[at:]
        if len(cells) >= MAX_CODED_EVENTS or code == _LAST:
            self._see()

    def remove(self, at: int, time: int, cell: Cell) -> None:
        if self.seen is not None:
            self.seen.remove(at, time, cell)
            return
        place = self.cells.index(self._code(cell), at)
        self.cells = self.cells[:place] + self.cells[place + 1 :]

    def cut(self, events: int, limit: int) -> None:
        if self.seen is not None:
            self.seen.cut(events, limit)
            return
        cells = self.cells[events:]
        left = {*cells}
        kept = [place for place in range(len(self.names)) if place in left]
        self.names = tuple([self.names[place] for place in kept])
        self.cells = cells.translate(bytes.maketrans(bytes(kept), bytes(range(len(kept)))))

    def _code(self, cell: Cell) -> int:
        """The code of a name, which has one from now on."""
        if cell is None:
            return _NAMELESS
        code = (*self.names, cell).index(cell)
        return self._add(cell) if code == len(self.names) else code

    def _add(self, name: Name) -> int:
        self.names += (NAMES.once(name),)
        return len(self.names) - 1

    def distinct(self, low: int, high: int, after: int, upto: int) -> int:
        """How many names were seen in a span."""
        if self.seen is not None:
            return self.seen.distinct(low, high, after, upto)
        places = {*self.cells[low:high]}
        return len(places) - (_NAMELESS in places)

    def named(self, low: int, high: int, after: int, upto: int) -> int:
        """How many events of a span have a name."""
        if self.seen is not None:
            return self.seen.named(low, high, after, upto)
        return high - low - self.cells.count(_NAMELESS, low, high)

    def own(self, mine: Name, low: int, high: int, after: int, upto: int) -> int:
        """How often a name was seen in a span."""
        if self.seen is not None:
            return self.seen.own(mine, low, high, after, upto)
        # no event has the code that a new name would get
        return self.cells.count((self.names + (mine,)).index(mine), low, high)  # noqa: RUF005  # a star makes a list first

    def counts(self, low: int, high: int, after: int, upto: int) -> Iterable[int]:
        """How often each name was seen in a span, of those that were."""
        if self.seen is not None:
            return self.seen.counts(low, high, after, upto)
        cells = self.cells[low:high]
        return [cells.count(place) for place in {*cells} if place != _NAMELESS]

    def latest(self, after: int) -> Iterator[tuple[Name, int]]:
        """The names that were seen later than that, each with when it was last."""
        if self.seen is not None:
            yield from self.seen.latest(after)
            return
        names = self.names
        for place in {*self.cells} - {_NAMELESS}:
            if (last := self._all[self.cells.rindex(place)]) > after:
                yield names[place], last

    def commonest(self, low: int, high: int, after: int, upto: int) -> Name | None:
        """The name that was seen most in a span, of several the smallest."""
        if self.seen is not None:
            return self.seen.commonest(low, high, after, upto)
        cells = self.cells[low:high]
        return _commonest((name, cells.count(place)) for place, name in enumerate(self.names))

    def pack(self) -> Packed:
        return [self.names, self.cells] if self.seen is None else self.seen.pack()

    def unpack(self, packed: Packed) -> None:
        if isinstance(packed, dict):
            self.seen = NameTimes(joins=False)
            self.seen.unpack(packed)
        else:
            names, self.cells = cast(tuple[list[Name], bytes], packed)
            self.names = tuple(NAMES.all(names))
            self.seen = None

    def _see(self) -> None:
        self.seen = NameTimes(joins=False)
        for time, place in zip(self._all, self.cells, strict=True):
            self.seen.push(time, None if place == _NAMELESS else self.names[place])
        self.names, self.cells = (), b""
