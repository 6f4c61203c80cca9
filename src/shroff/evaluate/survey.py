"""Which split a payment log allows, and how uncertain its figures will be, before any fit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date
from typing import Final, cast

import numpy as np

from shroff.arrays import Array, Bools, Times
from shroff.errors import UnsuitableSplit
from shroff.evaluate.checking import check_labels
from shroff.evaluate.parts import Split
from shroff.evaluate.split import AnySplit, LatestSplit, RandomSplit, TemporalSplit

MIN_RELIABLE_FRAUDS: Final = 20
"""Below this, a recall is uncertain by more than 20 points either way."""
MIN_CLASS_PAYMENTS: Final = 2
"""Fewest frauds, and fewest genuine payments, of a training part of which some are held out."""

_STANDARD_ERRORS_95: Final = 1.959964
"""Half the width of a 95 % interval, in standard errors."""
_ONE_DAY = np.timedelta64(1, "D")
_LONG_GAP = np.timedelta64(30, "D")


def recall_uncertainty(frauds: int) -> float:
    """Half the width of the 95 % interval of a recall of one half, measured on so many frauds
    (Wilson, 1927).

    >>> [round(recall_uncertainty(frauds), 2) for frauds in (0, 3, 20, 1_000)]
    [0.5, 0.37, 0.2, 0.03]
    """
    return _STANDARD_ERRORS_95 / (2.0 * math.sqrt(frauds + _STANDARD_ERRORS_95**2))


def fit_split(
    split: AnySplit,
    time: Times,
    y: Array,
    card: Array | None = None,
    *,
    labelled: Times | None = None,
    least: int = MIN_CLASS_PAYMENTS,
) -> tuple[RandomSplit | TemporalSplit, Split]:
    """The split and its rows, for payments made at `time` [n] (UTC) and labelled `y` [n]; the
    labels arrived at `labelled` [n].

    Raises `UnsuitableSplit` where a part lacks frauds or genuine payments (`least` to learn from,
    one to be judged on), and names the split that the log allows, or says that it allows none.
    """
    fraud = check_labels(y)
    try:
        return _fit(split, time, fraud, card, least, labelled)
    except UnsuitableSplit as error:
        other = suggest_split(time, fraud, least=least)
        if other is None:
            raise UnsuitableSplit(_refuse_log(time, fraud, least)) from None
        _, rows = _fit(other, time, fraud, None, least)
        raise UnsuitableSplit(
            f"{error}; this log ({_describe_log(time, fraud)}) allows the split `{other}`,"
            f" with {_describe_parts(rows, fraud)}{_warn_of_no_delay(other)}"
        ) from None


def suggest_split(time: Times, y: Array, *, least: int = MIN_CLASS_PAYMENTS) -> AnySplit | None:
    """The best split that a log allows: in time, at random within a day, or None.

    It tries the latest 30 % of the days as the test part, after a week's delay and then without
    one; then the day that leaves nearest to 70 % of the frauds before it. The training part needs
    `least` frauds and genuine payments.

    >>> days = np.array(
    ...     ["2024-01-01", "2024-01-01", "2024-01-02", "2024-01-02"], "datetime64[us]"
    ... ).repeat(2)
    >>> str(suggest_split(days, np.array([0, 1] * 4)))
    'time:70/30,delay=0'
    """
    fraud = check_labels(y)
    for split in _candidates(time, fraud, least):
        try:
            _fit(split, time, fraud, None, least)
        except UnsuitableSplit:
            continue
        return split
    return None


def describe_split(split: AnySplit, rows: Split, time: Times, y: Array) -> str:
    """One sentence before the first fit: the parts, and how uncertain their figures will be."""
    fraud = check_labels(y)
    parts = _describe_parts(rows, fraud) + _warn_of_no_delay(split)
    return f"The log ({_describe_log(time, fraud)}) is split by {split}: {parts}."


def state_uncertainty(frauds: int) -> str:
    """How uncertain a recall is that was measured on so few frauds.

    >>> state_uncertainty(3)
    'a recall measured on 3 frauds is uncertain by 37 points either way'
    """
    points = 100 * recall_uncertainty(frauds)
    return (
        f"a recall measured on {count_frauds(frauds)} is uncertain by {points:.0f} points "
        "either way"
    )


def _fit(
    split: AnySplit,
    time: Times,
    fraud: Bools,
    card: Array | None,
    least: int,
    labelled: Times | None = None,
) -> tuple[RandomSplit | TemporalSplit, Split]:
    within = split.over(time) if isinstance(split, LatestSplit) else split
    if isinstance(within, RandomSplit):
        rows = within.rows(fraud)
    else:
        rows = within.rows(time, fraud, card, labelled)
    frauds = int(fraud[rows.train].sum())
    fewest = min(frauds, len(rows.train) - frauds)
    if fewest < least:
        kind = "frauds" if fewest == frauds else "genuine payments"
        raise UnsuitableSplit(
            f"expected at least {least} {kind} to learn from in {split}, got {fewest}"
        )
    return within, rows


def _candidates(time: Times, fraud: Bools, least: int) -> Iterator[AnySplit]:
    if not time.size:
        return
    yield LatestSplit()
    yield LatestSplit(delay_days=0)
    day = time.astype("datetime64[D]")
    first, days = day.min(), int((day.max() - day.min()).astype(int)) + 1
    number = (day - first).astype(int)
    frauds = np.cumsum(np.bincount(number[fraud], minlength=days))[:-1]
    genuine = np.cumsum(np.bincount(number[~fraud], minlength=days))[:-1]
    total = int(fraud.sum())
    enough = (
        (frauds >= least) & (genuine >= least) & (frauds < total) & (genuine < fraud.size - total)
    )
    if enough.any():
        share = np.where(enough, frauds / total, np.inf)
        learned = int(np.argmin(np.abs(share - 0.7))) + 1
        yield TemporalSplit(cast("date", first.astype(object)), learned, 0, days - learned)
    if time.max() - time.min() < _ONE_DAY:
        yield RandomSplit()


def _refuse_log(time: Times, fraud: Bools, least: int) -> str:
    return (
        f"this log cannot train and judge a detector: expected at least {least} frauds and {least} "
        "genuine payments to learn from, and one of each on a later day to be judged by, got "
        f"{_describe_log(time, fraud)}: {_remedy(fraud)}"
    )


def _remedy(fraud: Bools) -> str:
    """What to do about a log that allows no split."""
    if fraud.size and fraud.all():
        return (
            "a payment without a chargeback needs a label too, once the time is over in which one "
            "comes (docs/howto/own-data.md shows how)"
        )
    if fraud.size and not fraud.any():
        return "see that the column of labels is the one that says fraud"
    return "collect labelled payments of more days"


def _describe_log(time: Times, fraud: Bools) -> str:
    if not time.size:
        return "no labelled payment"
    day = time.astype("datetime64[D]")
    days = int((day.max() - day.min()).astype(int)) + 1
    total = int(fraud.sum())
    on = f" on {len(np.unique(day[fraud]))} of {days} days" if total else ""
    labelled = f"{fraud.size:,} labelled payments"
    return f"{day.min()} to {day.max()}, {labelled}, {count_frauds(total)}{on}{_describe_gap(day)}"


def _describe_gap(day: Times) -> str:
    """Days without a payment that are more than half of all: one wrong year moves every split."""
    seen = np.unique(day)
    gaps = np.diff(seen)
    if not gaps.size or gaps.max() <= max(_LONG_GAP, (seen[-1] - seen[0]) / 2):
        return ""
    at = int(gaps.argmax())
    return f", none of a day between {seen[at]} and {seen[at + 1]}: is a date wrong?"


def _describe_parts(rows: Split, fraud: Bools) -> str:
    learned, judged = int(fraud[rows.train].sum()), int(fraud[rows.test].sum())
    known = f"{count_frauds(learned)} to learn from and {judged:,} to be judged by"
    return known if judged >= MIN_RELIABLE_FRAUDS else f"{known}; {state_uncertainty(judged)}"


def _warn_of_no_delay(split: AnySplit) -> str:
    if isinstance(split, RandomSplit) or split.delay_days:
        return ""
    return (
        "; labels are taken to be known at once, because no days are left in which they could "
        "arrive"
    )


def count_frauds(frauds: int) -> str:
    """A number of frauds in words."""
    return "1 fraud" if frauds == 1 else f"{frauds:,} frauds"
