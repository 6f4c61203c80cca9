"""A timeline's times and one of its columns, beside a list of its events in order of time."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule


class ColumnMachine(RuleBasedStateMachine):
    """Adds, removes and forgets events; what is read of them is its subclass's to compare.

    Attributes:
        latest: the largest time that is drawn.
        cells: what events add to the column.
    """

    latest: ClassVar[int]
    cells: ClassVar[st.SearchStrategy[Any]]
    events: list[tuple[int, Any]]
    times: array[int]
    column: Any

    @rule(data=st.data())
    def add(self, data: st.DataObject) -> None:
        time, cell = data.draw(st.integers(0, self.latest)), data.draw(self.cells)
        at = bisect_right(self.times, time)
        self.times.insert(at, time)
        self.events.insert(at, (time, cell))
        if at == len(self.times) - 1:
            self.column.push(self.times, cell)
        else:
            self.column.insert(self.times, at, cell)

    @precondition(lambda self: self.events)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        time, cell = data.draw(st.sampled_from(self.events))
        at = bisect_left(self.times, time)
        del self.times[at]
        self.events.remove((time, cell))
        self.column.remove(self.times, at, time, cell)

    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        limit = data.draw(st.integers(0, self.latest))
        old = bisect_right(self.times, limit)
        del self.times[:old], self.events[:old]
        self.column.cut(old, limit)
