"""The column of names of a timeline: a byte for each event, and `NameTimes` once it is long."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Final, cast

import msgspec

from shroff.features.engines.online.columns import Cell, Name, Packed
from shroff.features.engines.online.name_times import NameTimes, commonest
from shroff.features.engines.online.shared_names import NAMES

MAX_CODED_EVENTS: Final = 128
"""Up to so many events, names are scanned; timestamps per name would cost more than they save."""

_NAMELESS: Final = 255
"""The code of an event that has no name."""

_CODES: Final = [bytes((code,)) for code in range(_NAMELESS + 1)]

_ALIKE: Final = [bytes(events) for events in range(MAX_CODED_EVENTS + 2)]
"""The codes of so many events that all have their timeline's first name."""


class CodedNames(msgspec.Struct, gc=False, eq=False):
    """Each name once, and `cells`: of each event the place of its name, in one byte.

    Both are made anew for each event, so they have no room to spare. Beyond `MAX_CODED_EVENTS`
    events, `cells` are `NameTimes`: seen by `type`, since `isinstance` would first ask the class.
    """

    names: tuple[Name, ...] = ()
    cells: bytes | NameTimes = b""

    def push(self, times: array[int], cell: Cell) -> None:
        names, cells = self.names, self.cells
        if type(cells) is NameTimes:
            cells.push(times, cell)
            return
        # `_code`, inlined
        if cell is None:
            code = _NAMELESS
        elif cell in names:
            code = names.index(cell)
        else:
            code = len(names)
            self.names = (*names, NAMES.once(cell))
        events = len(cells)
        # `_shared`, inlined
        alike = code == 0 and cells is _ALIKE[events]
        self.cells = _ALIKE[events + 1] if alike else cells + _CODES[code]
        if events >= MAX_CODED_EVENTS:
            self._see(times)

    def fill(self, times: Sequence[int], cells: Sequence[Cell], ends: Sequence[int] | None) -> None:
        if len(cells) > MAX_CODED_EVENTS:
            self.cells = NameTimes(joins=False)
            self.cells.fill(times, cells, ends)
            return
        names = dict.fromkeys(cells)
        names.pop(None, None)
        self.names = tuple(map(NAMES.once, cast(dict[Name, None], names)))
        places = {name: place for place, name in enumerate(names)}
        self.cells = _shared(bytes(map(places.get, cells, repeat(_NAMELESS))))

    def insert(self, times: array[int], at: int, cell: Cell) -> None:
        cells = self.cells
        if type(cells) is NameTimes:
            cells.insert(times, at, cell)
            return
        self.cells = _shared(cells[:at] + _CODES[self._code(cell)] + cells[at:])
        if len(cells) >= MAX_CODED_EVENTS:
            self._see(times)

    def remove(self, times: array[int], at: int, time: int, cell: Cell) -> None:
        cells = self.cells
        if type(cells) is NameTimes:
            cells.remove(times, at, time, cell)
            return
        place = cells.index(self._code(cell), at)
        self._keep(cells[:place] + cells[place + 1 :])

    def cut(self, events: int, limit: int) -> None:
        cells = self.cells
        if type(cells) is NameTimes:
            cells.cut(events, limit)
            return
        self._keep(cells[events:])

    def _keep(self, cells: bytes) -> None:
        """Keep these codes, and the names that have events: never more names than events."""
        left = {*cells}
        kept = [place for place in range(len(self.names)) if place in left]
        self.names = tuple([self.names[place] for place in kept])
        codes = bytes.maketrans(bytes(kept), bytes(range(len(kept))))
        self.cells = _shared(cells.translate(codes))

    def _code(self, cell: Cell) -> int:
        """The code of a name, which has one from now on."""
        if cell is None:
            return _NAMELESS
        if cell not in self.names:
            self.names = (*self.names, NAMES.once(cell))
        return self.names.index(cell)

    def distinct(self, low: int, high: int, after: int, upto: int) -> int:
        """How many names were seen in a span."""
        cells = self.cells
        if type(cells) is NameTimes:
            return cells.distinct(low, high, after, upto)
        places = {*cells[low:high]}
        return len(places) - (_NAMELESS in places)

    def named(self, low: int, high: int, after: int, upto: int) -> int:
        """How many events of a span have a name."""
        cells = self.cells
        if type(cells) is NameTimes:
            return cells.named(low, high, after, upto)
        return high - low - cells.count(_NAMELESS, low, high)

    def own(self, mine: Name, low: int, high: int, after: int, upto: int) -> int:
        """How often a name was seen in a span."""
        cells = self.cells
        if type(cells) is NameTimes:
            return cells.own(mine, low, high, after, upto)
        names = self.names
        return cells.count(names.index(mine), low, high) if mine in names else 0

    def counts(self, low: int, high: int, after: int, upto: int) -> Iterable[int]:
        """How often each name was seen in a span, of those that were."""
        cells = self.cells
        if type(cells) is NameTimes:
            return cells.counts(low, high, after, upto)
        span = cells[low:high]
        return [span.count(place) for place in {*span} if place != _NAMELESS]

    def latest(self, times: array[int], after: int) -> Iterator[tuple[Name, int]]:
        """The names that were seen later than that, each with when it was last."""
        names, cells = self.names, self.cells
        if type(cells) is NameTimes:
            yield from cells.latest(times, after)
            return
        for place in {*cells} - {_NAMELESS}:
            if (last := times[cells.rindex(place)]) > after:
                yield names[place], last

    def commonest(self, low: int, high: int, after: int, upto: int) -> Name | None:
        """The name that was seen most in a span, of several the smallest."""
        cells = self.cells
        if type(cells) is NameTimes:
            return cells.commonest(low, high, after, upto)
        span = cells[low:high]
        return commonest((name, span.count(place)) for place, name in enumerate(self.names))

    def pack(self) -> Packed:
        cells = self.cells
        return cells.pack() if type(cells) is NameTimes else [self.names, cells]

    def unpack(self, times: array[int], packed: Packed) -> None:
        if isinstance(packed, dict):
            self.names, self.cells = (), NameTimes(joins=False)
            self.cells.unpack(times, packed)
        else:
            names, cells = cast(tuple[list[Name], bytes], packed)
            # compiled code asks no bytes for their length
            if len(cells) != len(times):
                raise ValueError("expected a code of each event, got more or fewer.")
            self.names = tuple(NAMES.all(names))
            self._keep(cells)

    def _see(self, times: array[int]) -> None:
        """Keep the times of each name instead of its codes."""
        named = [
            None if code == _NAMELESS else self.names[code] for code in cast(bytes, self.cells)
        ]
        self.names, self.cells = (), NameTimes(joins=False)
        self.cells.fill(times, named, None)


def _shared(cells: bytes) -> bytes:
    """Codes, as one object for all columns whose events all have their first name."""
    return cells if any(cells) else _ALIKE[len(cells)]


def alike() -> list[bytes]:
    """By number of events, the codes of as many that all have their timeline's first name."""
    return _ALIKE
