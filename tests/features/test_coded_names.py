"""The column of names against a list that is looked through for every question."""

from __future__ import annotations

import gc
from array import array
from collections import Counter
from typing import cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from features.column_machine import ColumnMachine
from features.online_world import DAY, SCHEMA, card, pay
from shroff import FeatureGroup
from shroff.features.engines.online import OnlineEngine
from shroff.features.engines.online.coded_names import CodedNames


class CodedNamesMachine(ColumnMachine):
    """A timeline's names."""

    latest = 9
    cells = st.sampled_from([None, "a", "b", "c"])

    def __init__(self) -> None:
        super().__init__()
        self.events = []
        self.times = array("q")
        self.column = CodedNames()

    @rule(unused=st.booleans())
    def restore(self, unused: bool) -> None:
        names, cells = cast(tuple[list[str], bytes], self.column.pack())
        self.column = CodedNames()
        self.column.unpack(self.times, [[*names, "nobody's"] if unused else [*names], cells])

    @invariant()
    def every_name_is_counted_as_in_the_list(self) -> None:
        names = [name for _, name in self.events]
        counted = Counter(name for name in names if name is not None)
        span = (0, len(names), -1, 10)
        assert self.column.distinct(*span) == len(counted)
        assert self.column.named(*span) == counted.total()
        assert sorted(self.column.counts(*span)) == sorted(counted.values())
        assert [self.column.own(name, *span) for name in "abcd"] == [counted[one] for one in "abcd"]
        last = {name: time for time, name in self.events if name is not None}
        assert dict(self.column.latest(self.times, -1)) == last

    @invariant()
    def events_of_one_name_share_their_codes(self) -> None:
        if len({name for _, name in self.events}) == 1 and self.events[0][1] is not None:
            other = CodedNames()
            other.fill(self.times, ["any"] * len(self.events), None)
            assert self.column.cells is other.cells


TestCodedNames = CodedNamesMachine.TestCase
TestCodedNames.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)


def test_names_that_were_forgotten_leave_room_for_others() -> None:
    column, times = CodedNames(), array("q")
    for number in range(600):
        times.append(number)
        column.push(times, f"name {number}")
        if number % 6:
            del times[-1]
            column.remove(times, len(times), number, f"name {number}")
    assert column.distinct(0, 100, -1, 600) == len(column.names) == 100


def test_the_garbage_collector_passes_timelines_by() -> None:
    group = FeatureGroup("g", [card.count("1d"), card.total("amount", "1d")])
    engine = OnlineEngine([group], SCHEMA)
    engine.observe(pay(1, DAY))
    (line,) = engine.timelines.by_stream[0].by_key.values()
    assert not any(map(gc.is_tracked, [line, *line.columns]))


@pytest.mark.parametrize("codes", [b"", b"\0", b"\0\0\0"])
def test_what_has_not_a_code_of_each_event_is_no_column(codes: bytes) -> None:
    """As a key of Redis may hold: compiled code reads as many codes as there are times."""
    with pytest.raises(ValueError, match="a code of each event"):
        CodedNames().unpack(array("q", [1, 2]), [["a"], codes])
