from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shroff.errors import ConfigurationError, DataError
from shroff.evaluate import LatestSplit, RandomSplit, Split, TemporalSplit, parse_split

START = date(2018, 7, 25)


def instants(times: Sequence[datetime]) -> np.ndarray:
    return np.array(
        [time.astimezone(ZoneInfo("UTC")).replace(tzinfo=None) for time in times], "datetime64[us]"
    )


def noons(days: Sequence[int] | np.ndarray) -> np.ndarray:
    return (
        np.datetime64(START, "us")
        + np.array(days) * np.timedelta64(1, "D")
        + np.timedelta64(12, "h")
    )


# at random


@given(
    frauds=st.integers(2, 60),
    genuine=st.integers(2, 300),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 5),
)
def test_random_parts_partition_the_rows_and_keep_the_share_of_each_class(
    frauds: int, genuine: int, share: float, seed: int
) -> None:
    y = np.random.default_rng(seed).permutation(np.repeat([1, 0], [frauds, genuine]))
    split = RandomSplit(test=share, seed=seed).rows(y)
    assert sorted([*split.train, *split.test]) == list(range(y.size))
    for part in (split.train, split.test):
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()
        assert set(y[part]) == {0, 1}
    for size, label in ((frauds, 1), (genuine, 0)):
        drawn = (y[split.test] == label).sum()
        assert abs(drawn - size * share) <= 1


def test_a_seed_fixes_the_draw_and_another_seed_changes_it() -> None:
    y = np.repeat([0, 1], 50)
    first, again, other = (RandomSplit(seed=seed).rows(y).test for seed in (1, 1, 2))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_the_draw_does_not_follow_the_order_of_rows() -> None:
    test = RandomSplit(test=0.3).rows(np.repeat([0, 1], 500)).test
    assert 0.4 < test[test < 500].mean() / 500 < 0.6


@pytest.mark.parametrize("y", [[0, 0, 0], [1, 1, 1], [0, 0, 1], []])
def test_random_refuses_labels_that_cannot_fill_both_parts(y: list[int]) -> None:
    with pytest.raises(ConfigurationError, match="at least two"):
        RandomSplit().rows(np.array(y, dtype=np.int8))


@pytest.mark.parametrize(
    "y", [np.array([0, 1, 2]), np.array([0.0, 1.0, np.nan]), np.array([0, 1, None], dtype=object)]
)
def test_labels_other_than_0_and_1_are_refused(y: np.ndarray) -> None:
    with pytest.raises(DataError, match="labels 0 or 1"):
        RandomSplit().rows(y)


# in time


@st.composite
def payments(draw: st.DrawFn) -> tuple[TemporalSplit, list[tuple[int, int, int]]]:
    train, delay, test = draw(st.integers(1, 4)), draw(st.integers(0, 4)), draw(st.integers(1, 6))
    day = st.integers(-3, train + delay + test + 2)
    rows = draw(
        st.lists(st.tuples(day, st.integers(0, 5), st.integers(0, 1)), min_size=1, max_size=60)
    )
    last = train + delay + test - 1
    anchors = [
        (0, 90, 0),
        (0, 91, 1),
        (last, 92, 0),
        (last, 93, 1),
    ]  # so that neither part lacks a class
    return TemporalSplit(START, train, delay, test, known_cards="drop"), draw(
        st.permutations(rows + anchors)
    )


def slow_split(
    split: TemporalSplit, rows: list[tuple[int, int, int]]
) -> tuple[list[int], list[int]]:
    """The protocol word for word, one day after the other."""
    train = [i for i, (day, _, _) in enumerate(rows) if 0 <= day < split.train_days]
    known = {rows[i][1] for i in train if rows[i][2]}
    test: list[int] = []
    for k in range(split.test_days):
        known |= {card for day, card, fraud in rows if fraud and day == split.train_days + k - 1}
        today = split.train_days + split.delay_days + k
        test += [i for i, (day, card, _) in enumerate(rows) if day == today and card not in known]
    return train, sorted(test)


def split_or_none(split: TemporalSplit, *arrays: np.ndarray) -> Split | None:
    try:
        return split.rows(*arrays)
    except ConfigurationError:
        return None


@given(payments())
@settings(max_examples=400)
def test_days_and_known_cards_follow_the_protocol(
    case: tuple[TemporalSplit, list[tuple[int, int, int]]],
) -> None:
    split, rows = case
    day, card, y = (np.array(column) for column in zip(*rows, strict=True))
    train, test = slow_split(split, rows)
    found = split.rows(noons(day), y, card)
    assert (found.train.tolist(), found.test.tolist()) == (train, test)


@given(payments())
def test_names_of_cards_do_not_matter(
    case: tuple[TemporalSplit, list[tuple[int, int, int]]],
) -> None:
    split, rows = case
    day, card, y = (np.array(column) for column in zip(*rows, strict=True))
    named = np.array([f"card {9 - number}" for number in card], dtype=object)
    found, again = split.rows(noons(day), y, card), split.rows(noons(day), y, named)
    assert found.test.tolist() == again.test.tolist()


