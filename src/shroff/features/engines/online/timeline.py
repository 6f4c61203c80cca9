"""A key's events in order of time, with columns from which every window is read.

Times are microseconds. A span of events is given by place, `low` … `high - 1`, or by time: later
than `after` and not later than `upto`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any, cast

import msgspec

from shroff.features.engines.online.columns import MAX_SCANNED_EVENTS, Cell, Packed


@cache
def timeline_class(columns: int) -> type[Timeline]:
    """The class of timelines with so many columns: `c0`, `c1` …"""
    fields = [(f"c{place}", Any) for place in range(columns)]
    made = msgspec.defstruct("Timeline", fields, bases=(Timeline,), gc=False, eq=False)
    return cast(type[Timeline], made)


class Timeline(msgspec.Struct, gc=False, eq=False):
    """Events in order of time (ties in order of arrival), with columns beside them.

    A timeline that `joins` merges events of one time. Its columns are attributes of a class that
    `timeline_class` makes: a tuple of them would take as much room as a few events. Timelines and
    columns are in no cycle, so the garbage collector need not know them: that is 16 bytes each.
    """

    times: array[int]

    @property
    def columns(self) -> tuple[Any, ...]:
        """The columns; the layout decides which is of which kind, so their types differ."""
        return tuple([getattr(self, name) for name in self.__struct_fields__[1:]])

    def add(self, time: int, cells: Sequence[Cell], *, joins: bool) -> None:
        """Add an event at its place in time."""
        times = self.times
        if not times or times[-1] < time or (times[-1] == time and not joins):
            times.append(time)
            for column, cell in zip(self.columns, cells, strict=True):
                column.push(times, cell)
            return
        at = bisect_right(times, time)
        if joins and at and times[at - 1] == time:
            for column, cell in zip(self.columns, cells, strict=True):
                column.join(times, at - 1, cell)
            return
        times.insert(at, time)
        for column, cell in zip(self.columns, cells, strict=True):
            column.insert(times, at, cell)

    def fill(self, times: Sequence[int], cells: Sequence[Sequence[Cell]], *, joins: bool) -> None:
        """Add events, in order of time, to a timeline without any."""
        ends = None
        if joins:
            ends = [at for at, pair in enumerate(pairwise(times), start=1) if pair[0] != pair[1]]
            ends.append(len(times))
        self.times.extend(times if ends is None else [times[end - 1] for end in ends])
        for column, own in zip(self.columns, cells, strict=True):
            column.fill(times, own, ends)

    def remove(self, time: int, cells: Sequence[Cell], *, joins: bool) -> None:
        """Undo `add`: remove one equal event, unless it is forgotten."""
        times = self.times
        at = bisect_left(times, time)
        if at == len(times) or times[at] != time:
            return
        if joins:
            for column, cell in zip(self.columns, cells, strict=True):
                column.unjoin(times, at, cell)
            return
        del times[at]
        for column, cell in zip(self.columns, cells, strict=True):
            column.remove(times, at, time, cell)

    def forget(self, limit: int) -> None:
        """Drop events at or before `limit`, once they are more than half of what is kept."""
        times = self.times
        if len(times) >= MAX_SCANNED_EVENTS and times[len(times) // 2] <= limit:
            self._cut(bisect_right(times, limit), limit)

    def pack(self, limit: int) -> list[Packed]:
        """The events after `limit` as MessagePack values; earlier ones are dropped."""
        old = bisect_right(self.times, limit)
        if old:
            self._cut(old, limit)
        return [self.times.tobytes(), *[column.pack() for column in self.columns]]

    def unpack(self, packed: Sequence[Packed]) -> None:
        """Restore what a timeline with the same columns packed."""
        times, *columns = packed
        self.times = array("q", bytes(times))
        for column, cells in zip(self.columns, columns, strict=True):
            column.unpack(self.times, cells)

    def _cut(self, old: int, limit: int) -> None:
        del self.times[:old]
        for column in self.columns:
            column.cut(old, limit)
