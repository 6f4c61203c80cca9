"""The cheapest action for each payment: the same as trying them all, and as solving for p."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff import Challenge, Cost
from shroff.errors import ConfigurationError
from shroff.evaluate import choose_thresholds, total_cost
from shroff.evaluate.cost import ACTIONS, realised_costs
from shroff.evaluate.expected import ExpectedCosts, cheapest_actions, gain_of_review, weigh

money = st.sampled_from([0.0, 0.01, 4.0, 15.0, 120.25, 1e14])
shares = st.sampled_from([0.0, 0.05, 0.5, 1.0])
challenges = st.builds(Challenge, passed=shares, abandoned=shares, liable=shares, cost=money)
costs = st.builds(Cost, review=money, miss_rate=shares, challenge=st.none() | challenges)
probabilities = st.floats(0, 1) | st.sampled_from([0.0, 1e-300, 0.5, 1.0])


def slow_costs(
    p: float, missed: float, declined: float, cost: Cost, price: float
) -> dict[str, float]:
    """Each action's cost if the payment is a fraud and if it is not, weighed by their chances."""
    paid = cost.number("review")
    found = {
        "approve": (missed, 0.0),
        "review": (paid + cost.miss_rate * missed, paid),
        "decline": (0.0, declined),
    }
    if (one := cost.challenge) is not None:
        found["challenge"] = (
            one.cost + one.passed * one.liable * missed,
            one.cost + one.abandoned * declined,
        )
    return {
        name: p * fraud + (1 - p) * genuine + (price if name == "review" else 0.0)
        for name, (fraud, genuine) in found.items()
    }


def told(found: ExpectedCosts) -> dict[str, float]:
    return {name: getattr(found, name) for name in ACTIONS if getattr(found, name) is not None}


@given(probabilities, money, money, costs, money)
def test_no_action_costs_less_than_the_one_taken(
    p: float, missed: float, declined: float, cost: Cost, price: float
) -> None:
    found = weigh(p, missed, declined, cost, price)
    slow = slow_costs(p, missed, declined, cost, price)
    assert told(found) == pytest.approx(slow, rel=1e-12, abs=1e-12)
    assert getattr(found, found.cheapest) == min(told(found).values())
    cheaper = ACTIONS[: ACTIONS.index(found.cheapest)]
    assert all(told(found)[name] > told(found)[found.cheapest] for name in cheaper if name in slow)


@given(st.lists(st.tuples(probabilities, money, money), min_size=1, max_size=30), costs, money)
def test_columns_are_decided_as_single_payments_are(
    rows: list[tuple[float, float, float]], cost: Cost, price: float
) -> None:
    p, missed, declined = (np.array(column) for column in zip(*rows, strict=True))
    one_by_one = [weigh(*row, cost, price).cheapest for row in rows]
    assert cheapest_actions(p, missed, declined, cost, price).tolist() == one_by_one
    gain = gain_of_review(p, missed, declined, cost)
    for at, row in enumerate(rows):
        others = [value for name, value in told(weigh(*row, cost, 0)).items() if name != "review"]
        assert gain[at] == min(others) - weigh(*row, cost, 0).review


@given(money, money, costs)
def test_what_was_paid_is_what_is_expected_of_a_known_payment(
    missed: float, declined: float, cost: Cost
) -> None:
    for fraud, action in itertools.product((True, False), told(weigh(0, 1, 1, cost, 0))):
        (paid,) = realised_costs(
            np.array([fraud]), np.array([action]), np.array([missed]), np.array([declined]), cost
        )
        assert paid == told(weigh(float(fraud), missed, declined, cost, 0.0))[action]


@pytest.mark.parametrize("amount", [6.0, 30.0, 250.0])
def test_the_cuts_of_an_amount_are_where_the_formula_says(amount: float) -> None:
    """Review from p = r / L, decline from p = 1 - r / D: Elkan's cuts with a third action."""
    cost = Cost(review=4.0, declined=15.0)
    p = np.arange(1, 10_000) / 10_000
    action = cheapest_actions(p, np.full(len(p), amount), np.full(len(p), 15.0), cost, 0.0)
    review, decline = 4 / amount, 1 - 4 / 15
    if review > decline:  # no review pays: declining does from D / (L + D)
        review = decline = 15 / (amount + 15)
    expected = np.where(p > decline, "decline", np.where(p > review, "review", "approve"))
    near = (np.abs(p - review) < 1e-9) | (np.abs(p - decline) < 1e-9)
    assert (action == expected)[~near].all()


def test_on_calibrated_scores_it_costs_less_than_any_pair_of_thresholds() -> None:
    random = np.random.default_rng(4)
    n = 100_000
    p, amount = random.beta(0.15, 8.0, n), random.lognormal(3.5, 1.2, n)
    y = random.random(n) < p
    cost = Cost(review=4.0, declined=15.0)
    action = cheapest_actions(p, amount, cost.of_declined(amount), cost, 0.0)
    pair = choose_thresholds(y, p, amount, cost=cost)
    assert total_cost(y, action, amount, cost) < 0.9 * pair.total_cost


def test_a_challenge_takes_what_lies_between() -> None:
    cost = Cost(
        review=9.0, declined=40.0, challenge=Challenge(passed=0.1, abandoned=0.05, liable=0.5)
    )
    assert [weigh(p, 100.0, 40.0, cost, 0.0).cheapest for p in (0.01, 0.3, 0.95)] == [
        "approve",
        "challenge",
        "decline",
    ]
    assert weigh(0.3, 100.0, 40.0, Cost(review=9.0, declined=40.0), 0.0).cheapest == "review"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Challenge(passed=1.5, abandoned=0.0),
        lambda: Challenge(passed=0.1, abandoned=-0.1),
        lambda: Challenge(passed=0.1, abandoned=0.1, liable=float("nan")),
        lambda: Challenge(passed="x", abandoned=0.1),  # type: ignore[arg-type]  # is the test
        lambda: Cost(miss_rate=2.0),
        lambda: Cost(miss_rate=float("nan")),
    ],
)
def test_what_is_no_share_is_refused(make: Any) -> None:
    with pytest.raises(ConfigurationError, match="expected a share from 0 to 1"):
        make()


def test_expressions_are_no_numbers() -> None:
    cost = Cost(missed="0.3 * amount", declined="margin")
    assert cost.expressions == {"missed": "0.3 * amount", "declined": "margin"}
    assert Cost().expressions == {}
    with pytest.raises(ConfigurationError, match="only amounts are known, got a SQL"):
        cost.of_missed(np.ones(2))