def test_a_known_card_is_dropped_and_an_unknown_one_and_a_missing_one_stay() -> None:
    day = [0, 0, 0, 2, 2, 2, 2]
    card = np.array(["known", "other", None, "known", "other", "other", None], dtype=object)
    y = np.array([1, 0, 1, 1, 0, 1, 0])
    split = TemporalSplit(START, train_days=1, delay_days=1, test_days=1, known_cards="drop")
    found = split.rows(noons(day), y, card)
    assert (found.test.tolist(), found.known_cards.tolist()) == ([4, 5, 6], [3])
    with pytest.raises(ConfigurationError, match=r"got none: set Project\(card=…\)"):
        split.rows(noons(day), y)
    kept = replace(split, known_cards="keep").rows(noons(day), y, card)
    assert (kept.test.tolist(), kept.known_cards.tolist()) == ([3, 4, 5, 6], [])


@given(payments(), st.booleans())
def test_every_payment_is_in_one_part_or_left_out_for_one_reason(
    case: tuple[TemporalSplit, list[tuple[int, int, int]]], drop: bool
) -> None:
    split, rows = case
    day, card, y = (np.array(column) for column in zip(*rows, strict=True))
    found = replace(split, known_cards="drop" if drop else "keep").rows(noons(day), y, card)
    everywhere = [found.train, found.test, *found.left_out.values()]
    assert sorted(np.concatenate(everywhere).tolist()) == list(range(len(rows)))
    assert all(part.size for part in everywhere)
    assert set(found.left_out) <= {"before", "delay", "after", *(["known_cards"] if drop else [])}
    first = split.train_days + split.delay_days
    inside = {"before": (-9, 0), "delay": (split.train_days, first), "after": (split._days, 99)}
    for reason, (start, stop) in inside.items():
        assert (
            found.left_out.get(reason, np.array([], int)).tolist()
            == np.flatnonzero((day >= start) & (day < stop)).tolist()
        )


def test_a_card_becomes_known_once_its_label_could_have_come_in() -> None:
    split = TemporalSplit(START, train_days=1, delay_days=1, test_days=3, known_cards="drop")
    day, y = [0, 0, 1, 2, 2, 2, 3, 4], np.array([1, 0, 1, 0, 0, 1, 0, 0])
    card = np.array([9, 9, 1, 1, 2, 2, 1, 2])
    # the fraud of day 1 is known from day 3 on, the one of day 2 from day 4 on
    assert split.rows(noons(day), y, card).test.tolist() == [3, 4, 5]


@pytest.mark.parametrize(
    "zone", ["Europe/Zurich", "America/Sao_Paulo", "Asia/Kolkata", "Pacific/Apia", "UTC"]
)
@given(minutes=st.lists(st.integers(0, 40 * 1440), min_size=1, max_size=50), april=st.booleans())
@settings(max_examples=50)
def test_days_are_calendar_days_of_the_zone(zone: str, minutes: list[int], april: bool) -> None:
    start = date(2018, 3, 5) if april else date(2018, 10, 8)
    utc = datetime(start.year, start.month, start.day, tzinfo=ZoneInfo("UTC"))
    times = [utc + timedelta(minutes=minute) for minute in minutes for _ in "gf"]
    split = TemporalSplit(start, train_days=9, delay_days=2, test_days=20, zone=zone)
    local = [(time.astimezone(ZoneInfo(zone)).date() - start).days for time in times]
    found = split_or_none(split, instants(times), np.array([0, 1] * len(minutes)))
    train = [i for i, day in enumerate(local) if 0 <= day < 9]
    test = [i for i, day in enumerate(local) if 11 <= day < 31]
    assert (found is not None) == bool(train and test)
    if found is not None:
        assert (found.train.tolist(), found.test.tolist()) == (train, test)


def test_an_empty_part_is_refused_with_the_dates_of_the_data() -> None:
    split = TemporalSplit(START, 7, 7, 7)
    with pytest.raises(
        ConfigurationError, match=r"2018-08-08 to 2018-08-14.*covers 2018-07-25 to 2018-07-28"
    ):
        split.rows(noons([0, 1, 3]), np.array([0, 1, 0]))
    with pytest.raises(
        ConfigurationError, match=r"training days 2018-07-25 .*no fraud and no genuine payment"
    ):
        split.rows(noons([40, 41]), np.array([0, 1]))
    with pytest.raises(ConfigurationError, match="the data is empty"):
        split.rows(noons([]), np.array([], dtype=np.bool_))


def test_a_part_of_one_class_is_refused() -> None:
    split = TemporalSplit(START, 1, 0, 1)
    with pytest.raises(ConfigurationError, match=r"test days 2018-07-26 to 2018-07-26 .*no fraud;"):
        split.rows(noons([0, 0, 1]), np.array([0, 1, 0]))
    with pytest.raises(ConfigurationError, match=r"training days .*no genuine payment;"):
        split.rows(noons([0, 1, 1]), np.array([1, 0, 1]))


