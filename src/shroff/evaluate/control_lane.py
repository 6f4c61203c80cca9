"""The propensities of a control lane, and how large they may be within a budget of money per day.

A payment in the lane is let through or reviewed at random against the policy. Its propensity falls
with what that is expected to lose: from some loss on with its square root, which is how a sample is
spread over units of different cost so that totals vary least for the money (Neyman, *On the Two
Different Aspects of the Representative Method*, 1934). Falling with the loss itself would cost less
and leave a few payments to stand for thousands of others.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, sqrt
from typing import Final

import numpy as np

from shroff.arrays import Bools, Floats
from shroff.errors import ConfigurationError
from shroff.evaluate.cost import Cost
from shroff.evaluate.daily import DailyCosts
from shroff.evaluate.expected import MAX_COST, known_costs

_NORMAL_99: Final = 2.326348
_STEPS: Final = 60
_LEAST_LOSS: Final = 1e-6


def propensity(loss: float, share: float, full_to: float) -> float:
    """The chance of a payment whose place in the lane is expected to lose `loss`.

    Args:
        share: of payments with the smallest losses.
        full_to: the loss up to which it is the whole share.

    >>> propensity(10.0, 0.02, 40.0), propensity(160.0, 0.02, 40.0)
    (0.02, 0.01)
    """
    return share if loss <= full_to else share * sqrt(full_to / loss)


def propensities(loss: Floats, share: float, full_to: float) -> Floats:
    """`propensity` of each payment [n], to the same bit.

    >>> propensities(np.array([10.0, 160.0]), 0.02, 40.0).tolist()
    [0.02, 0.01]
    """
    with np.errstate(divide="ignore", over="ignore"):
        falling = share * np.sqrt(full_to / loss)
    return np.where(loss <= full_to, share, falling)


def expected_loss(probability: float, at_stake: float, cost: Cost, *, reviewed: bool) -> float:
    """What a place in the lane is expected to lose, of `at_stake` if the payment is a fraud.

    >>> expected_loss(0.5, 100.0, Cost(review=4.0), reviewed=False)
    50.0
    """
    if not reviewed:
        return probability * at_stake
    review = cost.number("review")
    return review + probability * (at_stake - review)


def at_stake(missed: float, cost: Cost, *, reviewed: bool) -> float:
    """What a place in the lane loses if the payment is a fraud.

    >>> at_stake(100.0, Cost(review=4.0, miss_rate=0.1), reviewed=True)
    14.0
    """
    return cost.number("review") + cost.miss_rate * missed if reviewed else missed


def plan(
    daily: DailyCosts,
    cost: Cost,
    eligible: Bools,
    *,
    money_per_day: float,
    share: float,
    reviewed: bool,
    max_loss: float | None = None,
    kept_days: float = 0.9,
) -> float:
    """The largest loss with the whole share of propensity that keeps to a budget.

    On the share `kept_days` of the held-out days, what is at stake stays below `money_per_day` with
    99 % probability over the draws, if the payments were all frauds.

    Args:
        eligible: which rows of `daily` the lane may take, bool [rows].

    Raises:
        ConfigurationError: the budget is below what a single payment puts at stake.
    """
    daily.require_same(cost)
    given = {name: daily.column(name) for name in cost.expressions}
    stakes = cost.of_payments(daily.column("amount"), given)
    stake = np.where(known_costs(*stakes), stakes.missed, inf)
    review = stakes.review
    stake = review + cost.miss_rate * stake if reviewed else stake
    p, payments, day = (daily.column(name) for name in ("probability", "payments", "day"))
    loss = review + p * (stake - review) if reviewed else p * stake
    rows = eligible & np.isfinite(stake) & (stake <= min(money_per_day, max_loss or inf))
    if not rows.any():
        if not eligible.any():
            return MAX_COST
        raise ConfigurationError(
            f"ControlLane(money_per_day=…): expected more than any one payment puts at stake, got "
            f"{money_per_day:g}: no held-out payment that the lane may take is as small."
        )
    stake, loss, payments, day = stake[rows], loss[rows], payments[rows] / daily.share, day[rows]

    def kept(full_to: float) -> bool:
        chance = propensities(loss, share, full_to)
        mean = _by_day(payments * chance * stake, day, daily.days)
        variance = _by_day(payments * chance * (1.0 - chance) * stake**2, day, daily.days)
        within = mean + _NORMAL_99 * np.sqrt(variance) <= money_per_day
        return float(np.mean(within)) >= kept_days

    return _largest(kept, max(float(loss.max()), _LEAST_LOSS))


def _by_day(values: Floats, day: Floats, days: int) -> Floats:
    """The sum of each day [days]; rows without a day are spread over all."""
    own = day >= 0
    found = np.bincount(day[own].astype(np.int64), values[own], days)
    return np.asarray(found + values[~own].sum() / days)


def _largest(kept: Callable[[float], bool], high: float) -> float:
    """The largest loss, on a scale of powers, that keeps; `MAX_COST` where any does."""
    if kept(high):
        return MAX_COST
    low = _LEAST_LOSS * _LEAST_LOSS
    for _ in range(_STEPS):
        middle = sqrt(low * high)
        low, high = (middle, high) if kept(middle) else (low, middle)
    return low
