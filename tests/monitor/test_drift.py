"""Alarms: none without a drift, and soon with one."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.monitor import Planted, delays, false_alarms, first_alarm, half_year

from shroff.evaluate.reference import WEEK, BinCounts, Bins, Distribution
from shroff.monitor.budget import FALSE_ALARMS
from shroff.monitor.drift import Counted, find_drift, intervals, stability_index

MONDAY = 20_787
"""2026-11-30, in days since the epoch."""


def share_of(share: float, size: int) -> BinCounts:
    """Cards of which a share has the name."""
    named = round(share * size)
    return BinCounts((named, size - named), 0, size)


def column(size: int = 1_000_000) -> Distribution:
    """A name that half of the cards have, each counted once."""
    return Distribution(Bins(name="x", names=("a",)), {WEEK: share_of(0.5, size)})


def test_half_years_without_a_drift_have_hardly_an_alarm_though_nothing_is_tolerated() -> None:
    # promised is 1 of 20: more than 3 of 12 come by chance in 2 of 1,000 cases
    assert false_alarms(range(12), cards=100)[0.0] <= 3


def test_a_planted_drift_is_found_within_weeks() -> None:
    found = delays(range(2), cards=1_000, planted=Planted(turned=0.3))
    assert all(day is not None and 0 < day <= 21 for day in found), found
    assert first_alarm(half_year(0, cards=1_000), tolerance=0.1) is None


@pytest.mark.parametrize(("share", "alarm"), [(0.54, False), (0.56, True), (0.44, True)])
def test_an_alarm_needs_more_than_is_tolerated(share: float, alarm: bool) -> None:
    # of 0.5, Cohen's h is 0.08 and 0.12
    window = Counted(WEEK, MONDAY, share_of(share, 1_000_000))
    found = find_drift(column(), [window], budget=FALSE_ALARMS)
    assert (found.last is not None) == alarm
    assert found.sounded == (MONDAY + 7 if alarm else None)


def test_few_cards_prove_nothing() -> None:
    windows = [Counted(WEEK, MONDAY + 7 * week, share_of(1.0, 3)) for week in range(26)]
    assert find_drift(column(), windows, budget=FALSE_ALARMS / 30).last is None
    unsure = find_drift(
        column(size=6), [Counted(WEEK, MONDAY, share_of(0.9, 10_000))], budget=FALSE_ALARMS / 30
    )
    assert unsure.last is None


def test_each_look_is_more_careful_than_the_one_before() -> None:
    """As many cards sound an alarm at the first look, and not at the thousandth."""
    moved = share_of(0.65, 300)
    once = find_drift(column(), [Counted(WEEK, MONDAY, moved)], budget=FALSE_ALARMS)
    usual = [Counted(WEEK, MONDAY + 7 * week, share_of(0.5, 300)) for week in range(1_000)]
    late = find_drift(column(), [*usual, Counted(WEEK, MONDAY + 7_000, moved)], budget=FALSE_ALARMS)
    assert once.last is not None
    assert late.last is None


def test_the_first_and_the_last_alarm_are_kept() -> None:
    shares = [0.5, 0.7, 0.5, 0.8, 0.5]
    windows = [
        Counted(WEEK, MONDAY + 7 * week, share_of(share, 100_000))
        for week, share in enumerate(shares)
    ]
    found = find_drift(column(), windows, budget=FALSE_ALARMS)
    assert found.first is not None
    assert found.last is not None
    assert (found.last.since - found.first.since).days == 14
    assert found.last.sentence == (
        "`x` was a for 80.0 % of cards in the week from 2026-12-21, and for 50.0 % in training"
    )
    assert found.windows == 5


def test_a_day_that_training_never_saw_is_not_compared() -> None:
    assert (
        find_drift(
            column(), [Counted("Sun", 3, share_of(1.0, 10_000))], budget=FALSE_ALARMS
        ).windows
        == 0
    )


def test_intervals_hold_their_promise() -> None:
    """Both intervals of a share leave it out in at most as many draws as they may."""
    chance, bins = np.random.default_rng(3), Bins(name="x", names=("a",))
    left_out = 0
    for _ in range(1_000):
        drawn = share_of(chance.binomial(60, 0.08) / 60, 60)
        low, _share, high = intervals(drawn, bins, 0.1)[:, 0]
        left_out += not low <= 0.08 <= high
    assert left_out <= 130  # 100 in the mean; more in 1 of 1,000 such tests


def test_the_index_of_equal_shares_is_zero_and_of_empty_bins_finite() -> None:
    assert stability_index(BinCounts((50, 50)), BinCounts((500, 500))) == pytest.approx(0, abs=1e-4)
    assert stability_index(BinCounts((100, 0)), BinCounts((0, 100))) < 11
