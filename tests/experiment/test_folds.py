"""Validation folds: later than what is learned from, with the delay between, or at random by whole
cards.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff.errors import DataError
from shroff.evaluate import RandomSplit, TemporalSplit
from shroff.experiment.folds import MIN_TIME_FOLD_FRAUDS, Folds, choose_folds, grouped

START = np.datetime64("2024-01-01T00:00:00", "us")
DAY = np.timedelta64(1, "D")
SPLIT = TemporalSplit(date(2024, 1, 1), train_days=60, delay_days=7, test_days=30)


def spread(rows: int, days: int) -> np.ndarray:
    """Times of so many payments, spread evenly over so many days."""
    return START + (np.arange(rows) * (days * 86_400_000_000 // rows)).astype("timedelta64[us]")


def test_folds_in_time_judge_what_is_later_by_the_delay() -> None:
    time, y = spread(6_000, 60), np.arange(6_000) % 50 == 0
    folds = choose_folds(SPLIT, time, y, np.arange(6_000) % 99)
    assert (folds.in_time, folds.how) == (True, "3 folds in time")
    judged = np.concatenate([hold for _, hold in folds])
    assert len(judged) == len(set(judged)) > 1_700
    for learn, hold in folds:
        assert time[hold].min() - time[learn].max() >= SPLIT.delay_days * DAY
        assert time[learn].min() == START


@pytest.mark.parametrize("frauds", [2, MIN_TIME_FOLD_FRAUDS - 1])
def test_too_few_frauds_later_on_are_dealt_at_random_and_said_so(frauds: int) -> None:
    time, y = spread(6_000, 60), np.zeros(6_000, dtype=np.bool_)
    y[np.linspace(0, 5_999, frauds).astype(int)] = True
    folds = choose_folds(SPLIT, time, y)
    assert not folds.in_time
    assert folds.how.endswith(
        "random folds, because the training days or their frauds are too few for folds in time"
    )
    assert sorted(np.concatenate([hold for _, hold in folds])) == list(range(6_000))


def test_few_days_get_fewer_folds_before_none_in_time() -> None:
    split = TemporalSplit(date(2024, 1, 1), train_days=4, delay_days=1, test_days=1)
    time, y = spread(4_000, 4), np.arange(4_000) % 20 == 0
    assert choose_folds(split, time, y).how == "1 fold in time"


def test_every_fold_has_enough_to_learn_from() -> None:
    """The first five weeks have two frauds: no fold may learn from them alone where a detector
    needs more.
    """
    time, y = spread(6_000, 60), np.arange(6_000) % 20 == 0
    y[:3_500] = False
    y[[3, 700]] = True
    few, more = choose_folds(SPLIT, time, y, least=2), choose_folds(SPLIT, time, y, least=3)
    assert few.in_time
    assert all(y[learn].sum() >= 3 for learn, _ in more)
    assert (more.in_time, more.how) != (few.in_time, few.how)


def test_a_random_split_deals_whole_cards() -> None:
    cards = np.arange(3_000) % 100
    y = (cards % 10 == 0) & (np.arange(3_000) % 3 == 0)
    folds = choose_folds(RandomSplit(), spread(3_000, 9), y, cards)
    assert folds.how == "3 folds of whole cards at random"
    for learn, hold in folds:
        assert not set(cards[learn]) & set(cards[hold])


def test_two_cards_are_too_few_to_be_dealt() -> None:
    cards, y = np.arange(60) % 2, np.arange(60) % 4 == 0
    assert choose_folds(RandomSplit(), spread(60, 9), y, cards).how == "3 random folds"
    with pytest.raises(DataError, match="at least 2 frauds"):
        choose_folds(RandomSplit(), spread(60, 9), np.arange(60) == 7)


@given(
    cards=st.lists(st.integers(-1, 12), min_size=12, max_size=200),
    folds=st.integers(2, 4),
    seed=st.integers(0, 3),
)
def test_whole_cards_are_dealt_once_each_and_evenly(
    cards: list[int], folds: int, seed: int
) -> None:
    card = np.array(cards)
    y = np.arange(len(card)) % 3 == 0
    dealt = Folds(grouped(y, card, folds, seed=seed), False, "")
    assert sorted(np.concatenate([hold for _, hold in dealt])) == list(range(len(card)))
    for learn, hold in dealt:
        assert not set(card[learn][card[learn] >= 0]) & set(card[hold])
    frauds = [int(y[hold].sum()) for _, hold in dealt]
    alone = int(max((np.bincount(card[card >= 0], y[card >= 0]).max(initial=0), 1)))
    assert max(frauds) - min(frauds) <= 2 * alone
