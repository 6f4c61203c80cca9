"""Held-out scores in bins, from which thresholds are chosen again without a new fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from shroff.arrays import Array, Floats
from shroff.errors import DataError
from shroff.evaluate.cost import AMOUNT, Cost, check_costed
from shroff.evaluate.guarantee import DeclineCounts
from shroff.evaluate.thresholds import (
    Thresholds,
    accumulate_from_top,
    count_reviews,
    find_cheapest,
)

MAX_BINS: Final = 2_000
"""Of a million payments, a bin holds at most a hundredth of those at or above it."""


class HeldOut(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Calibrated probabilities of labelled payments that a detector did not learn from, the highest
    first.

    Each bin has its `lowest` probability, its number of `payments` and `frauds`, and the frauds'
    total amount (`lost`, in major units). `days` is the number of days that the payments span, for
    a capacity in reviews per day. Bins are narrower where the probability is higher; payments of
    equal probability share a bin, and no bin names a payment. `declines` are counts of cards, for a
    guarantee on declines, where one was asked for.

    Raises:
        DataError: bins that do not fit together.
    """

    days: float
    lowest: tuple[float, ...]
    payments: tuple[int, ...]
    frauds: tuple[int, ...]
    lost: tuple[float, ...]
    declines: DeclineCounts | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.lowest), len(self.payments), len(self.frauds), len(self.lost)}
        if lengths != {len(self.lowest)} or 0 in lengths:
            raise DataError("expected held-out scores in bins of four values each.")

    @classmethod
    def of(
        cls,
        y: Array,
        probability: Array,
        amount: Array,
        *,
        days: float = 1.0,
        bins: int = MAX_BINS,
        cuts: Sequence[float] = (),
    ) -> HeldOut:
        """The bins of labels `y` [n], calibrated probabilities [n] and amounts [n] in major units.

        No bin has payments on both sides of a threshold in `cuts`, so counts at these are exact.

        Raises:
            DataError: unusable arrays.

        >>> y, p = np.array([0, 1, 1]), np.array([0.2, 0.2, 0.9])
        >>> HeldOut.of(y, p, np.array([5.0, 50.0, 70.0])).frauds
        (1, 1)
        """
        value, flagged, caught, saved = accumulate_from_top(
            *check_costed(y, probability, amount, Cost())
        )
        ends = np.searchsorted(flagged, np.geomspace(1, flagged[-1], bins))
        at_cuts = np.searchsorted(-value, [-cut for cut in cuts], side="right") - 1
        ends = np.unique(np.append(ends, at_cuts))
        # no payment lies above the first bin
        kept = np.append(0, ends[ends > 0])
        return cls(
            days=days,
            lowest=tuple(value[kept[1:]].tolist()),
            payments=tuple(np.diff(flagged[kept]).tolist()),
            frauds=tuple(np.diff(caught[kept]).tolist()),
            lost=tuple(np.diff(saved[kept]).tolist()),
        )

    def at(self, review_at: float, decline_at: float, cost: Cost) -> Thresholds:
        """Counts and cost of these thresholds on these payments; each bin counts by its lowest
        probability.

        >>> y, p, amount = (
        ...     np.array([0, 1, 1]),
        ...     np.array([0.2, 0.6, 0.9]),
        ...     np.array([5.0, 50.0, 70.0]),
        ... )
        >>> HeldOut.of(y, p, amount).at(0.5, 0.8, Cost(review=4.0))
        Thresholds(review_at=0.5, decline_at=0.8, total_cost=4.0, reviewed=1, declined=1)
        """
        lowest, payments, frauds = (
            np.array(self.lowest),
            np.array(self.payments),
            np.array(self.frauds),
        )
        approved, declined = lowest < review_at, lowest >= decline_at
        reviewed = int(payments[~approved & ~declined].sum())
        genuine = int((payments - frauds)[declined].sum())
        lost = self._lost(cost)
        between, wrong = ~approved & ~declined, cost.number("declined")
        total = float(lost[approved].sum()) + wrong * genuine
        total += cost.of_review(
            float(lost[between].sum()),
            wrong * int((payments - frauds)[between].sum()),
            review=cost.number("review") * reviewed,
        )
        return Thresholds(review_at, decline_at, total, reviewed, int(payments[declined].sum()))

    def a_day(self, thresholds: Thresholds, cost: Cost) -> dict[str, float]:
        """Reviews, declines and cost per day at these thresholds, and the cost of approving all."""
        return {
            "reviews_per_day": thresholds.reviewed / self.days,
            "declines_per_day": thresholds.declined / self.days,
            "cost_per_day": thresholds.total_cost / self.days,
            "cost_per_day_if_approved": float(self._lost(cost).sum()) / self.days,
        }

    def _lost(self, cost: Cost) -> Floats:
        return (
            np.array(self.lost)
            if cost.missed == AMOUNT
            else cost.number("missed") * np.array(self.frauds, dtype=np.float64)
        )

    def thresholds(
        self, cost: Cost, capacity: float | None = None, *, declines_from: float = 0.0
    ) -> Thresholds:
        """The thresholds with the least cost on these payments, out of the bins' lowest
        probabilities; none declines below `declines_from`.

        Args:
            capacity: reviews a day, or minutes of them where the cost says how many one takes.

        Raises:
            ConfigurationError: a negative capacity.
        """
        payments, frauds = np.array(self.payments), np.array(self.frauds)
        load = float(cost.of_reviews(0.0)[1])
        reviews = capacity / load if capacity is not None and load else None
        return find_cheapest(
            np.array(self.lowest),
            np.cumsum(payments),
            np.cumsum(frauds),
            np.cumsum(self._lost(cost)),
            cost=cost,
            limit=count_reviews(reviews, self.days, int(payments.sum())),
            declines_from=declines_from,
        )
