"""The doctor finds figures that flatter: random splits, resampled parts, wrong probabilities, no lift."""

from __future__ import annotations

from datetime import date

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shroff.evaluate import RandomSplit, Split, TemporalSplit, expected_calibration_error
from shroff.evaluate.doctor import calibration_bound, check_calibration, check_lift, check_prevalence, check_split

N = 20_000
RNG = np.random.default_rng(0)
TIME = np.datetime64("2024-01-01") + np.sort(RNG.integers(0, 60 * 86_400, N)).astype("timedelta64[s]")
P = RNG.beta(0.3, 20, N)
Y = RNG.random(N) < P
HALVES = Split(train=np.arange(N // 2), test=np.arange(N // 2, N))


def test_a_random_split_of_several_days_is_found() -> None:
    (found,) = check_split(RandomSplit(), TIME)
    assert (found.check, "random:70/30" in found.sentence) == ("random_split", True)
    assert check_split(RandomSplit(), TIME[:100]) == []
    assert check_split(TemporalSplit(date(2024, 1, 1), 30, 7, 20), TIME) == []


def test_a_resampled_part_is_found() -> None:
    assert check_prevalence(Y, TIME, HALVES) == []
    thinned = HALVES.train[Y[HALVES.train] | (np.arange(N // 2) % 10 == 0)]
    (found,) = check_prevalence(Y, TIME, Split(train=thinned, test=HALVES.test))
    assert (found.check, found.severity, "training payments" in found.sentence) == ("prevalence", "failure", True)
    doubled = np.sort(np.concatenate([HALVES.test, *[HALVES.test[Y[HALVES.test]]] * 20]))
    (found,) = check_prevalence(Y, TIME, Split(train=HALVES.train, test=doubled))
    assert "test payments" in found.sentence


def test_a_balanced_table_is_a_warning() -> None:
    (found,) = check_prevalence(np.arange(N) % 2 == 0, TIME, HALVES)
    assert (found.severity, "50%" in found.sentence) == ("warning", True)


def test_wrong_probabilities_are_found_and_right_ones_pass() -> None:
    assert check_calibration("trees", Y, P) == []
    balanced = P * 50 / (P * 50 + 1 - P)
    (found,) = check_calibration("trees", Y, balanced)
    assert (found.check, found.severity) == ("calibration", "failure")
    (drifted,) = check_calibration("trees", Y, np.minimum(P * 1.5, 1.0))
    assert drifted.severity == "warning"


@given(st.integers(0, 10_000))
def test_right_probabilities_stay_below_the_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.beta(0.5, 5, 2_000)
    # 1 in 100 may lie above: far above would be a wrong bound
    assert expected_calibration_error(rng.random(2_000) < p, p) < 1.5 * calibration_bound(p)


def test_a_score_no_better_than_the_amount_is_found() -> None:
    amount = RNG.lognormal(3, 1, N)
    y = RNG.random(N) < 0.02 + 0.2 * (amount > 100)
    noise = RNG.random(N)
    for useless in (noise, amount, amount + noise * 100):
        (found,) = check_lift("trees", y, useless, amount)
        assert found.check == "no_lift"
    assert check_lift("trees", y, amount * 0.1 + 50 * y * (noise > 0.5), amount) == []
    assert check_lift("trees", y, amount, -noise) == []
