from __future__ import annotations

import itertools
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shroff.errors import ConfigurationError, DataError
from shroff.evaluate import NEVER, Cost, choose_thresholds, cost_by_threshold, total_cost

Case = tuple[np.ndarray, np.ndarray, np.ndarray]

money = st.sampled_from([0.0, 0.5, 4.0, 15.0, 120.25])
costs = st.builds(Cost, review=money, missed=st.one_of(st.just("amount"), money), declined=money)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    row = st.tuples(
        st.booleans(), st.integers(0, 8), st.sampled_from([0.0, 1.25, 10.0, 99.5, 700.0])
    )
    y, eighths, amount = zip(*draw(st.lists(row, min_size=1, max_size=25)), strict=True)
    return np.array(y), np.array(eighths) / 8, np.array(amount)


def slow_total(y: np.ndarray, action: list[str], amount: np.ndarray, cost: Cost) -> float:
    total = 0.0
    for fraud, act, paid in zip(y, action, amount, strict=True):
        if act == "review":
            total += cost.number("review")
        elif act == "decline":
            total += 0.0 if fraud else cost.number("declined")
        elif fraud:
            total += paid if cost.missed == "amount" else cost.number("missed")
    return total


def slow_actions(p: np.ndarray, review_at: float, decline_at: float) -> list[str]:
    return ["decline" if x >= decline_at else "review" if x >= review_at else "approve" for x in p]


def test_costs_of_each_decision() -> None:
    action = np.array(["approve", "approve", "review", "review", "decline", "decline"])
    y, amount = (
        np.array([0, 1, 0, 1, 0, 1]),
        np.array([1.0, 20.0, 300.0, 4000.0, 50000.0, 600000.0]),
    )
    assert (
        total_cost(y, action, amount, Cost(review=4, missed="amount", declined=15))
        == 20 + 4 + 4 + 15
    )
    assert total_cost(y, action, amount, Cost(review=1, missed=7, declined=0)) == 7 + 1 + 1


@given(cases(), costs, st.randoms(use_true_random=False))
def test_total_cost_agrees_with_its_definition(case: Case, cost: Cost, random: Random) -> None:
    y, _, amount = case
    action = [random.choice(["approve", "review", "decline"]) for _ in y]
    assert total_cost(y, np.array(action), amount, cost) == pytest.approx(
        slow_total(y, action, amount, cost)
    )


@given(cases(), costs, st.one_of(st.none(), st.integers(0, 12)), st.sampled_from([0.5, 1.0, 2.0]))
@settings(max_examples=300)
def test_no_other_pair_within_the_capacity_costs_less(
    case: Case, cost: Cost, reviews_per_day: int | None, days: float
) -> None:
    y, p, amount = case
    chosen = choose_thresholds(y, p, amount, cost=cost, reviews_per_day=reviews_per_day, days=days)
    assert chosen.review_at <= chosen.decline_at
    action = slow_actions(p, chosen.review_at, chosen.decline_at)
    assert chosen.actions(p).tolist() == action
    assert (chosen.reviewed, chosen.declined) == (action.count("review"), action.count("decline"))
    assert chosen.total_cost == pytest.approx(slow_total(y, action, amount, cost))
    limit = len(p) if reviews_per_day is None else reviews_per_day * days
    assert chosen.reviewed <= limit
    for low, high in itertools.combinations_with_replacement(sorted({*p.tolist(), NEVER}), 2):
        other = slow_actions(p, low, high)
        if other.count("review") <= limit:
            assert slow_total(y, other, amount, cost) >= chosen.total_cost - 1e-9


def test_the_search_is_exact_over_many_distinct_probabilities() -> None:
    random = np.random.default_rng(3)
    p = random.random(150)
    y, amount = random.random(p.size) < p**2, random.gamma(2, 20, p.size)
    for limit in (0, 1, 7, 40, None):
        chosen = choose_thresholds(y, p, amount, cost=Cost(), reviews_per_day=limit)
        at = np.sort(np.append(p, NEVER))
        best = min(
            total_cost(y, action, amount, Cost())
            for low, high in itertools.combinations_with_replacement(at, 2)
            for action in [np.where(p >= high, "decline", np.where(p >= low, "review", "approve"))]
            if limit is None or (action == "review").sum() <= limit
        )
        assert chosen.total_cost == pytest.approx(best)


