"""What each action on a payment is expected to cost, and the cheapest: the Bayes minimum risk.

With the probability of fraud p, approving is expected to cost p · missed and declining
(1 − p) · declined; reviews and challenges follow from both (`Cost`). Elkan, *The Foundations of
Cost-Sensitive Learning*, 2001; Correa Bahnsen et al., *Cost Sensitive Credit Card Fraud Detection
Using Bayes Minimum Risk*, 2013.

One payment and whole columns go through the same operations in the same order, so that they give
the same bits.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta

from shroff.arrays import Bools, Floats, Ints, Texts
from shroff.evaluate.cost import ACTIONS, Action, Cost

MAX_COST: Final = 1e15
"""The largest cost of one payment, above the largest amount: what is larger counts as unknown."""


class ExpectedCosts(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """What each action on a payment was expected to cost, in major units of the base currency."""

    cheapest: Annotated[
        Action, Meta(description="The action that costs least; the decision unless a rule held.")
    ]
    approve: Annotated[float, Meta(description="To let it pass.")]
    review: Annotated[
        float,
        Meta(description="To let a person look at it, with the price of a review at capacity."),
    ]
    decline: Annotated[float, Meta(description="To refuse it.")]
    challenge: Annotated[
        float | None,
        Meta(description="To let the customer prove who they are, where challenges are declared."),
    ] = None


def weigh(
    probability: float,
    missed: float,
    declined: float,
    cost: Cost,
    price: float,
    declines_from: float = 0.0,
    review_cost: float | None = None,
) -> ExpectedCosts:
    """The expected cost of each action on one payment, and the cheapest.

    Args:
        missed, declined: its cost as an approved fraud, and as a genuine payment that is declined.
        price: of its review at the declared capacity, besides its cost.
        declines_from: the probability below which a payment is not declined: the cheapest action is
            then one of the others.
        review_cost: of its review; by default the same for all payments.

    >>> weigh(0.2, 100.0, 15.0, Cost(review=4.0), 1.0).cheapest
    'review'
    """
    approve, decline = probability * missed, (1.0 - probability) * declined
    challenge = cost.of_challenge(approve, decline)
    review = cost.of_review(approve, decline, price, review_cost)
    cheapest: Action = "approve"
    least = approve
    if challenge is not None and challenge < least:
        cheapest, least = "challenge", challenge
    if review < least:
        cheapest, least = "review", review
    if decline < least and probability >= declines_from:
        cheapest = "decline"
    return ExpectedCosts(
        cheapest=cheapest, approve=approve, review=review, decline=decline, challenge=challenge
    )


def cheapest_actions(
    probability: Floats,
    missed: Floats,
    declined: Floats,
    cost: Cost,
    price: float | Floats,
    declines_from: float = 0.0,
    review_cost: Floats | None = None,
) -> Texts:
    """The cheapest action on each payment, as `weigh`: texts [n] for arrays [n].

    >>> p, missed = np.array([0.01, 0.2, 0.9]), np.array([100.0, 100.0, 100.0])
    >>> cheapest_actions(p, missed, np.full(3, 15.0), Cost(review=4.0), 0.0).tolist()
    ['approve', 'review', 'decline']
    """
    return np.array(ACTIONS)[
        cheapest_places(probability, missed, declined, cost, price, declines_from, review_cost)
    ]


def cheapest_places(
    probability: Floats,
    missed: Floats,
    declined: Floats,
    cost: Cost,
    price: float | Floats,
    declines_from: float = 0.0,
    review_cost: Floats | None = None,
) -> Ints:
    """`cheapest_actions` by their places in `ACTIONS` [n], which take less time than texts."""
    approve, decline = probability * missed, (1.0 - probability) * declined
    challenge = cost.of_challenge(approve, decline)
    review = cost.of_review(approve, decline, price, review_cost)
    action, least = np.zeros(len(approve), dtype=np.int64), approve
    for place, costs in enumerate((challenge, review, decline), start=1):
        if costs is not None:
            better = costs < least
            if costs is decline:
                better &= probability >= declines_from
            action[better] = place
            least = np.where(better, costs, least)
    return action


def gain_of_review(
    probability: Floats,
    missed: Floats,
    declined: Floats,
    cost: Cost,
    declines_from: float = 0.0,
    review_cost: Floats | None = None,
) -> Floats:
    """How much a review is expected to save over the cheapest other action, float64 [n], for each
    one that does not expire: below this price it is worth while.
    """
    approve, decline = probability * missed, (1.0 - probability) * declined
    other = np.where(probability >= declines_from, np.minimum(approve, decline), approve)
    challenge = cost.of_challenge(approve, decline)
    if challenge is not None:
        other = np.minimum(other, challenge)
    gain = other - cost.of_review(approve, decline, 0.0, review_cost)
    return gain / (1.0 - cost.expiry) if cost.expiry else gain


def known_costs(*costs: Floats) -> Bools:
    """Whether all costs of each payment [n] are known: present, not negative, not too large."""
    known = np.ones(costs[0].shape, dtype=np.bool_)
    for one in costs:
        known &= (one >= 0) & (one <= MAX_COST)
    return known
