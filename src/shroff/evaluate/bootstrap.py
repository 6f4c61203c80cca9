"""95 % intervals by bootstrap over cards: payments of one card are not independent, so cards are
resampled.

Each replicate weighs a card by a Poisson number of mean 1, which is drawing cards with replacement
without fixing how many (Chamandy et al., *Estimating Uncertainty for Massive Data Streams*, 2012).
A payment without a card is resampled alone.

Of few events resampling knows too little, of none or all nothing: each replicate says the same. An
interval of a share therefore ends at 3 / n of its n cards at least, and begins at 1 - 3 / n at
most, the bound of 95 % for a share of which n cards show no event (the rule of three, Hanley and
Lippman-Hand, *If Nothing Goes Wrong, Is Everything All Right?*, 1983).
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np

from shroff.arrays import Bools, Floats, Ints

Interval: TypeAlias = tuple[float, float]

REPLICATES: Final = 200
_PROBABILITY_BINS: Final = 1_000
_INTERVAL_PERCENTILES: Final = (2.5, 97.5)
_BATCH_REPLICATES: Final = 20
"""Replicates whose weights are in memory together."""
_MAX_RESAMPLED_CARDS: Final = 20_000
_NORMAL_95: Final = 1.959964
"""Standard deviations on either side of the mean in which a normal figure is 95 times in 100."""


def figure_intervals(
    y: Bools, probability: Floats, card: Ints | None, *, threshold: float, seed: int = 0
) -> dict[str, Interval]:
    """Intervals of precision, recall, F1, ROC AUC and average precision.

    `y`, `probability` and `card` are [n]; the areas are computed over 1,000 bins of probability.
    The first three are shares: of flagged payments, of frauds, and of those that are either.

    >>> y, p = np.arange(400) % 4 == 0, np.where(np.arange(400) % 4 == 0, 0.9, 0.1)
    >>> figure_intervals(y, p, None, threshold=0.5)["recall"]
    (0.97, 1.0)
    """
    clusters = _clusters(card, len(y))
    edges = np.unique(
        np.append(
            np.quantile(np.unique(probability), np.linspace(0, 1, _PROBABILITY_BINS)), threshold
        )
    )
    from_top = len(edges) - np.searchsorted(
        edges, probability, side="right"
    )  # 0: at or above the last edge
    bins = len(edges) + 1
    counts = _resample(from_top * 2 + y, 2 * bins, clusters, seed)
    genuine, frauds = counts[:, 0::2], counts[:, 1::2]
    caught, flagged = np.cumsum(frauds, axis=1), np.cumsum(frauds + genuine, axis=1)
    last = int(
        len(edges) - 1 - np.searchsorted(edges, threshold)
    )  # of the bins from the threshold on
    all_frauds, all_genuine = caught[:, -1], (flagged - caught)[:, -1]
    at, shown = caught[:, last], flagged[:, last]
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = {
            "precision": at / shown,
            "recall": at / all_frauds,
            "f1": 2 * at / (shown + all_frauds),
            "roc_auc": (genuine * (caught - frauds / 2)).sum(axis=1) / (all_frauds * all_genuine),
            "average_precision": np.nansum(frauds * caught / flagged, axis=1) / all_frauds,
        }
    found = {name: _interval(values) for name, values in drawn.items()}
    flagged_rows = probability >= threshold
    for name, rows in (("precision", flagged_rows), ("recall", y), ("f1", flagged_rows | y)):
        found[name] = _at_least(found[name], clusters[rows])
    return found


def share_interval(chosen: Bools, card: Ints | None, *, seed: int = 0) -> Interval:
    """The interval of the share of payments that are `chosen` [n]; (0, 1) without payments.

    >>> share_interval(np.zeros(600, bool), None)
    (0.0, 0.005)
    """
    if not len(chosen):
        return 0.0, 1.0
    clusters = _clusters(card, len(chosen))
    counts = _resample(chosen.astype(np.int64), 2, clusters, seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _at_least(_interval(counts[:, 1] / counts.sum(axis=1)), clusters)


def _at_least(interval: Interval, clusters: Ints) -> Interval:
    """The interval of a share, as wide as the rule of three makes it for these clusters."""
    width = min(3 / max(len(np.unique(clusters)), 1), 1.0)
    low, high = interval
    return round(min(low, 1 - width), 6), round(max(high, width), 6)


def _clusters(card: Ints | None, n: int) -> Ints:
    """A number per cluster from 0 on, [n]: the card, or the payment itself where it has none."""
    if card is None:
        return np.arange(n)
    alone = card < 0
    own = np.where(alone, card.max(initial=-1) + 1 + np.cumsum(alone), card)
    return np.unique(own, return_inverse=True)[1]


def _resample(column: Ints, columns: int, cluster: Ints, seed: int) -> Floats:
    """Counts per column in each replicate, [replicates, columns]."""
    from scipy.sparse import coo_matrix  # slow to import, and only reports need it

    clusters = int(cluster.max()) + 1
    table = coo_matrix((np.ones(len(column)), (column, cluster)), shape=(columns, clusters)).tocsr()
    random = np.random.default_rng(seed)
    parts = [
        table @ random.poisson(1.0, (clusters, _BATCH_REPLICATES))
        for _ in range(REPLICATES // _BATCH_REPLICATES)
    ]
    return np.hstack(parts).T


def _interval(values: Floats) -> Interval:
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, _INTERVAL_PERCENTILES) if known.size else (0.0, 1.0)
    return round(float(low), 6), round(float(high), 6)


def sum_intervals(values: Floats, card: Ints | None, *, seed: int = 0) -> list[Interval]:
    """Intervals of sums [columns] of `values` [n, columns] over payments.

    Sums over more than 20,000 cards are normal, with the variance that replicates have: the sum of
    the squares of the cards' sums. Neither says more than the sum itself where it is 0.

    >>> low, high = sum_intervals(np.ones((400, 1)), None)[0]
    >>> 355 < low < 370 < 430 < high < 445
    True
    """
    clusters = _clusters(card, len(values))
    many = int(clusters.max(initial=-1)) + 1
    sums: list[Floats] = [
        np.bincount(clusters, weights=column, minlength=many).astype(np.float64)
        for column in values.T
    ]
    if many > _MAX_RESAMPLED_CARDS:
        return [_normal(one) for one in sums]
    random = np.random.default_rng(seed)
    drawn = random.poisson(1.0, (REPLICATES, many)) @ np.column_stack(sums)
    return [_interval(column) for column in drawn.T]


def _normal(sums: Floats) -> Interval:
    middle, half = float(sums.sum()), _NORMAL_95 * float(np.sqrt((sums**2).sum()))
    return round(middle - half, 6), round(middle + half, 6)
