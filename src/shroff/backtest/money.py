"""What decisions cost, known, bounded, and estimated from a control group.

Each payment weighs what it costs if it is genuine and what if it is a fraud. Where the outcome is
unknown, the smaller and the larger of both bound the sum. Where some payments were let through at
random, each known one stands for 1 / propensity others: the estimate of Horvitz and Thompson (*A
Generalization of Sampling Without Replacement from a Finite Universe*, 1952), whose variance is
that of Poisson sampling, and of Hájek (1971), which divides by the sum of the weights.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
import numpy as np

from shroff.arrays import Bools, Floats, Ints
from shroff.backtest.outcomes import FRAUD, GENUINE, IMMATURE, UNKNOWN
from shroff.backtest.table_judge import Costs
from shroff.evaluate import Cost
from shroff.evaluate.cost import realised_by_place

_NORMAL_95: Final = 1.959964


class WeightedEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """A sum over all mature payments, from those that were let through at random.

    `low` to `high` is an interval of 95 % about the Horvitz-Thompson estimate, widened by the
    bounds of `uncovered` payments, whose outcome is unknown and which had no chance to be let
    through. `control_group` counts the payments that were taken into it and whose outcome is known.
    """

    horvitz_thompson: float
    hajek: float
    low: float
    high: float
    control_group: int
    uncovered: int


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """A sum in major units: over payments whose outcome is `known`, and the least and the most that
    it comes to with those whose outcome is unknown. Immature payments are in neither.
    """

    known: float
    lowest: float
    highest: float
    estimate: WeightedEstimate | None = None


class Weighed(NamedTuple):
    """What each payment costs [n] if it is genuine, and if it is a fraud."""

    genuine: Floats
    fraud: Floats

    def less(self, other: Weighed) -> Weighed:
        """The difference, payment by payment."""
        return Weighed(self.genuine - other.genuine, self.fraud - other.fraud)

    def of(self, outcome: Ints) -> Floats:
        """By outcomes [n]; 0 where none is known."""
        known = np.where(outcome == FRAUD, self.fraud, self.genuine)
        return np.where((outcome == FRAUD) | (outcome == GENUINE), known, 0.0)


def weighed(action: Ints, costs: Costs, cost: Cost) -> Weighed:
    """What actions (places in `ACTIONS`) on payments [n] cost; 0 where it is not known."""
    missed, declined, review = (np.where(costs.known, one, 0.0) for one in costs.stakes[:3])
    genuine, fraud = (
        np.where(costs.known, realised_by_place(label, action, missed, declined, cost, review), 0.0)
        for label in (np.zeros(len(action), np.bool_), np.ones(len(action), np.bool_))
    )
    return Weighed(genuine, fraud)


def sum_money(each: Weighed, outcome: Ints, weight: Floats) -> Money:
    """The sum over payments.

    Args:
        weight: how many payments each stands for in an estimate [n], see `Past.weight`.
    """
    costs, unknown = each.of(outcome), outcome == UNKNOWN
    known = float(costs.sum())
    low, high = _bounds(each, unknown)
    return Money(
        known=round(known, 2),
        lowest=round(known + low, 2),
        highest=round(known + high, 2),
        estimate=_estimate(each, costs, outcome, weight),
    )


def _bounds(each: Weighed, rows: Bools) -> tuple[float, float]:
    genuine, fraud = each.genuine[rows], each.fraud[rows]
    return float(np.minimum(genuine, fraud).sum()), float(np.maximum(genuine, fraud).sum())


def _estimate(
    each: Weighed, costs: Floats, outcome: Ints, weight: Floats
) -> WeightedEstimate | None:
    known = (outcome == GENUINE) | (outcome == FRAUD)
    chance = ~np.isnan(weight) & (weight != 1.0)
    # of those that were not taken a label may be known too, but not by chance
    drawn = known & chance & (weight > 0.0)
    if not drawn.any():
        return None
    uncovered = (outcome == UNKNOWN) & ~chance
    certain, seen = float(costs[known & ~chance].sum()), costs[drawn]
    weights = weight[drawn]
    total = float((seen * weights).sum())
    spread = float(np.sqrt(((weights - 1.0) * weights * seen**2).sum()))
    group = int((chance & (outcome != IMMATURE)).sum())
    low, high = _bounds(each, uncovered)
    return WeightedEstimate(
        horvitz_thompson=round(certain + total, 2),
        hajek=round(certain + group * total / float(weights.sum()), 2),
        low=round(certain + total - _NORMAL_95 * spread + low, 2),
        high=round(certain + total + _NORMAL_95 * spread + high, 2),
        control_group=int(drawn.sum()),
        uncovered=int(uncovered.sum()),
    )
