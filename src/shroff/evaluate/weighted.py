"""Shares and totals from a sample with known propensities, with intervals that hold for few.

Each payment of the sample stands for 1 / propensity others. The share is Hájek's (the sum of the
weights is estimated too), its variance is linearised and clustered by card, and its interval is the
exact one of Clopper and Pearson at the effective number of payments (Korn and Graubard, *Confidence
Intervals for Proportions with Small Expected Number of Positive Counts Estimated from Survey Data*,
1998). Where the variance seems smaller than the weights alone allow (Kish, 1965), those decide:
with few payments it does by chance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import beta, t

from shroff.arrays import Bools, Floats, Ints


class Estimate(NamedTuple):
    """A value with its interval of 95 %."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Estimate:
        """The same of so many, or so much."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)

    @property
    def complement(self) -> Estimate:
        """What a share leaves of the whole."""
        return Estimate(1.0 - self.value, 1.0 - self.high, 1.0 - self.low)


def weighted_share(hit: Bools, weight: Floats, card: Ints) -> Estimate | None:
    """The share of the population that is a hit; None for an empty sample.

    Args:
        hit: of each payment of the sample [n].
        weight: how much of the population each stands for [n], above 0.
        card: whose it is [n]; -1 for one of nobody, which is nobody else's.

    >>> found = weighted_share(np.array([1, 0, 0, 0]) > 0, np.full(4, 50.0), np.arange(4))
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (0.25, 0.0, 0.99)
    """
    if not hit.size:
        return None
    total = float(weight.sum())
    share = float(weight[hit].sum()) / total
    of_card = by_card(np.column_stack((weight, weight * (hit - share))), card)
    cards = len(of_card)
    effective = total**2 / float((of_card[:, 0] ** 2).sum())
    spread = float((of_card[:, 1] ** 2).sum()) / total**2 * cards / max(cards - 1, 1)
    if 0.0 < share < 1.0 and spread > 0.0:
        effective = min(effective, share * (1.0 - share) / spread)
    effective *= _fewer(cards)
    hits, misses = share * effective, (1.0 - share) * effective
    low = 0.0 if share == 0.0 else float(beta.ppf(0.025, hits, misses + 1.0))
    high = 1.0 if share == 1.0 else float(beta.ppf(0.975, hits + 1.0, misses))
    return Estimate(share, min(low, share), max(high, share))


def _fewer(cards: int) -> float:
    """The factor of Korn and Graubard for a variance that is estimated from so many cards."""
    if cards < 2:
        return 1.0
    return float((1.959964 / t.ppf(0.975, cards - 1)) ** 2)


def by_card(values: Floats, card: Ints) -> Floats:
    """The sums of rows [n, k] by card; a row of nobody (-1) stays alone."""
    _, own = np.unique(card, return_inverse=True)
    place = np.where(card < 0, own.max(initial=-1) + 1 + np.arange(len(card)), own)
    _, place = np.unique(place, return_inverse=True)
    found = np.zeros((int(place.max(initial=-1)) + 1, values.shape[1]))
    np.add.at(found, place, values)
    return found
