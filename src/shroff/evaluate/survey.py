"""What a payment log allows, said before anything is learned: which split, and what its figures cannot tell."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date
from typing import Final, cast

import numpy as np

from shroff.detect.arrays import Array, Bools, Times
from shroff.errors import UnsuitableSplit
from shroff.evaluate._arrays import labels
from shroff.evaluate.split import AnySplit, LatestSplit, RandomSplit, Split, TemporalSplit

FEW: Final = 20
"""Frauds below which a figure says next to nothing: a recall is uncertain by more than 20 points either way."""
LEAST: Final = 2
"""Frauds, and genuine payments, that out-of-fold scores need in the training part at least."""

_SURE: Final = 1.959964
"""Standard errors of a 95 % interval."""
_DAY = np.timedelta64(1, "D")


def uncertainty(frauds: int) -> float:
    """How far a recall of one half, measured on so many frauds, may be off either way (95 %; Wilson, 1927).

    >>> [round(uncertainty(frauds), 2) for frauds in (0, 3, 20, 1_000)]
    [0.5, 0.37, 0.2, 0.03]
    """
    return _SURE / (2.0 * math.sqrt(frauds + _SURE**2))


def fit_split(
    split: AnySplit,
    time: Times,
    y: Array,
    card: Array | None = None,
    *,
    least: int = LEAST,
) -> tuple[RandomSplit | TemporalSplit, Split]:
    """The split and its rows, for payments made at `time` [n] (UTC) and labelled `y` [n].

    Raises `UnsuitableSplit` where a part lacks frauds or genuine payments (`least` to learn from, one to be judged
    by), with the split that the log allows; where it allows none, that is the whole message.
    """
    fraud = labels(y)
    try:
        return _fitted(split, time, fraud, card, least)
    except UnsuitableSplit as error:
        other = allowed(time, fraud, least=least)
        if other is None:
            raise UnsuitableSplit(_impossible(time, fraud, least)) from None
        _, rows = _fitted(other, time, fraud, None, least)
        raise UnsuitableSplit(
            f"{error}; this log ({_extent(time, fraud)}) allows the split `{other}`,"
            f" with {_parts(rows, fraud)}{_haste(other)}"
        ) from None


def allowed(time: Times, y: Array, *, least: int = LEAST) -> AnySplit | None:
    """The best split that a log allows: in time, at random within a day, or None.

    The latest 30 % of the days after a week's delay, or else after none, or else the days from the one before which
    nearest to 70 % of the frauds lie. `least` frauds and genuine payments must be left to learn from.

    >>> days = np.array(["2024-01-01", "2024-01-01", "2024-01-02", "2024-01-02"], "datetime64[us]").repeat(2)
    >>> str(allowed(days, np.array([0, 1] * 4)))
    'time:70/30,delay=0'
    """
    fraud = labels(y)
    for split in _candidates(time, fraud, least):
        try:
            _fitted(split, time, fraud, None, least)
        except UnsuitableSplit:
            continue
        return split
    return None


def outlook(split: AnySplit, rows: Split, time: Times, y: Array) -> str:
    """One sentence for a user before the first fit: what is learned from, judged by, and what that cannot tell."""
    fraud = labels(y)
    return f"The log ({_extent(time, fraud)}) is split by {split}: {_parts(rows, fraud)}{_haste(split)}."


def caveat(frauds: int) -> str:
    """What a figure measured on so few frauds is worth.

    >>> caveat(3)
    'a recall measured on 3 frauds is uncertain by 37 points either way'
    """
    return f"a recall measured on {_count(frauds)} is uncertain by {100 * uncertainty(frauds):.0f} points either way"


def _fitted(
    split: AnySplit, time: Times, fraud: Bools, card: Array | None, least: int
) -> tuple[RandomSplit | TemporalSplit, Split]:
    within = split.over(time) if isinstance(split, LatestSplit) else split
    rows = within.rows(fraud) if isinstance(within, RandomSplit) else within.rows(time, fraud, card)
    frauds = int(fraud[rows.train].sum())
    fewest = min(frauds, len(rows.train) - frauds)
    if fewest < least:
        kind = "frauds" if fewest == frauds else "genuine payments"
        raise UnsuitableSplit(f"expected at least {least} {kind} to learn from in {split}, got {fewest}")
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
    enough = (frauds >= least) & (genuine >= least) & (frauds < total) & (genuine < fraud.size - total)
    if enough.any():
        share = np.where(enough, frauds / total, np.inf)
        learned = int(np.argmin(np.abs(share - 0.7))) + 1
        yield TemporalSplit(cast("date", first.astype(object)), learned, 0, days - learned)
    if time.max() - time.min() < _DAY:
        yield RandomSplit()


def _impossible(time: Times, fraud: Bools, least: int) -> str:
    return (
        f"this log cannot train and judge a detector: expected at least {least} frauds and {least} genuine payments to"
        f" learn from, and one of each on a later day to be judged by, got {_extent(time, fraud)}: collect"
        " labelled payments of more days"
    )


def _extent(time: Times, fraud: Bools) -> str:
    if not time.size:
        return "no labelled payment"
    day = time.astype("datetime64[D]")
    days = int((day.max() - day.min()).astype(int)) + 1
    total = int(fraud.sum())
    on = f" on {len(np.unique(day[fraud]))} of {days} days" if total else ""
    return f"{day.min()} to {day.max()}, {fraud.size:,} payments, {_count(total)}{on}"


def _parts(rows: Split, fraud: Bools) -> str:
    learned, judged = int(fraud[rows.train].sum()), int(fraud[rows.test].sum())
    known = f"{_count(learned)} to learn from and {judged:,} to be judged by"
    return known if judged >= FEW else f"{known}; {caveat(judged)}"


def _haste(split: AnySplit) -> str:
    if isinstance(split, RandomSplit) or split.delay_days:
        return ""
    return "; labels are taken to be known at once, for no days are left in which they come in"


def _count(frauds: int) -> str:
    return "1 fraud" if frauds == 1 else f"{frauds:,} frauds"
