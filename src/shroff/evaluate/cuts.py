"""Computed from a detector's binned probabilities: curves, counts and costs at a threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final, Literal

from shroff.evaluate.cost import AMOUNT
from shroff.evaluate.held_out import HeldOut
from shroff.evaluate.review import Review

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Flagged:
    """What a threshold flags: frauds caught, genuine payments flagged, fraud amounts saved."""

    threshold: float
    tp: int
    fp: int
    saved: float

    @property
    def precision(self) -> float:
        """The share of flagged payments that are frauds; 0 when nothing is flagged."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else 0.0


def cuts(bins: HeldOut) -> list[Flagged]:
    """Every threshold that the bins allow, the highest first.

    >>> bins = HeldOut(
    ...     days=1.0, lowest=(0.9, 0.2), payments=(1, 3), frauds=(1, 1), lost=(70.0, 5.0)
    ... )
    >>> [(one.tp, one.fp, one.saved) for one in cuts(bins)]
    [(1, 0, 70.0), (2, 2, 75.0)]
    """
    above = zip(
        bins.lowest,
        accumulate(bins.frauds),
        accumulate(bins.payments),
        accumulate(bins.lost),
        strict=True,
    )
    return [
        Flagged(threshold, caught, flagged - caught, saved)
        for threshold, caught, flagged, saved in above
    ]


def roc(bins: HeldOut) -> Points:
    """Share of genuine payments flagged and of frauds caught, from (0, 0) on."""
    found = cuts(bins)
    genuine, frauds = max(found[-1].fp, 1), max(found[-1].tp, 1)
    return [(0.0, 0.0), *((one.fp / genuine, one.tp / frauds) for one in found)]


def precision_recall(bins: HeldOut) -> Points:
    """Recall and precision, in steps: the area beneath is the average precision, as no threshold
    lies on a slope.

    >>> bins = HeldOut(
    ...     days=1.0, lowest=(0.9, 0.2), payments=(1, 3), frauds=(1, 1), lost=(70.0, 5.0)
    ... )
    >>> precision_recall(bins)
    [(0.0, 1.0), (0.5, 1.0), (0.5, 0.5), (1.0, 0.5)]
    """
    steps: list[tuple[float, float]] = []
    reached = 0.0
    for one in cuts(bins):
        recall = one.tp / max(sum(bins.frauds), 1)
        steps += [(reached, one.precision), (recall, one.precision)]
        reached = recall
    return steps


def at(bins: HeldOut, threshold: float) -> Flagged:
    """The counts at the lowest cut that is not below a threshold; nothing flagged where there is
    none.

    >>> bins = HeldOut(
    ...     days=1.0, lowest=(0.9, 0.2), payments=(1, 3), frauds=(1, 1), lost=(70.0, 5.0)
    ... )
    >>> at(bins, 0.5).tp, at(bins, 2.0).tp
    (1, 0)
    """
    return max(
        (one for one in cuts(bins) if one.threshold >= threshold),
        key=_size,
        default=Flagged(threshold, 0, 0, 0.0),
    )


def at_false_positives(bins: HeldOut, most: int) -> Flagged:
    """The counts at the lowest cut that flags at most so many genuine payments."""
    return max(
        (one for one in cuts(bins) if one.fp <= most), key=_size, default=Flagged(2.0, 0, 0, 0.0)
    )


def _size(one: Flagged) -> int:
    return one.tp + one.fp


def costs(
    bins: HeldOut, cost: Mapping[str, Any], action: Literal["review", "decline"]
) -> Points | None:
    """Flagged payments and the cost, both per day, where all flagged payments get one action, from
    none flagged on.

    Args:
        cost: a `Cost` as a record holds it.

    Returns:
        None where the cost is a SQL expression, or amounts are unknown: bins do not know it.

    >>> bins = HeldOut(
    ...     days=1.0, lowest=(0.9, 0.2), payments=(1, 3), frauds=(1, 1), lost=(70.0, 5.0)
    ... )
    >>> costs(bins, {"review": 4.0, "missed": "amount", "declined": 15.0}, "review")
    [(0.0, 75.0), (1.0, 9.0), (4.0, 16.0)]
    """
    wrong = cost["declined"] if action == "decline" else 0.0
    by_amount, review = cost["missed"] == AMOUNT, review_cost(cost)
    known = not isinstance(cost["missed"], str) or by_amount
    if isinstance(wrong, str) or not known or (review is None and action == "review"):
        return None
    at_stake = sum(bins.lost) if by_amount else cost["missed"] * sum(bins.frauds)
    if by_amount and not at_stake:
        return None
    missed_by_reviewer = cost.get("miss_rate", 0.0) if action == "review" else 0.0
    points = []
    for one in (_NOTHING, *cuts(bins)):
        stopped = one.saved if by_amount else cost["missed"] * one.tp
        flagged = one.tp + one.fp
        paid = (review or 0.0) * flagged if action == "review" else wrong * one.fp
        total = at_stake - stopped * (1 - missed_by_reviewer) + paid
        points.append((flagged / bins.days, total / bins.days))
    return points


def review_cost(cost: Mapping[str, Any]) -> float | None:
    """What a review costs by a `Cost` as a record holds it; None where payments differ.

    >>> review_cost({"review": {"minutes": 6.0, "per_hour": 45.0}})
    4.5
    """
    one = cost["review"]
    if isinstance(one, Mapping) and not isinstance(one["minutes"], str):
        minutes = float(one["minutes"])
        return Review(minutes, one["per_hour"]).cost(minutes)
    return float(one) if isinstance(one, float | int) else None


_NOTHING: Final = Flagged(2.0, 0, 0, 0.0)
