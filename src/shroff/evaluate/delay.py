"""How long frauds take to be reported, and how many of young payments are still to come.

Of young payments only the frauds with short delays are known: delays are right-truncated. Their
distribution up to a longest delay follows from the reverse hazard: the share of those reported
within u that were reported at u (Lagakos, Barraj and De Gruttola, *Nonparametric Analysis of
Truncated Survival Data, with Application to AIDS*, 1988). It is the product-limit estimator in
reversed time.
"""

from __future__ import annotations

from math import exp, sqrt
from typing import Final, NamedTuple

import numpy as np

from shroff.arrays import Floats, Ints
from shroff.evaluate.weighted import Estimate, by_card

MIN_FRAUDS: Final = 20
"""Known frauds that are as old as the longest delay: with fewer nothing is estimated."""
LEAST_REPORTED: Final = 0.25
"""Payments so young that less than this share of their frauds is known are left out: the few
reports of them would stand for too many others.
"""
_NORMAL_95: Final = 1.959964


class ReportingDelay(NamedTuple):
    """The share of frauds that is reported within a delay, up to a longest one.

    Attributes:
        longest: the delay after which no report is expected, in the unit of all delays.
        delays: distinct delays, ascending [k].
        reported: the share of frauds reported within each [k].
        noise: what each adds to the variance of the logarithm of the shares of shorter ones [k].
    """

    longest: float
    delays: Floats
    reported: Floats
    noise: Floats

    @classmethod
    def of(cls, delay: Floats, age: Floats, card: Ints, *, longest: float) -> ReportingDelay | None:
        """From reported frauds; None where too few are old enough to say.

        Args:
            delay: from payment to report [n], and `age`: of the payment now [n].
            card: whose it is [n]; frauds of one card are often reported together.
        """
        usable = (delay >= 0) & (delay <= longest) & (delay <= age)
        delay, age, card = delay[usable], age[usable], card[usable]
        if int((age >= longest).sum()) < MIN_FRAUDS:
            return None
        delays, count = np.unique(delay, return_counts=True)
        window = np.sort(np.minimum(age, longest))
        ordered = np.sort(delay)
        # at risk at u: reported by then, and old enough to be reported then
        known = np.searchsorted(ordered, delays, side="right")
        young = np.searchsorted(window, delays, side="left")
        risk = (known - young).astype(np.float64)
        keep = 1.0 - count / risk
        after = np.append(np.cumprod(keep[::-1])[::-1][1:], 1.0)
        sizes = by_card(np.ones((len(card), 1)), card)[:, 0]
        together = float((sizes**2).sum() / sizes.sum())
        noise = np.where(risk > count, count / (risk * np.maximum(risk - count, 1.0)), 0.0)
        return cls(longest, delays, after, noise * together)

    def share(self, age: Floats) -> Floats:
        """The share of frauds of payments of these ages [n] that is reported by now [n]."""
        place = np.searchsorted(self.delays, age, side="right") - 1
        found = np.where(place < 0, 0.0, self.reported[np.maximum(place, 0)])
        return np.where(age >= self.longest, 1.0, found)

    def youngest(self) -> float:
        """The age from which on enough frauds are known to estimate the others."""
        enough = np.flatnonzero(self.reported >= LEAST_REPORTED)
        return float(self.delays[enough[0]]) if enough.size else self.longest

    def whole(self, value: Floats, age: Floats, card: Ints) -> Estimate:
        """What reported frauds come to with those that are still to be reported.

        Args:
            value: what each counts [n]: 1, or its amount.
            age: of its payment now [n].
        """
        share = self.share(age)
        each = value / share
        total = float(each.sum())
        if not total:
            return Estimate(0.0, 0.0, 0.0)
        variance = float((by_card(np.sqrt(1.0 - share)[:, None] * each[:, None], card) ** 2).sum())
        return _around(total, variance + self._noise_of(each, age), float(value.sum()))

    def _noise_of(self, each: Floats, age: Floats) -> float:
        """The variance of a sum of `each` that is due to the estimated shares."""
        order = np.argsort(age)
        sums = np.append(0.0, np.cumsum(each[order]))
        younger = sums[np.searchsorted(age[order], self.delays, side="left")]
        return float((younger**2 * self.noise).sum())


def _around(total: float, variance: float, least: float) -> Estimate:
    """The interval on a scale of logarithms, as totals are positive and skewed."""
    wide = exp(_NORMAL_95 * sqrt(variance) / total)
    return Estimate(total, max(total / wide, least), total * wide)
