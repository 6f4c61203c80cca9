"""Held-out scores in bins give the thresholds that the scores themselves give, and name nobody."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff.errors import ConfigurationError, DataError
from shroff.evaluate import Cost, HeldOut, choose_thresholds, total_cost

COSTS = st.sampled_from(
    [Cost(), Cost(review=1.0, missed=64.0, declined=2.0), Cost(review=16.0, declined=0.0)]
)
# sums of such amounts are exact in whatever order
ROWS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 20), st.integers(0, 500)), min_size=1, max_size=60
)


@given(ROWS, COSTS, st.none() | st.integers(0, 30), st.sampled_from([0.5, 1.0, 3.0]))
def test_few_scores_give_the_same_thresholds_in_bins(
    rows: list[tuple[bool, int, int]], cost: Cost, reviews: int | None, days: float
) -> None:
    y, p, amount = (np.array(column) for column in zip(*rows, strict=True))
    kept = HeldOut.of(y, p / 20, amount, days=days)
    kept = msgspec.json.decode(msgspec.json.encode(kept), type=HeldOut)
    found = kept.thresholds(cost, reviews)
    assert found == choose_thresholds(
        y, p / 20, amount, cost=cost, reviews_per_day=reviews, days=days
    )


@given(ROWS, COSTS, st.none() | st.integers(0, 30))
def test_thresholds_come_to_the_same_however_they_are_asked_for(
    rows: list[tuple[bool, int, int]], cost: Cost, reviews: int | None
) -> None:
    y, p, amount = (np.array(column) for column in zip(*rows, strict=True))
    kept = HeldOut.of(y, p / 20, amount, days=2.0)
    found = kept.thresholds(cost, reviews)
    assert kept.at(found.review_at, found.decline_at, cost) == found
    daily = kept.a_day(found, cost)
    assert daily["reviews_per_day"] == found.reviewed / 2
    assert daily["cost_per_day"] * 2 == total_cost(y, found.actions(p / 20), amount, cost)
    approved = np.full(len(y), "approve")
    assert daily["cost_per_day_if_approved"] * 2 == total_cost(y, approved, amount, cost)


def test_many_scores_take_few_bins_and_cost_hardly_more() -> None:
    random = np.random.default_rng(7)
    n = 200_000
    p = random.beta(0.3, 12.0, n)
    y = random.random(n) < p
    amount = random.lognormal(4.0, 1.0, n)
    kept = HeldOut.of(y, p, amount, days=20.0)
    assert len(kept.lowest) <= 2_000
    assert len(msgspec.json.encode(kept)) < 150_000
    assert (sum(kept.payments), sum(kept.frauds)) == (n, int(y.sum()))
    for reviews in (None, 10, 100, 1_000):
        exact = choose_thresholds(y, p, amount, cost=Cost(), reviews_per_day=reviews, days=20.0)
        found = kept.thresholds(Cost(), reviews)
        assert found.total_cost <= exact.total_cost * 1.005
        reviewed = ((p >= found.review_at) & (p < found.decline_at)).sum()
        assert reviewed == found.reviewed <= (n if reviews is None else reviews * 20)


def test_what_cannot_be_is_refused() -> None:
    kept = HeldOut.of(np.array([0, 1]), np.array([0.1, 0.9]), np.array([1.0, 2.0]))
    with pytest.raises(ConfigurationError, match="0 or more reviews"):
        kept.thresholds(Cost(), -1)
    with pytest.raises(DataError, match="bins of four values"):
        HeldOut(days=1.0, lowest=(0.5,), payments=(1, 2), frauds=(0,), lost=(0.0,))
