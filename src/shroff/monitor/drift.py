"""Whether payments still look as in training, by a test that stays honest under daily looking.

Each day, and each week, the share of cards in every bin of every column is compared with that of
training. Both shares are uncertain, so both get an interval (Clopper and Pearson, *The Use of
Confidence or Fiducial Limits*, Biometrika 26, 1934), and there is an alarm only where the nearest
shares in the two differ by more than is tolerated. The difference is Cohen's h, which weighs from
0.5 % to 1.5 % as much as from 50 % to 55 % (*Statistical Power Analysis for the Behavioral
Sciences*, 1988, calls 0.2 small).

All intervals share one budget of false alarms (`budget`): a column has its part of it, which is
divided among its bins and among the windows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final, Literal, NamedTuple

import numpy as np

from shroff.arrays import Floats
from shroff.evaluate.reference import WEEK, BinCounts, Bins, Distribution
from shroff.monitor.budget import part_of_look

TOLERANCE: Final = 0.1
"""The difference of shares, in Cohen's h, up to which there is no alarm."""
MISSING: Final = "missing"
_OTHER_NAMES: Final = "none of the {} usual names"
_NEW_NAMES: Final = "a name that training never saw"
_EPOCH: Final = date(1970, 1, 1)


class Counted(NamedTuple):
    """A column in one day or week."""

    period: str
    day: int
    """The first day, since the epoch."""
    histogram: BinCounts


class ShareInterval(NamedTuple):
    """A share and the interval that it lies in."""

    low: float
    share: float
    high: float


Aspect = Literal["values", "new names", "missing"]
"""What of a column has moved: its values, names that training did not count, missing values."""


class Shift(NamedTuple):
    """The bin of a column that was furthest from training in one window, past all doubt.

    `drift` is the least that the two intervals allow, in Cohen's h.
    """

    column: str
    what: str
    period: str
    since: date
    training: ShareInterval
    now: ShareInterval
    drift: float
    aspect: Aspect = "values"

    @property
    def sentence(self) -> str:
        """What has moved, in words.

        >>> before, after = ShareInterval(0.69, 0.71, 0.72), ShareInterval(0.53, 0.55, 0.57)
        >>> Shift("hour", "at most 2", "week", date(2026, 11, 16), before, after, 0.26).sentence
        '`hour` was at most 2 for 55.0 % of cards in the week from 2026-11-16, and for 71.0 % in \
training'
        """
        when = "in the week from" if self.period == WEEK else "on"
        verb = "had" if self.aspect == "new names" else "was"
        return (
            f"`{self.column}` {verb} {self.what} for {100 * self.now.share:.1f} % of cards {when} "
            f"{self.since}, and for {100 * self.training.share:.1f} % in training"
        )


class ColumnDrift(NamedTuple):
    """A column: where it had moved past all doubt, and its distance from training at last.

    `first` and `last` are the first and the last day or week in which it was beyond the tolerance.
    `sounded` is the day, since the epoch, with whose end the first alarm sounded.
    `stability_index` is the population stability index of the last week, an estimate that grows
    with few payments; None before the first week is over.
    """

    column: str
    windows: int
    first: Shift | None
    last: Shift | None
    sounded: int | None
    stability_index: float | None


def find_drift(
    column: Distribution,
    counted: Iterable[Counted],
    *,
    budget: float,
    tolerance: float = TOLERANCE,
) -> ColumnDrift:
    """The drift of a column over all windows since monitoring began, in order.

    A window of a kind that training never saw, such as a Sunday, is not compared.

    Args:
        budget: the column's part of the budget of false alarms.
    """
    # half for the intervals of training, half for those of the windows, and of these half each
    # for days and for weeks
    share = budget / len(_compared(column))
    usual = {
        period: intervals(histogram, column.bins, share / 2 / len(column.usual))
        for period, histogram in column.usual.items()
    }
    looks: Counter[str] = Counter()
    alarms: list[Shift] = []
    ends: list[int] = []
    newest: BinCounts | None = None
    for one in counted:
        if one.period not in usual or not one.histogram.size:
            continue
        kind = WEEK if one.period == WEEK else "day"
        looks[kind] += 1
        spent = share / 4 * part_of_look(looks[kind])
        shift = _largest(column, one, usual[one.period], spent)
        if shift.drift > tolerance:
            alarms.append(shift)
            ends.append(one.day + (7 if kind == WEEK else 1))
        if kind == WEEK:
            newest = one.histogram
    alarms.sort(key=lambda shift: shift.since)
    return ColumnDrift(
        column.bins.name,
        sum(looks.values()),
        alarms[0] if alarms else None,
        alarms[-1] if alarms else None,
        min(ends, default=None),
        None if newest is None else stability_index(column.usual[WEEK], newest),
    )


