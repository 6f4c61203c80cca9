"""Spreads: every share is a bound on the training rows."""

from __future__ import annotations

import json
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shroff.detect.spread import TAIL_SHARES, Spread

few = st.lists(st.floats(-1e9, 1e9) | st.integers(-3, 3).map(float), min_size=1, max_size=60)
many = st.tuples(st.integers(0, 10_000), st.integers(1, 4_000)).map(
    lambda given: np.random.default_rng(given[0]).normal(size=given[1]).round(2).tolist()
)


def spread_of(values: list[float]) -> Spread:
    found = Spread.of(np.array(values))
    assert found is not None
    return found


@given(few | many, st.floats(-1e9, 1e9) | st.floats(-4, 4).map(lambda x: round(x, 2)))
def test_a_share_holds_for_the_rows_it_was_learned_from(values: list[float], value: float) -> None:
    spread, rows = spread_of(values), np.array(values)
    assert (rows >= value).mean() <= spread.above(value)
    assert (rows <= value).mean() <= spread.below(value)
    assert spread.above(value) == 1.0 or value > spread.usual[1]
    assert spread.below(value) == 1.0 or value < spread.usual[0]


@given(few | many)
def test_nine_of_ten_rows_are_usual(values: list[float]) -> None:
    spread, rows = spread_of(values), np.array(values)
    low, high = spread.usual
    assert ((rows >= low) & (rows <= high)).mean() >= 0.9 - 1e-12
    assert low <= spread.median <= high


@given(few | many)
def test_the_farther_out_the_rarer(values: list[float]) -> None:
    spread = spread_of(values)
    assert list(spread.high) == sorted(spread.high)
    assert list(spread.low) == sorted(spread.low, reverse=True)
    assert (spread.low[-1], spread.high[-1]) == (min(values), max(values))


def test_json_keeps_every_bit() -> None:
    spread = spread_of([0.1, 1 / 3, -0.0, math.nan, 7e22])
    assert Spread.from_json(json.loads(json.dumps(spread.to_json()))) == spread


def test_only_known_values_count_but_the_share_of_missing_is_known() -> None:
    spread = spread_of([1.0, math.nan, math.nan, 3.0])
    assert (spread.mean, spread.missing) == (2.0, 0.5)
    assert Spread.of(np.array([math.nan])) is None


def test_thousandths_are_told_apart() -> None:
    spread = spread_of(list(range(10_000)))
    outside = (9_500, 9_960.5, 9_995, 9_999.5)
    assert [spread.above(value) for value in outside] == [0.05, 0.004, 0.0005, 0.0]
    assert spread.above(9_400) == 1.0
    assert {0.05, 0.01, 0.009, 0.001} <= set(TAIL_SHARES)
