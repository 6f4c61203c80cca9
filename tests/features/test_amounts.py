"""The column of amounts against a list that is looked through for every question."""

from __future__ import annotations

from array import array
from itertools import accumulate
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from features.column_machine import ColumnMachine
from shroff.features.engines.online import amounts as module
from shroff.features.engines.online.amounts import Amounts

TIMES = st.integers(0, 20)
# 2³¹ no longer fits into 4 bytes, and ten squares of the largest not into 64 bits
AMOUNTS = st.one_of(st.integers(-5, 5), st.sampled_from([-(2**31), 2**31 - 1, 2**31, 10**18]))


class AmountsMachine(ColumnMachine):
    """A timeline's amounts."""

    latest = 20
    cells = AMOUNTS

    @initialize(few=st.sampled_from([0, 2, 32]), events=st.lists(st.tuples(TIMES, AMOUNTS)))
    def begin(self, few: int, events: list[tuple[int, int]]) -> None:
        self.patched = patch.object(module, "MAX_SCANNED_AMOUNTS", few)
        self.patched.start()
        self.events = sorted(events, key=lambda event: event[0])
        self.times = array("q", (time for time, _ in self.events))
        self.column = Amounts(("total", "square", "min", "max"))
        self.column.fill(self.times, [amount for _, amount in self.events], None)

    @rule()
    def restore(self) -> None:
        packed, self.column = (
            self.column.pack(),
            Amounts(("total", "square", "min", "max")),
        )
        self.column.unpack(self.times, packed)

    @invariant()
    def every_span_is_read_as_from_the_list(self) -> None:
        kept = [amount for _, amount in self.events]
        # of events of one time all or none are in a span
        ends = [0, *(at for at in range(1, len(kept)) if self.times[at - 1] < self.times[at])]
        ends.append(len(kept))
        # sums need not begin with zero: only their differences are read
        sums, found = [*accumulate(kept, initial=0)], self.column.sums
        assert [found[end] - found[0] for end in ends] == [sums[end] for end in ends]
        for low in ends:
            for high in ends:
                span = kept[low:high]
                if span:
                    after = self.times[low] - 1
                    assert self.column.total(low, high) == sum(span)
                    assert self.column.square(low, high) == sum(one * one for one in span)
                    assert self.column.smallest(low, high, after) == min(span)
                    assert self.column.largest(low, high, after) == max(span)

    def teardown(self) -> None:
        if hasattr(self, "patched"):
            self.patched.stop()


TestAmounts = AmountsMachine.TestCase
TestAmounts.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)


def test_an_amount_takes_four_bytes_until_one_needs_eight() -> None:
    column = Amounts(("total",))
    column.push(array("q", (1,)), 2**31 - 1)
    assert column.amounts.itemsize == 4
    column.push(array("q", (1, 2)), 2**31)
    assert column.amounts.itemsize == 8


@pytest.mark.parametrize("amounts", [[], [1], [1, 2, 3]])
def test_what_has_not_an_amount_of_each_event_is_no_column(amounts: list[int]) -> None:
    """As a key of Redis may hold: compiled code reads as many amounts as there are times."""
    packed = ["i", array("i", amounts).tobytes()]
    with pytest.raises(ValueError, match="an amount of each event"):
        Amounts(("total",)).unpack(array("q", [1, 2]), packed)
