"""The price of a review: the least one with which enough days keep to the capacity."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shroff import Challenge, Cost
from shroff.errors import ConfigurationError, DataError
from shroff.evaluate import NEVER, DailyCosts, HeldOut, total_cost
from shroff.evaluate.cost import realised_costs
from shroff.evaluate.daily import FINE_PAYMENTS
from shroff.evaluate.expected import MAX_COST, cheapest_actions, gain_of_review

# of so few digits nothing is rounded
ROWS = st.lists(
    st.tuples(st.booleans(), st.integers(1, 99), st.integers(0, 99), st.integers(0, 3)),
    min_size=1,
    max_size=60,
)
COSTS = st.sampled_from(
    [
        Cost(),
        Cost(review=1.0, miss_rate=0.25, declined=2.0),
        Cost(review=2.0, challenge=Challenge(passed=0.25, abandoned=0.125, liable=0.5)),
        Cost(review=0.5, missed=64.0, declined=0.0),
    ]
)


def columns(rows: list[tuple[bool, int, int, int]]) -> tuple[np.ndarray, ...]:
    y, hundredths, amount, day = (np.array(column) for column in zip(*rows, strict=True))
    return y, hundredths / 100, amount.astype(float), day


def slow_kept(rows: list[tuple[bool, int, int, int]], cost: Cost, price: float, most: int) -> float:
    _, p, amount, day = columns(rows)
    action = cheapest_actions(p, cost.of_missed(amount), cost.of_declined(amount), cost, price)
    reviews = [int((action[day == one] == "review").sum()) for one in np.unique(day)]
    return float(np.mean([count <= most for count in reviews]))


@given(ROWS, COSTS, st.integers(1, 12), st.sampled_from([0.3, 0.5, 0.9, 1.0]))
@settings(max_examples=200)
def test_the_least_price_at_which_enough_days_keep_to_the_capacity(
    rows: list[tuple[bool, int, int, int]], cost: Cost, most: int, kept_days: float
) -> None:
    y, p, amount, day = columns(rows)
    kept = DailyCosts.of(y, p, amount, day)
    kept = msgspec.json.decode(msgspec.json.encode(kept), type=DailyCosts)
    price = kept.review_price(cost, most, kept_days=kept_days)
    assert slow_kept(rows, cost, price, most) >= kept_days
    if price:
        gains = gain_of_review(p, cost.of_missed(amount), cost.of_declined(amount), cost)
        lower = [0.0, *(gain for gain in gains if 0 < gain < price - 1e-6)]
        for other in lower:
            assert slow_kept(rows, cost, other, most) < kept_days


@given(ROWS, COSTS, st.integers(1, 12))
def test_a_higher_capacity_never_costs_more(
    rows: list[tuple[bool, int, int, int]], cost: Cost, most: int
) -> None:
    y, p, amount, day = columns(rows)
    kept = DailyCosts.of(y, p, amount, day)
    missed, declined = cost.of_missed(amount), cost.of_declined(amount)
    expected = []
    for capacity in (0, most, most + 1, 2 * most + 1, None):
        action = cheapest_actions(p, missed, declined, cost, kept.review_price(cost, capacity))
        as_fraud, as_genuine = (
            realised_costs(np.full(len(p), fraud), action, missed, declined, cost)
            for fraud in (True, False)
        )
        expected.append(float((p * as_fraud + (1 - p) * as_genuine).sum()))
    assert all(b <= a + 1e-9 for a, b in pairwise(expected))


@given(ROWS, COSTS, st.none() | st.integers(0, 12))
def test_counts_and_costs_are_those_of_the_payments(
    rows: list[tuple[bool, int, int, int]], cost: Cost, most: int | None
) -> None:
    y, p, amount, day = columns(rows)
    kept, days = DailyCosts.of(y, p, amount, day), len(np.unique(day))
    price = kept.review_price(cost, most)
    action = cheapest_actions(p, cost.of_missed(amount), cost.of_declined(amount), cost, price)
    found = kept.tally(kept.actions(cost, price), cost, most)
    assert found["reviews_per_day"] * days == pytest.approx((action == "review").sum())
    assert found["challenges_per_day"] * days == pytest.approx((action == "challenge").sum())
    assert found["declines_per_day"] * days == pytest.approx((action == "decline").sum())
    assert found["cost_per_day"] * days == pytest.approx(total_cost(y, action, amount, cost))
    if cost.challenge is None:
        bins = HeldOut.of(y, p, amount, days=float(days))
        chosen = bins.thresholds(cost, most)
        again = kept.thresholds(cost, most)
        assert again.total_cost == pytest.approx(chosen.total_cost)
        found_daily, expected = kept.a_day(again, cost), bins.a_day(chosen, cost)
        for name in ("cost_per_day", "cost_per_day_if_approved"):
            assert found_daily[name] == pytest.approx(expected[name])
        at = kept.at(again.review_at, again.decline_at, cost)
        assert (at.reviewed, at.declined) == (again.reviewed, again.declined)


def drawn(n: int = 150_000, days: int = 30) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(11)
    p, amount = random.beta(0.2, 12.0, n), random.lognormal(3.5, 1.2, n)
    return random.random(n) < p, p, amount, random.integers(0, days, n)


def test_many_payments_take_few_rows_and_keep_to_the_capacity() -> None:
    y, p, amount, day = drawn()
    kept = DailyCosts.of(y, p, amount, day)
    assert kept.column("payments").sum() == len(p)
    assert kept.column("frauds").sum() == y.sum()
    assert len(kept.column("day")) < FINE_PAYMENTS + 4_000
    assert len(msgspec.json.encode(kept)) < 1_000_000
    cost = Cost(review=1.0)
    for most in (5, 50, 400):
        price = kept.review_price(cost, most)
        action = cheapest_actions(p, amount, cost.of_declined(amount), cost, price)
        reviews = np.bincount(day[action == "review"], minlength=30)
        assert np.quantile(reviews, 0.9) <= most * 1.05 + 1, "rounding moves few payments"
        assert np.quantile(reviews, 0.9) >= most * 0.9 - 2, "and leaves little capacity unused"


def test_no_capacity_and_no_limit_have_a_price() -> None:
    y, p, amount, day = drawn(1_000)
    kept = DailyCosts.of(y, p, amount, day)
    assert kept.review_price(Cost(), None) == 0.0
    assert kept.review_price(Cost(), 0) == MAX_COST
    assert "review" not in kept.actions(Cost(), MAX_COST)
    with pytest.raises(ConfigurationError, match="0 or more reviews a day"):
        kept.review_price(Cost(), -1)


def test_costs_by_expression_are_kept_and_others_refused() -> None:
    y, p, amount, day = drawn(500)
    margin = np.where(np.arange(500) % 7 == 0, np.nan, 20.0)
    given: dict[str, Any] = {"declined": margin}
    kept = DailyCosts.of(y, p, amount, day, given=given, expressions={"declined": "margin"})
    assert kept.unknown == 72
    assert set(kept.column("declined")) == {20.0}
    assert kept.column("payments").sum() == 428
    assert kept.review_price(Cost(review=0.0, declined="margin"), 1) > 0
    assert kept.at(NEVER, NEVER, Cost(declined="margin")).declined == 0
    for other in (Cost(declined="2 * margin"), Cost(missed="margin", declined="margin")):
        with pytest.raises(ConfigurationError, match="keeps no values of this SQL expression"):
            kept.review_price(other, 2)
    with pytest.raises(DataError, match="at least one payment whose costs are known"):
        DailyCosts.of(
            y, p, amount, day, given={"declined": -amount - 1}, expressions={"declined": "x"}
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"payments": "1"},
        {"probability": "0.5 half"},
        {"probability": "0.5 nan"},
        {"probability": "0.5 1.5"},
        {"amount": "1 -1"},
        {"amount": "1 1e300"},
        {"frauds": "0 2"},
        {"payments": "0 1"},
        {"day": "0 7"},
        {"day": "0 -2"},
        {"days": 0},
        {"days": 10**12},
        {"expressions": {"days": "x"}},
        {"share": 0.0},
        {"share": float("nan")},
        {"expressions": {"missed": "2 * amount"}},
        {"expressions": {"missed": "2 * amount"}, "missed": "1 inf"},
        dict.fromkeys(("day", "probability", "amount", "payments", "frauds"), ""),
    ],
)
def test_columns_that_cannot_be_are_refused(changes: dict[str, Any]) -> None:
    whole: dict[str, Any] = {
        "days": 1,
        "share": 1.0,
        "day": "0 -1",
        "probability": "0.5 0.4",
        "amount": "1 0",
        "payments": "1 1",
        "frauds": "0 1",
    }
    assert DailyCosts(**whole).review_price(Cost(), 1) == 0.0
    with pytest.raises(DataError, match="expected held-out payments by day"):
        DailyCosts(**(whole | changes))


@given(ROWS)
def test_halves_have_every_second_day(rows: list[tuple[bool, int, int, int]]) -> None:
    y, p, amount, day = columns(rows)
    kept, named = DailyCosts.of(y, p, amount, day), np.unique(day)
    even, odd = kept.halves()
    if len(named) < 2:
        assert (even, odd) == (kept, kept)
        return
    for half, days in ((even, named[::2]), (odd, named[1::2])):
        own = np.isin(day, days)
        assert half == DailyCosts.of(y[own], p[own], amount[own], day[own])
