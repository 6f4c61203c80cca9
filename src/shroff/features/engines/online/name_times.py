"""The times of each name: the column of names of a long timeline."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast, final

import msgspec

from shroff.features.engines.online.columns import Cell, Name, Packed
from shroff.features.engines.online.shared_names import NAMES


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


@final
class NameTimes(msgspec.Struct, gc=False, eq=False):
    """When each name was seen; `newest` has the latest time of each, in order.

    If it `joins`, its size is bounded by steps of time and names, not by events.
    """

    joins: bool
    newest: array[int] = msgspec.field(default_factory=lambda: array("q"))
    seen: dict[Name, Times | Tally] = {}

    def push(self, times: array[int], cell: Cell) -> None:
        if cell is None:
            return
        newest, seen, time = self.newest, self.seen.get(cell), times[-1]
        if seen is None:
            seen = self._begin(cell)
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
                    seen = self._begin(cell)
                seen.see(time)
        self._sort_newest()

    def insert(self, times: array[int], at: int, cell: Cell) -> None:
        if cell is None:
            return
        time = times[at]
        seen = self.seen.get(cell)
        if seen is None:
            seen = self._begin(cell)
            seen.see(time)
            insort(self.newest, time)
        else:
            before = seen.last()
            seen.see(time)
            if time > before:
                self._forget_newest(before)
                insort(self.newest, time)

    join = insert

    def remove(self, times: array[int], at: int, time: int, cell: Cell) -> None:
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

    def unjoin(self, times: array[int], at: int, cell: Cell) -> None:
        self.remove(times, at, times[at], cell)

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

    def latest(self, times: array[int], after: int) -> Iterator[tuple[Name, int]]:
        """The names that were seen later than that, each with when it was last."""
        return ((name, last) for name, seen in self.seen.items() if (last := seen.last()) > after)

    def commonest(self, low: int, high: int, after: int, upto: int) -> Name | None:
        """The name that was seen most in a span, of several the smallest."""
        return commonest((name, seen.between(after, upto)) for name, seen in self.seen.items())

    def pack(self) -> Packed:
        return {name: seen.pack() for name, seen in self.seen.items()}

    def unpack(self, times: array[int], packed: Packed) -> None:
        kind = Tally if self.joins else Times
        self.seen = {
            NAMES.once(name): kind.unpack(seen)
            for name, seen in cast(Mapping[Name, bytes], packed).items()
        }
        self._sort_newest()

    def _begin(self, name: Name) -> Times | Tally:
        """Keep the times of a name that has none."""
        seen = self.seen[NAMES.once(name)] = Tally() if self.joins else Times("q")
        return seen

    def _sort_newest(self) -> None:
        self.newest = array("q", sorted(seen.last() for seen in self.seen.values()))

    def _forget_newest(self, time: int) -> None:
        del self.newest[bisect_left(self.newest, time)]


def commonest(counted: Iterable[tuple[Any, int]]) -> Name | None:
    """The most frequent name, of several the smallest; None if no count is above zero."""
    best, most = None, 0
    for name, count in counted:
        if count > most or (count == most > 0 and name < best):
            best, most = name, count
    return best
