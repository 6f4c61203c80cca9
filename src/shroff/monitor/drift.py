"""Whether payments still look as in training, by a test that stays honest under daily looking.

Each day, and each week, the share of cards in every bin of every column is compared with that of
training. Both shares are uncertain, so both get an interval (Clopper and Pearson, *The Use of
Confidence or Fiducial Limits*, Biometrika 26, 1934), and there is an alarm only where the nearest
shares in the two differ by more than is tolerated. The difference is Cohen's h, which weighs from
0.5 % to 1.5 % as much as from 50 % to 55 % (*Statistical Power Analysis for the Behavioral
Sciences*, 1988, calls 0.2 small).

All intervals share one budget of false alarms: it is divided among the columns, and within a column
among its bins and among the windows, of which the t-th gets a part in proportion to 1 / t². So in
at most 5 % of all cases does any alarm ever sound without a drift, however often one looks and
however the columns and days depend on each other (Boole's inequality).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final, NamedTuple

import numpy as np

from shroff.arrays import Floats
from shroff.evaluate.reference import WEEK, BinCounts, Bins, Distribution

FALSE_ALARMS: Final = 0.05
"""The share of monitored models that ever sound an alarm though nothing drifts, at most."""
TOLERANCE: Final = 0.1
"""The difference of shares, in Cohen's h, up to which there is no alarm."""
_PART_OF_FIRST_LOOK: Final = 6 / math.pi**2
"""So that the parts of all windows, this over t², add up to 1."""
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

    @property
    def sentence(self) -> str:
        """What has moved, in words.

        >>> before, after = ShareInterval(0.69, 0.71, 0.72), ShareInterval(0.53, 0.55, 0.57)
        >>> Shift("hour", "at most 2", "week", date(2026, 11, 16), before, after, 0.26).sentence
        '`hour` was at most 2 for 55.0 % of cards in the week from 2026-11-16, and for 71.0 % in \
training'
        """
        when = "in the week from" if self.period == WEEK else "on"
        return (
            f"`{self.column}` was {self.what} for {100 * self.now.share:.1f} % of cards {when} "
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
    columns: int,
    tolerance: float = TOLERANCE,
    budget: float = FALSE_ALARMS,
) -> ColumnDrift:
    """The drift of one of `columns` columns over all windows since monitoring began, in order.

    A window of a kind that training never saw, such as a Sunday, is not compared.
    """
    # half for the intervals of training, half for those of the windows, and of these half each
    # for days and for weeks
    share = budget / columns / len(_compared(column.bins))
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
        spent = share / 4 * _PART_OF_FIRST_LOOK / looks[kind] ** 2
        shift = _largest(column.bins, one, usual[one.period], spent)
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


def _compared(bins: Bins) -> list[str]:
    """What the compared shares are of: a property of a payment each, in words.

    >>> _compared(Bins(name="amount", edges=(1.0, 20.0)))
    ['at most 1', 'at most 20', 'missing']
    >>> _compared(Bins(name="mcc", names=("5411", "6011")))
    ['5411', '6011', 'none of the 2 usual names', 'missing']
    """
    others = [f"none of the {len(bins.names)} usual names"] if bins.names else []
    return [*(f"at most {edge:g}" for edge in bins.edges), *bins.names, *others, "missing"]


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


def _largest(bins: Bins, one: Counted, usual: Floats, error: float) -> Shift:
    """The share of a window that is furthest from training, by the nearest ends of intervals."""
    now = intervals(one.histogram, bins, error)
    above, below = _h(now[0], usual[2]), _h(usual[0], now[2])
    # to nine digits, so that of a name and all others, which move as much, the first is told
    drift = np.nan_to_num(np.maximum(above, below)).round(9)
    at = int(drift.argmax())
    return Shift(
        bins.name,
        _compared(bins)[at],
        one.period,
        _EPOCH + timedelta(days=one.day),
        ShareInterval(*usual[:, at].tolist()),
        ShareInterval(*now[:, at].tolist()),
        float(drift[at]),
    )


def _h(p: Floats, q: Floats) -> Floats:
    """Cohen's h: by how much `p` is above `q`; negative where it is below."""
    difference: Floats = 2 * np.arcsin(np.sqrt(p)) - 2 * np.arcsin(np.sqrt(q))
    return difference
