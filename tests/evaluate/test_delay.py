"""The delays of reports: the product limit in reversed time, and totals that reports complete."""

from __future__ import annotations

import numpy as np
import pytest

from shroff.evaluate.delay import ReportingDelay

LONGEST = 45.0


def reported(seed: int, number: int = 4_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Delays and ages of all frauds, of which only those are known whose delay is over."""
    random = np.random.default_rng(seed)
    delay = np.minimum(random.gamma(2.0, 9.0, number), LONGEST)
    return delay, random.uniform(0.0, 90.0, number), delay <= 0


def test_the_distribution_is_found_though_long_delays_are_cut_off() -> None:
    delay, age, _ = reported(1)
    known = delay <= age
    found = ReportingDelay.of(delay[known], age[known], np.arange(known.sum()), longest=LONGEST)
    assert found is not None
    at = np.array([2.0, 5.0, 10.0, 20.0, 40.0, 60.0])
    truth = [(delay <= one).mean() for one in at]
    assert found.share(at) == pytest.approx(truth, abs=0.03)
    naive = [(delay[known] <= one).mean() for one in at[:4]]
    assert all(np.array(naive[2:]) > np.array(truth[2:4]) + 0.02), "what is known is the short ones"


def test_the_product_limit_is_the_formula() -> None:
    """By definition, over every distinct delay above d."""
    delay, age, _ = reported(3, 300)
    known = delay <= age
    d, a = np.round(delay[known]), np.floor(age[known])
    usable = d <= a
    d, a = d[usable], a[usable]
    found = ReportingDelay.of(d, a, np.arange(len(d)), longest=LONGEST)
    assert found is not None
    for at in (1.0, 7.0, 30.0):
        share = 1.0
        for u in {*d[d > at].tolist()}:
            risk = ((d <= u) & (np.minimum(a, LONGEST) >= u)).sum()
            share *= 1.0 - (d == u).sum() / risk
        assert found.share(np.array([at]))[0] == pytest.approx(share)


def test_the_intervals_of_totals_hold_the_truth() -> None:
    held, runs = 0, 100
    for seed in range(runs):
        delay, age, _ = reported(seed, 1_500)
        known = delay <= age
        card = np.arange(1_500) // 2
        found = ReportingDelay.of(delay[known], age[known], card[known], longest=LONGEST)
        assert found is not None
        young = (age >= found.youngest()) & (age < 30.0)
        rows = young & known
        whole = found.whole(np.ones(rows.sum()), age[rows], card[rows])
        assert whole.low >= rows.sum()
        held += whole.low <= young.sum() <= whole.high
    assert held >= 93


def test_quick_reports_hold_the_truth_too() -> None:
    """Of reviews all but the last days are known, and the few reports of these decide."""
    held, runs = 0, 100
    for seed in range(runs):
        random = np.random.default_rng(seed)
        delay, age = random.gamma(2.0, 0.7, 1_500), random.uniform(0.0, 90.0, 1_500)
        known = delay <= age
        card = np.arange(known.sum())
        found = ReportingDelay.of(delay[known], age[known], card, longest=LONGEST)
        assert found is not None
        young = (age >= found.youngest()) & (age < 31.0)
        whole = found.whole(np.ones((young & known).sum()), age[young & known], card[young[known]])
        held += whole.low <= young.sum() <= whole.high
    assert held >= 90


def test_too_few_old_frauds_estimate_nothing() -> None:
    few = np.full(19, 3.0)
    assert ReportingDelay.of(few, few + 60.0, np.arange(19), longest=LONGEST) is None