def stability_index(before: BinCounts, after: BinCounts) -> float:
    """The population stability index over the bins that are not empty in both.

    Each of them counts half a card more, so that it is finite.

    >>> round(stability_index(BinCounts((50, 50)), BinCounts((80, 20))), 3)
    0.406
    """
    counts = np.array([[*one.counts, one.missing] for one in (before, after)])
    p, q = counts[:, counts.any(axis=0)] + 0.5
    p, q = p / p.sum(), q / q.sum()
    return float(((p - q) * np.log(p / q)).sum())


def _compared(column: Distribution) -> list[str]:
    """What the compared shares are of: a property of a payment each, in words.

    >>> _compared(Distribution(Bins(name="amount", edges=(1.0, 20.0)), {}))
    ['at most 1', 'at most 20', 'missing']
    >>> _compared(Distribution(Bins(name="mcc", names=("5411", "6011")), {}))
    ['5411', '6011', 'a name that training never saw', 'missing']
    """
    bins = column.bins
    known = any(one.counts[-1] for one in column.usual.values())
    other = _OTHER_NAMES.format(len(bins.names)) if known else _NEW_NAMES
    others = [other] if bins.names else []
    return [*(f"at most {edge:g}" for edge in bins.edges), *bins.names, *others, MISSING]


def intervals(histogram: BinCounts, bins: Bins, error: float) -> Floats:
    """The compared shares and their intervals, [low, share, high; shares].

    Each interval is wrong with a probability of at most `error`. A share of values is among those
    that are not missing.
    """
    from scipy.special import betaincinv  # slow to import

    counts = np.array(histogram.counts, np.float64)
    having = np.cumsum(counts)[:-1] if bins.edges else counts if bins.names else counts[:0]
    k = np.append(having, histogram.missing)
    n = np.append(np.full(having.size, histogram.size - histogram.missing), histogram.size)
    # payments of the same cards tell less than their number
    worth = histogram.effective / histogram.size
    k, n = k * worth, n * worth
    with np.errstate(invalid="ignore", divide="ignore"):
        low = np.where(k > 0, betaincinv(k, n - k + 1, error / 2), 0.0)
        high = np.where(k < n, betaincinv(k + 1, n - k, 1 - error / 2), 1.0)
        share = np.where(n > 0, k / n, np.nan)
    return np.stack((low, share, high))


def _largest(column: Distribution, one: Counted, usual: Floats, error: float) -> Shift:
    """The share of a window that is furthest from training, by the nearest ends of intervals."""
    now = intervals(one.histogram, column.bins, error)
    above, below = _h(now[0], usual[2]), _h(usual[0], now[2])
    # to nine digits, because a name and all others move as much; the first is told, unless new
    # names took its place
    drift = np.nan_to_num(np.maximum(above, below)).round(9)
    at, *ties = np.flatnonzero(drift == drift.max()).tolist()
    compared = _compared(column)
    at = next((tie for tie in ties if compared[tie] == _NEW_NAMES), at)
    return Shift(
        column.bins.name,
        compared[at],
        one.period,
        _EPOCH + timedelta(days=one.day),
        ShareInterval(*usual[:, at].tolist()),
        ShareInterval(*now[:, at].tolist()),
        float(drift[at]),
        _aspect(column.bins, at),
    )


def _aspect(bins: Bins, at: int) -> Aspect:
    """What a compared share is about, by its place in `_compared`."""
    shares = len(bins.edges) or len(bins.names)
    return "values" if at < shares else "new names" if bins.names and at == shares else "missing"


def _h(p: Floats, q: Floats) -> Floats:
    """Cohen's h: by how much `p` is above `q`; negative where it is below."""
    difference: Floats = 2 * np.arcsin(np.sqrt(p)) - 2 * np.arcsin(np.sqrt(q))
    return difference
