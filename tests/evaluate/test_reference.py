"""Counts of training: bins against a slow oracle, one payment per card, exact sums."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import reduce
from operator import add

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff.collect.times import DAY_US
from shroff.evaluate.reference import PERIODS, WEEK, BinCounts, Bins, TrainingReference, windows

VALUES = st.lists(
    st.one_of(
        st.none(),
        st.sampled_from([0.0, 1.0, -0.0, float("nan")]),
        st.floats(-1e6, 1e6, allow_subnormal=False),
    ),
    min_size=1,
    max_size=60,
)
NAMES = st.lists(st.one_of(st.none(), st.sampled_from("abcdefg")), min_size=1, max_size=60)


@given(VALUES, VALUES)
def test_a_number_is_in_the_first_bin_whose_edge_it_does_not_exceed(
    learned: list[float | None], seen: list[float | None]
) -> None:
    bins = Bins.learn(pl.Series("x", learned, dtype=pl.Float64))
    for value, place in zip(seen, bins.places(pl.Series("x", seen, dtype=pl.Float64)), strict=True):
        missing = value is None or value != value
        later = sum(edge < value for edge in bins.edges) if not missing and value is not None else 0
        assert place == (bins.size if missing else later)


@given(NAMES, NAMES)
def test_a_name_is_in_its_bin_or_with_all_others(
    learned: list[str | None], seen: list[str | None]
) -> None:
    bins = Bins.learn(pl.Series("x", learned, dtype=pl.String))
    assert set(bins.names) == {name for name in learned if name is not None}
    places = bins.places(pl.Series("x", seen, dtype=pl.String))
    expected = [bins.size if name is None else [*bins.names, name].index(name) for name in seen]
    assert places.tolist() == expected


def test_only_the_most_frequent_names_have_bins() -> None:
    column = pl.Series("x", [f"n{number:02}" for number in range(40) for _ in range(number + 1)])
    assert Bins.learn(column).names == tuple(f"n{number:02}" for number in range(10, 40))


@given(
    st.lists(st.tuples(st.integers(0, 20 * DAY_US), st.sampled_from("abc")), max_size=40),
    st.integers(1, 4),
)
def test_a_card_counts_once_a_window_and_parts_add_up(
    paid: list[tuple[int, str]], parts: int
) -> None:
    paid.sort()
    time = np.array([at for at, _ in paid], np.int64)
    card = pl.Series("card", [name for _, name in paid], dtype=pl.String)
    found = list(windows(time, card))
    for period in ("day", WEEK):
        seen: dict[tuple[int, str], int] = {}
        for row, (at, name) in enumerate(paid):
            number = at // DAY_US if period == "day" else (at // DAY_US + 3) // 7
            seen.setdefault((number, name), row)
        rows = [
            row for one in found if (one.period == WEEK) == (period == WEEK) for row in one.rows
        ]
        assert sorted(rows) == sorted(seen.values())
    bins = Bins(name="x", edges=(1.0, 5.0))
    places = bins.places(pl.Series("x", [at / DAY_US for at, _ in paid], dtype=pl.Float64))
    whole = bins.count(places, len(places))
    pieces = [bins.count(part, len(part)) for part in np.array_split(places, parts)]
    assert reduce(add, pieces) == whole == reduce(add, pieces[::-1])


def test_weekdays_are_those_of_the_calendar() -> None:
    monday = int(datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()) * 1_000_000
    found = list(windows(np.array([monday + day * DAY_US for day in range(7)]), None))
    assert [one.period for one in found] == list(PERIODS)
    assert found[-1].day == monday // DAY_US


def test_payments_of_one_card_are_worth_one() -> None:
    time = np.arange(10) * 7 * DAY_US
    table = pl.DataFrame({"x": np.arange(10.0)})
    one = TrainingReference.of(table, time, pl.Series("card", ["c"] * 10)).columns[0].usual[WEEK]
    assert (one.size, one.effective) == (10, 1.0)
    own = (
        TrainingReference.of(table, time, pl.Series("card", list("abcdefghij")))
        .columns[0]
        .usual[WEEK]
    )
    assert (own.size, own.effective) == (10, 10.0)
    nobody = TrainingReference.of(table, time, pl.Series("card", [None] * 10, dtype=pl.String))
    assert nobody.columns[0].usual[WEEK] == own


def test_a_column_without_values_has_one_bin() -> None:
    bins = Bins.learn(pl.Series("x", [None, None], dtype=pl.Float64))
    assert bins.count(bins.places(pl.Series("x", [1.0, None])), 2) == BinCounts((1,), 1, 2)


@pytest.mark.parametrize("values", [[1, 2, 3], [True, False, None]])
def test_whole_numbers_and_truths_are_counted_as_numbers(values: list[object]) -> None:
    bins = Bins.learn(pl.Series("x", values))
    assert bins.edges
    assert sum(bins.count(bins.places(pl.Series("x", values)), 3).counts) == sum(
        value is not None for value in values
    )
