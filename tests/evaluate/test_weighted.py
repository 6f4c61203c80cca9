"""Weighted shares agree with the exact interval where weights are equal, and hold for few."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from shroff.evaluate.weighted import by_card, weighted_share


def test_equal_weights_of_many_cards_give_the_exact_interval() -> None:
    hit = np.arange(4_000) < 400
    found = weighted_share(hit, np.full(4_000, 7.0), np.arange(4_000))
    assert found is not None
    assert found.value == pytest.approx(0.1)
    assert found.low == pytest.approx(beta.ppf(0.025, 400, 3_601), abs=1e-4)
    assert found.high == pytest.approx(beta.ppf(0.975, 401, 3_600), abs=1e-4)


def test_payments_of_one_card_say_less() -> None:
    hit, weight = np.arange(400) < 40, np.full(400, 7.0)
    apart = weighted_share(hit, weight, np.arange(400))
    together = weighted_share(hit, weight, np.arange(400) // 10)
    alone = weighted_share(hit, weight, np.full(400, -1))
    assert apart is not None
    assert together is not None
    assert alone == apart, "payments of nobody are nobody else's"
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_no_hit_and_no_payment() -> None:
    none = weighted_share(np.zeros(10, bool), np.ones(10), np.arange(10))
    assert none is not None
    assert (none.value, none.low) == (0.0, 0.0)
    assert 0.2 < none.high < 0.5
    assert weighted_share(np.zeros(0, bool), np.zeros(0), np.zeros(0, int)) is None


def test_sums_of_cards() -> None:
    values = np.array([[1.0], [2.0], [4.0], [8.0]])
    found = by_card(values, np.array([5, -1, 5, -1]))[:, 0]
    assert sorted(found.tolist()) == [2.0, 5.0, 8.0]
    assert by_card(np.zeros((0, 2)), np.zeros(0, int)).shape == (0, 2)


def test_few_payments_hold_the_truth() -> None:
    """Poisson samples of a population with unequal propensities, 30 payments each."""
    random, held, runs = np.random.default_rng(2), 0, 300
    for _ in range(runs):
        chance = random.uniform(0.02, 0.2, 300)
        fraud = random.random(300) < 0.8 - chance
        seen = random.random(300) < chance
        found = weighted_share(fraud[seen], 1.0 / chance[seen], np.arange(300)[seen])
        held += found is not None and found.low <= fraud.mean() <= found.high
    assert held >= 0.93 * runs