def test_unusable_arrays_are_refused() -> None:
    split, y = TemporalSplit(START, 1, 0, 1), np.array([0, 1])
    with pytest.raises(DataError, match="`time` with one value"):
        split.rows(noons([0]), y)
    drop = replace(split, known_cards="drop")
    with pytest.raises(DataError, match="`card` with one value"):
        drop.rows(noons([0, 1]), y, np.array([1]))
    with pytest.raises(DataError, match="text or None"):
        drop.rows(noons([0, 1]), y, np.array([1, None], dtype=object))
    with pytest.raises(DataError, match="none in 1 row"):
        split.rows(np.array([START, "NaT"], "datetime64[us]"), y)
    with pytest.raises(DataError, match="datetime64 in UTC"):
        split.rows(np.array([0, 1]), y)


# as text


@given(st.decimals(Decimal("0.0001"), Decimal("0.9999"), places=4), st.integers(0, 10**9))
def test_a_random_split_survives_its_text(share: Decimal, seed: int) -> None:
    split = RandomSplit(test=float(share), seed=seed)
    assert parse_split(str(split)) == split


@given(
    st.dates(date(1990, 1, 1), date(2090, 1, 1)),
    st.integers(1, 999),
    st.integers(0, 999),
    st.integers(1, 999),
    st.sampled_from(["UTC", "Europe/Zurich"]),
)
def test_a_temporal_split_survives_its_text(
    start: date, train: int, delay: int, test: int, zone: str
) -> None:
    split = TemporalSplit(start, train, delay, test, zone)
    assert parse_split(str(split)) == split


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("random:70/30", RandomSplit(test=0.3)),
        ("time:70/30", LatestSplit(test=0.3)),
        ("time:80/20,delay=0", LatestSplit(test=0.2, delay_days=0)),
        ("random:66.5/33.5,seed=3", RandomSplit(test=0.335, seed=3)),
        ("time:2018-07-25/7/7/7", TemporalSplit(START, 7, 7, 7)),
        (
            "time:2018-07-25/28/0/7,zone=Asia/Kolkata",
            TemporalSplit(START, 28, 0, 7, "Asia/Kolkata"),
        ),
        ("time:80/20,known_cards=drop", LatestSplit(test=0.2, known_cards="drop")),
        (
            "time:2018-07-25/7/7/7,zone=Asia/Kolkata,known_cards=drop",
            TemporalSplit(START, 7, 7, 7, "Asia/Kolkata", known_cards="drop"),
        ),
    ],
)
def test_texts_of_splits(text: str, split: RandomSplit | LatestSplit | TemporalSplit) -> None:
    assert parse_split(text) == split
    assert str(split) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a split such as"),
        ("70/30", "expected a split such as"),
        ("random:70/30,3", "expected a split such as"),
        ("random:-70/170", "expected a split such as"),
        ("random:70/20", "add up to 100"),
        ("time:70/20", "add up to 100"),
        ("random:100/0", "between 0 and 1"),
        (
            "random:70/30,known_cards=drop",
            "unknown option `known_cards` of the split .*: expected seed",
        ),
        ("time:70/30,known_card=drop", "unknown option `known_card`.*did you mean `known_cards`"),
        ("time:70/30,known_cards=dropped", "got `dropped`: did you mean `drop`"),
        ("time:70/30,delay=0,delay=1", "expected a split such as"),
        ("time:70/30,delay=soon", "expected a split such as"),
        ("time:2018-07-25/7/7", "expected a split such as"),
        ("time:2018-02-30/7/7/7", "day of the calendar"),
        ("time:2018-07-25/0/7/7", "at least one training day"),
        ("time:2018-07-25/7/7/0", "at least one test day"),
        ("time:9999-12-25/7/7/7", "before the year 10000"),
        (
            "time:2018-07-25/7/7/7,zone=Europe/Zuerich",
            "unknown time zone .*did you mean `Europe/Zurich`",
        ),
        ("time:2018-07-25/7/7/7,zone=Europe", "unknown time zone"),
        ("time:2018-07-25/7/7/7,zone=../x", "unknown time zone"),
    ],
)
def test_other_texts_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_split(text)


def test_impossible_definitions_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="seed of 0 or more"):
        RandomSplit(seed=-1)
    with pytest.raises(ConfigurationError, match="no negative delay"):
        TemporalSplit(START, 7, -1, 7)


def test_the_latest_days_are_judged() -> None:
    days = np.datetime64("2024-01-01", "us") + np.arange(100) * np.timedelta64(1, "D")
    split = LatestSplit(test=0.2, delay_days=3).over(days)
    assert str(split) == "time:2024-01-01/77/3/20"
    dropping = LatestSplit(test=0.2, delay_days=3, known_cards="drop").over(days)
    assert str(dropping) == "time:2024-01-01/77/3/20,known_cards=drop"
    rows = split.rows(days, np.arange(100) % 2)
    assert (rows.train[0], rows.train[-1], rows.test[0], rows.test[-1]) == (0, 76, 80, 99)
    with pytest.raises(ConfigurationError, match="expected more than 9 days"):
        LatestSplit().over(days[:8])
    with pytest.raises(ConfigurationError, match="between 0 and 1"):
        LatestSplit(test=1.0)
