"""The thresholds of the probability at which decisions cost least: one pair for all payments."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from shroff.arrays import Array, Bools, Floats, Ints, Texts
from shroff.errors import ConfigurationError
from shroff.evaluate.checking import check_probabilities, count_from_top
from shroff.evaluate.cost import Cost, check_costed

NEVER: Final = 2.0
"""A threshold that no probability reaches."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Review from `review_at`, decline from `decline_at`, with counts and cost on the held-out
    payments.

    Either threshold is `NEVER` where acting on no payment paid. When the two are equal, nothing is
    reviewed.
    """

    review_at: float
    decline_at: float
    total_cost: float
    reviewed: int
    declined: int

    @property
    def review_band(self) -> bool:
        """Whether there are probabilities at which a payment is reviewed."""
        return self.review_at < self.decline_at

    def actions(self, probability: Array) -> Texts:
        """`approve`, `review` or `decline` for each `probability` [n].

        >>> Thresholds(0.2, 0.9, 0.0, 0, 0).actions(np.array([0.1, 0.2, 0.95])).tolist()
        ['approve', 'review', 'decline']
        """
        p = check_probabilities(probability, probability.size)
        return np.where(
            p >= self.decline_at, "decline", np.where(p >= self.review_at, "review", "approve")
        )


def choose_thresholds(
    y: Array,
    probability: Array,
    amount: Array,
    *,
    cost: Cost,
    reviews_per_day: float | None = None,
    days: float = 1.0,
) -> Thresholds:
    """The pair of thresholds with the least total cost on payments the detector did not learn from.

    `probability` [n] must be held out; `amount` [n] is in major units; the payments span
    `days` days, and at most `reviews_per_day` of them a day are reviewed on average (None: no
    limit). The search is joint and exact over every pair of distinct probabilities, in O(n log n):
    with the payments ordered by probability, the cost of a pair is a term of the one threshold plus
    a term of the other, so each review threshold needs only the least decline term within reach of
    the review capacity. Searching one threshold after the other would be as fast but wrong: a full
    review queue makes declining pay sooner. Of equally cheap pairs it takes the one that approves
    most payments, then the one that declines fewest.

    Raises `DataError` for unusable arrays, `ConfigurationError` for a negative capacity or no days.

    >>> y, p = np.array([0, 0, 1, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.4, 0.8, 0.9])
    >>> amount = np.array([20.0, 30.0, 50.0, 20.0, 90.0, 10.0])
    >>> choose_thresholds(y, p, amount, cost=Cost(review=4.0, declined=15.0))
    Thresholds(review_at=0.3, decline_at=0.8, total_cost=8.0, reviewed=2, declined=2)
    >>> choose_thresholds(y, p, amount, cost=Cost(review=4.0, declined=15.0), reviews_per_day=1)
    Thresholds(review_at=0.3, decline_at=0.3, total_cost=15.0, reviewed=0, declined=4)
    """
    fraud, p, missed = check_costed(y, probability, amount, cost)
    value, flagged, caught, saved = accumulate_from_top(fraud, p, missed)
    limit = count_reviews(reviews_per_day, days, fraud.size)
    return find_cheapest(value[1:], flagged[1:], caught[1:], saved[1:], cost=cost, limit=limit)


def find_cheapest(
    value: Floats,
    flagged: Ints,
    caught: Ints,
    saved: Floats,
    *,
    cost: Cost,
    limit: float,
    refused: Floats | None = None,
    reviewing: Floats | None = None,
    work: Floats | None = None,
    declines_from: float = 0.0,
) -> Thresholds:
    """The cheapest pair among candidate thresholds, `NEVER` included, with at most `limit` payments
    reviewed, or so much `work`.

    `value` [n] falls; `flagged`, `caught` and `saved` [n] are the payments, the frauds, and the
    losses of those frauds at or above each, so that the last of them are the totals; `refused` [n]
    is what declining all of them would cost, `reviewing` what their reviews would, and `work` what
    these take of the capacity, where that is no number per payment. No threshold of declines is
    below `declines_from`.
    """
    if refused is None:
        refused = cost.of_declined(saved) * (flagged - caught)
    if reviewing is None:
        reviewing = cost.number("review") * flagged.astype(np.float64)
    load = np.append(0.0, flagged if work is None else work)
    value, saved, refused = np.append(NEVER, value), np.append(0.0, saved), np.append(0.0, refused)
    flagged, reviewing = np.append(0, flagged), np.append(0.0, reviewing)
    reviewed = cost.of_review(saved, refused, 0.0, reviewing)
    decline_term = refused - reviewed
    decline_term[value < declines_from] = np.inf
    review_term = reviewed + (saved[-1] - saved)
    lowest: Ints = np.searchsorted(load, load - limit)
    total = review_term + _find_least(decline_term, lowest)
    review = int(np.argmin(total))
    decline = int(lowest[review] + np.argmin(decline_term[lowest[review] : review + 1]))
    return Thresholds(
        review_at=float(value[review]),
        decline_at=float(value[decline]),
        total_cost=float(total[review]),
        reviewed=int(flagged[review] - flagged[decline]),
        declined=int(flagged[decline]),
    )


def cost_by_threshold(
    y: Array,
    probability: Array,
    amount: Array,
    *,
    cost: Cost,
    points: int = 20,
) -> pl.DataFrame:
    """The cost of a single threshold, for about `points` thresholds from flagging no payment to
    flagging all.

    One row per threshold, from `NEVER` down, closer together where few payments are flagged:
    `threshold`, `flagged` and `frauds` (payments, and frauds, at or above it), and the total cost
    if those are all reviewed (`if_reviewed`) or all declined (`if_declined`).

    >>> y, p = np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4])
    >>> amount = np.array([5.0, 50.0, 7.0, 70.0])
    >>> cost_by_threshold(y, p, amount, cost=Cost(review=4.0, declined=15.0)).rows()[:3]
    [(2.0, 0, 0, 120.0, 120.0), (0.4, 1, 1, 54.0, 50.0), (0.3, 2, 1, 58.0, 65.0)]
    """
    if points < 2:
        raise ConfigurationError(f"expected 2 or more thresholds to compare, got {points}")
    fraud, p, missed = check_costed(y, probability, amount, cost)
    value, flagged, caught, saved = accumulate_from_top(fraud, p, missed)
    wanted = np.append(0, np.geomspace(fraud.size, 1, points - 1))
    kept = np.unique(np.searchsorted(flagged, wanted))
    value, flagged, caught, saved = value[kept], flagged[kept], caught[kept], saved[kept]
    rest, refused = missed[fraud].sum() - saved, cost.of_declined(saved) * (flagged - caught)
    reviewing = cost.number("review") * flagged.astype(np.float64)
    return pl.DataFrame(
        {
            "threshold": value,
            "flagged": flagged,
            "frauds": caught,
            "if_reviewed": rest + cost.of_review(saved, refused, 0.0, reviewing),
            "if_declined": rest + refused,
        }
    )


def count_reviews(reviews_per_day: float | None, days: float, n: int) -> int:
    """How many of `n` payments can be reviewed in these days; `ConfigurationError` below 0."""
    if reviews_per_day is None:
        return n
    if not 0 < days < math.inf or not 0 <= reviews_per_day < math.inf:
        raise ConfigurationError(
            f"expected 0 or more reviews a day over more than 0 days, got {reviews_per_day} over "
            f"{days}"
        )
    return min(math.floor(reviews_per_day * days), n)


def accumulate_from_top(y: Bools, p: Floats, missed: Floats) -> tuple[Floats, Ints, Ints, Floats]:
    """Each candidate threshold from `NEVER` down: payments, frauds and losses at or above it."""
    value, flagged, caught = count_from_top(y, p)
    order = np.argsort(-p, kind="stable")
    saved = np.cumsum(np.where(y, missed, 0.0)[order])[flagged - 1]
    return (
        np.append(NEVER, value),
        np.append(0, flagged),
        np.append(0, caught),
        np.append(0.0, saved),
    )


def _find_least(values: Floats, first: Ints) -> Floats:
    """The minimum of `values[first[i] : i + 1]` for each i, by a sparse table in O(n log n)."""
    last = np.arange(values.size)
    level = np.frexp(last - first + 1)[1] - 1  # floor of the logarithm to base 2
    least, spans = np.empty_like(values), values
    for doubling in range(int(level.max()) + 1):
        width = 2**doubling
        here = np.flatnonzero(level == doubling)
        least[here] = np.minimum(spans[first[here]], spans[last[here] + 1 - width])
        spans = np.minimum(spans[:-width], spans[width:])
    return least