def test_a_full_review_queue_makes_declining_worthwhile() -> None:
    y, p = np.array([0, 1, 1, 0, 1, 1]), np.array([0.1, 0.3, 0.4, 0.5, 0.8, 0.9])
    amount, cost = np.full(6, 100.0), Cost(review=4, declined=15)
    free = choose_thresholds(y, p, amount, cost=cost)
    assert (free.review_at, free.decline_at, free.total_cost) == (0.3, 0.8, 12.0)
    tight = choose_thresholds(y, p, amount, cost=cost, reviews_per_day=1)
    assert (tight.review_at, tight.decline_at, tight.total_cost) == (0.3, 0.3, 15.0)


def test_nothing_is_touched_where_nothing_is_worth_it() -> None:
    y, p, amount = np.array([0, 1]), np.array([0.2, 1.0]), np.array([10.0, 3.0])
    chosen = choose_thresholds(y, p, amount, cost=Cost(missed=0.0))
    assert (chosen.review_at, chosen.decline_at, chosen.total_cost) == (NEVER, NEVER, 0.0)
    assert chosen.actions(p).tolist() == ["approve", "approve"]


def test_equal_probabilities_share_one_action() -> None:
    y, p = np.array([0, 1, 0, 1]), np.array([0.5, 0.5, 0.5, 0.5])
    chosen = choose_thresholds(
        y, p, np.full(4, 100.0), cost=Cost(review=4, declined=15), reviews_per_day=3
    )
    assert (chosen.reviewed, chosen.declined, chosen.total_cost) == (0, 4, 30.0)


@given(cases(), costs, st.integers(2, 30))
def test_the_table_tells_what_one_threshold_costs(case: Case, cost: Cost, points: int) -> None:
    y, p, amount = case
    table = cost_by_threshold(y, p, amount, cost=cost, points=points)
    assert 2 <= table.height <= points
    assert table["threshold"][0] == NEVER
    assert table["flagged"][-1] == y.size
    for threshold, flagged, frauds, if_reviewed, if_declined in table.iter_rows():
        at = p >= threshold
        assert (flagged, frauds) == (at.sum(), (at & y).sum())
        for action, expected in (("review", if_reviewed), ("decline", if_declined)):
            assert total_cost(y, np.where(at, action, "approve"), amount, cost) == pytest.approx(
                expected
            )


@pytest.mark.parametrize(
    "wrong",
    [
        {"review": -1},
        {"declined": float("nan")},
        {"missed": float("inf")},
        {"missed": " "},
        {"review": " "},
    ],
)
def test_impossible_costs_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="as a cost of 0 or more"):
        Cost(**wrong)


def test_unusable_arrays_are_refused() -> None:
    y, p, amount = np.array([0, 1]), np.array([0.1, 0.9]), np.array([1.0, 2.0])
    with pytest.raises(DataError, match="0 or more, got less in 1 of 2"):
        choose_thresholds(y, p, -amount * y, cost=Cost())
    with pytest.raises(DataError, match="finite numbers in `amount`"):
        choose_thresholds(y, p, np.array([1.0, np.nan]), cost=Cost())
    with pytest.raises(DataError, match="between 0 and 1"):
        choose_thresholds(y, p * 2, amount, cost=Cost())
    with pytest.raises(DataError, match="at least one payment"):
        cost_by_threshold(y[:0], p[:0], amount[:0], cost=Cost())
    with pytest.raises(DataError, match="`approve`, `review` and `decline`"):
        total_cost(y, np.array(["approve", "block"]), amount, Cost())
    with pytest.raises(DataError, match="`action` with one value"):
        total_cost(y, np.array(["approve"]), amount, Cost())


@pytest.mark.parametrize("wrong", [{"reviews_per_day": -1}, {"reviews_per_day": 5, "days": 0.0}])
def test_impossible_capacities_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="reviews a day"):
        choose_thresholds(
            np.array([0, 1]), np.array([0.1, 0.9]), np.array([1.0, 2.0]), cost=Cost(), **wrong
        )


def test_a_table_of_one_threshold_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="2 or more thresholds"):
        cost_by_threshold(
            np.array([0, 1]), np.array([0.1, 0.9]), np.array([1.0, 2.0]), cost=Cost(), points=1
        )
