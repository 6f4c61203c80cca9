"""The doctor finds figures that flatter: random splits, resampled parts, wrong probabilities, no
lift.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff.evaluate import RandomSplit, Split, TemporalSplit, expected_calibration_error, measure
from shroff.evaluate.doctor import (
    bound_calibration_error,
    check_calibration,
    check_flagged,
    check_frauds,
    check_labelling,
    check_lift,
    check_maturity,
    check_prevalence,
    check_recall,
    check_split,
)

N = 20_000
RNG = np.random.default_rng(0)
TIME = np.datetime64("2024-01-01") + np.sort(RNG.integers(0, 60 * 86_400, N)).astype(
    "timedelta64[s]"
)
P = RNG.beta(0.3, 20, N)
Y = RNG.random(N) < P
HALVES = Split(train=np.arange(N // 2), test=np.arange(N // 2, N))


def test_a_random_split_of_several_days_is_found() -> None:
    (found,) = check_split(RandomSplit(), TIME, Y)
    assert (found.check, "random:70/30" in found.sentence) == ("random_split", True)
    assert found.sentence.endswith("use `time:70/30`")
    assert check_split(RandomSplit(), TIME[:100], Y[:100]) == []
    assert check_split(TemporalSplit(date(2024, 1, 1), 30, 7, 20), TIME, Y) == []


def test_the_split_that_is_advised_is_one_that_the_log_allows() -> None:
    short = np.datetime64("2024-01-03") > TIME
    (found,) = check_split(RandomSplit(), TIME[short], Y[short])
    assert found.sentence.endswith("use `time:70/30,delay=0`")
    early = Y & (np.datetime64("2024-01-02") > TIME)
    (found,) = check_split(RandomSplit(), TIME, early)
    assert "allows no split in time" in found.sentence


def test_few_frauds_are_a_warning_that_says_what_figures_are_worth() -> None:
    y = np.arange(100) % 7 == 0
    assert check_frauds(Y, HALVES) == []
    (found,) = check_frauds(y, Split(train=np.arange(80), test=np.arange(80, 100)))
    assert (found.check, found.severity) == ("few_frauds", "warning")
    assert (
        "got 12 and 3: a recall measured on 3 frauds is uncertain by 37 points either way"
        in found.sentence
    )


def test_a_detector_that_catches_no_fraud_is_found_with_its_numbers() -> None:
    y, p = np.array([0] * 96 + [1] * 4), np.linspace(1, 0, 100)
    (found,) = check_recall("trees", measure(y, p, threshold=0.95))
    assert (found.check, found.severity) == ("no_recall", "failure")
    assert (
        "among 100 test payments, got none of 4 (recall 0) at a probability of 0.95 or more"
        in found.sentence
    )
    assert check_recall("trees", measure(y, p, threshold=0.0)) == []


def test_a_threshold_that_flags_everything_is_found() -> None:
    y = np.arange(1_000) % 100 == 0
    p = np.full(1_000, 0.01)
    (found,) = check_flagged("rules", measure(y, p, threshold=0.01))
    assert (found.check, found.severity) == ("flags_most", "warning")
    assert "got 1,000 of 1,000 test payments at a probability of 0.01 or more" in found.sentence
    assert check_flagged("rules", measure(y, np.where(y, 0.9, 0.01), threshold=0.9)) == []
    # of a filtered log most payments are frauds
    assert check_flagged("rules", measure(~y, p, threshold=0.01)) == []


def test_a_resampled_part_is_found() -> None:
    assert check_prevalence(Y, TIME, HALVES) == []
    thinned = HALVES.train[Y[HALVES.train] | (np.arange(N // 2) % 10 == 0)]
    (found,) = check_prevalence(Y, TIME, Split(train=thinned, test=HALVES.test))
    assert (found.check, found.severity, "training payments" in found.sentence) == (
        "prevalence",
        "failure",
        True,
    )
    doubled = np.sort(np.concatenate([HALVES.test, *[HALVES.test[Y[HALVES.test]]] * 20]))
    (found,) = check_prevalence(Y, TIME, Split(train=HALVES.train, test=doubled))
    assert "test payments" in found.sentence


def labelled(known: np.ndarray) -> list[tuple[str, str]]:
    """What is found where only these payments have a label."""
    half = int(known[: N // 2].sum())
    parts = Split(train=np.arange(half), test=np.arange(half, int(known.sum())))
    found = check_labelling(Y[known], TIME[known], TIME, parts)
    assert all(one.check == "uneven_labels" for one in found)
    return [(one.severity, one.sentence) for one in found]


def test_days_of_which_only_frauds_are_known_are_found() -> None:
    young = np.datetime64("2024-02-10") <= TIME
    cleared = np.arange(N) % 250 == 0  # the few that an analyst looked at
    ((severity, sentence),) = labelled(~young | Y | cleared)
    assert severity == "warning"
    assert "test days" in sentence
    assert "got 20 days from 2024-02-10 to 2024-02-29" in sentence
    assert float(sentence.partition("one, and ")[2].partition("%")[0]) > 50
    old = np.datetime64("2024-01-10") > TIME
    ((severity, sentence),) = labelled(~old | Y)
    assert (severity, "training days" in sentence) == ("failure", True)


@pytest.mark.parametrize(("maturity", "enough"), [(7, 21), (21, None), (30, None)])
def test_labels_that_come_after_the_maturity_are_found(maturity: int, enough: int | None) -> None:
    now, day = np.datetime64("2024-03-01T00:00:00", "us"), np.timedelta64(1, "D")
    mature = now - maturity * day >= TIME
    known = mature & (Y | (now - 21 * day > TIME))
    found = check_maturity(Y[known], TIME[known], TIME[mature], now)
    assert [one.severity for one in found] == ["warning"] * (enough is not None)
    assert all(f"(`shroff store create --maturity {enough}d`)" in one.sentence for one in found)


def test_labels_that_few_payments_have_alike_pass() -> None:
    sparse = np.arange(N) % 10 == 0
    late = np.datetime64("2024-02-10") <= TIME
    assert labelled(np.ones(N, bool)) == []
    assert labelled(sparse) == []  # no other days to compare with
    assert labelled(sparse | ~late) == []  # fewer labels, of frauds too
    last = np.datetime64("2024-02-29T12:00") <= TIME
    assert labelled(~last | Y) == []  # half a day changes no figure


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
    assert expected_calibration_error(rng.random(2_000) < p, p) < 1.5 * bound_calibration_error(p)


def test_a_score_no_better_than_the_amount_is_found() -> None:
    amount = RNG.lognormal(3, 1, N)
    y = RNG.random(N) < 0.02 + 0.2 * (amount > 100)
    noise = RNG.random(N)
    for useless in (noise, amount, amount + noise * 100):
        (found,) = check_lift("trees", y, useless, amount)
        assert found.check == "no_lift"
    assert check_lift("trees", y, amount * 0.1 + 50 * y * (noise > 0.5), amount) == []
    assert check_lift("trees", y, amount, -noise) == []
