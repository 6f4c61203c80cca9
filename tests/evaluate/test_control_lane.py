"""The propensities of a control lane, and what they put at stake on held-out days."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff import Cost
from shroff.errors import ConfigurationError
from shroff.evaluate import DailyCosts
from shroff.evaluate.control_lane import plan, propensities, propensity
from shroff.evaluate.expected import MAX_COST

losses = st.floats(0.0, 1e9)
N, DAYS = 20_000, 25


@given(st.lists(losses, min_size=1, max_size=20), st.floats(1e-4, 0.5), st.floats(1e-6, 1e9))
def test_a_column_has_the_bits_of_single_payments(
    several: list[float], share: float, full: float
) -> None:
    found = propensities(np.array(several), share, full).tolist()
    assert found == [propensity(one, share, full) for one in several]
    assert all(0.0 < one <= share for one in found)
    ranked = [chance for _, chance in sorted(zip(several, found, strict=True))]
    assert ranked == sorted(ranked, reverse=True), "falls with the loss"


@pytest.fixture(scope="module")
def daily() -> DailyCosts:
    random = np.random.default_rng(5)
    p, amount = random.beta(0.4, 2.0, N), random.lognormal(4.0, 1.0, N)
    return DailyCosts.of(random.random(N) < p, p, amount, np.arange(N) % DAYS, share=0.5)


def test_the_plan_keeps_to_the_budget_when_payments_are_drawn(daily: DailyCosts) -> None:
    cost, budget, share = Cost(), 3_000.0, 0.3
    p, amount = daily.column("probability"), daily.column("amount")
    eligible = p > 0.3
    full = plan(daily, cost, eligible, money_per_day=budget, share=share, reviewed=False)
    assert 0 < full < float((p * amount).max())
    random, over = np.random.default_rng(1), []
    chance = propensities(p * amount, share, full)
    many = (daily.column("payments") / daily.share).round().astype(int)
    for _ in range(40):
        taken = np.where(eligible & (amount <= budget), random.binomial(many, chance), 0)
        at_stake = np.bincount(daily.column("day").astype(int), taken * amount, DAYS)
        over.append(np.mean(at_stake > budget))
    assert 0 < np.mean(over) < 0.05, "seldom reached, and not for being far too low"
    dearer = plan(daily, cost, eligible, money_per_day=2 * budget, share=share, reviewed=False)
    assert dearer > full


def test_what_is_cheap_has_the_whole_share(daily: DailyCosts) -> None:
    cost, everything = Cost(review=1.0, miss_rate=0.0), np.ones(len(daily.column("day")), bool)
    assert plan(daily, cost, everything, money_per_day=1e9, share=0.1, reviewed=True) == MAX_COST
    nothing = np.zeros_like(everything)
    assert plan(daily, cost, nothing, money_per_day=1.0, share=0.1, reviewed=False) == MAX_COST
    with pytest.raises(ConfigurationError, match="more than any one payment puts at stake"):
        plan(daily, cost, everything, money_per_day=0.5, share=0.1, reviewed=True)
