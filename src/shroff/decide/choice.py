"""What a policy leaves open, chosen from held-out payments: by what it decides, thresholds, and the
price of a review, and how many reviews expire.
"""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec
import numpy as np

from shroff.arrays import Texts
from shroff.decide.policy import Ground, Policy
from shroff.errors import ConfigurationError
from shroff.evaluate import NEVER, Cost, DailyCosts, Guarantee, HeldOut, Thresholds
from shroff.evaluate.control_lane import plan
from shroff.evaluate.expected import MAX_COST

CHOSEN: Final = (
    "review_at",
    "decline_at",
    "decide_by",
    "review_price",
    "declines_from",
    "control_loss",
    "expiry",
)
"""The fields of a policy that may be left open."""


def choose(policy: Policy, held_out: HeldOut, daily: DailyCosts | None) -> Policy:
    """The policy with all that it leaves open.

    Thresholds are those of the least cost on average within the capacity. Where the policy does not
    say by what it decides and gives neither threshold, it decides payment by payment by expected
    cost, unless thresholds cost less: both are chosen on every second of the held-out days and
    judged on the others.

    Args:
        daily: the same payments by day; None in bundles without them, where thresholds decide.

    Raises:
        ConfigurationError: it decides by cost, and what a review is worth is not known; or it
            guarantees declines, and cards were not counted for that; or reviews expire, and the
            bundle keeps no payments by day.
    """
    if policy.unguarded:
        safe = guarantee_of(policy, held_out).declines_from
        policy = msgspec.structs.replace(policy, declines_from=safe)
    by_cuts = _settled(policy, "thresholds", daily)
    found = by_cuts.with_thresholds(*_cuts(by_cuts, held_out, daily))
    if policy.decide_by is None and len(policy.open) == 2:
        found = msgspec.structs.replace(found, decide_by=_cheaper(policy, daily))
    if found.decide_by == "cost":
        found = msgspec.structs.replace(found, cost=_settled(policy, "cost", daily).cost)
        if found.review_price is None:
            found = msgspec.structs.replace(found, review_price=_price(found, daily))
    if found.unplanned:
        found = msgspec.structs.replace(found, control_loss=_control_loss(found, daily))
    return found


def chosen_fields(given: Policy, found: Policy) -> tuple[str, ...]:
    """The fields that were left open and are not any more."""
    return tuple(name for name in CHOSEN if getattr(given, name) != getattr(found, name))


def guarantee_of(policy: Policy, held_out: HeldOut) -> Guarantee:
    """What held-out payments guarantee of declines, for the share that a policy allows.

    Raises:
        ConfigurationError: it allows any, or cards were not counted when the model was trained.
    """
    if policy.max_genuine_declines is None or held_out.declines is None:
        raise ConfigurationError(
            "the policy guarantees that few declines are genuine (`max_genuine_declines`), and the "
            "bundle keeps no counts of held-out cards to show it by: train and package it with "
            "that policy, or leave it out."
        )
    return held_out.declines.guarantee(policy.max_genuine_declines)


def cuts_of(policy: Policy) -> Thresholds:
    """The thresholds of a policy, without counts."""
    review, decline = (NEVER if at is None else at for at in (policy.review_at, policy.decline_at))
    return Thresholds(review, max(decline, policy.declines_from or 0.0), 0.0, 0, 0)


def count_at(policy: Policy, held_out: HeldOut, daily: DailyCosts | None) -> Thresholds:
    """The thresholds of a policy with counts and cost on held-out payments."""
    cuts = cuts_of(policy)
    return priced(policy.cost, held_out, daily).at(cuts.review_at, cuts.decline_at, policy.cost)


def figures(policy: Policy, daily: DailyCosts | None) -> dict[str, Any] | None:
    """What deciding by cost comes to per day on held-out payments, and its price of a review; None
    where it is not known.
    """
    if daily is None or not policy.cost.expressions.items() <= daily.expressions.items():
        return None
    price = _price(policy, daily)
    action = daily.actions(policy.cost, price, policy.declines_from or 0.0)
    return {
        "review_price": price,
        **daily.tally(action, policy.cost, policy.capacity),
        "in_force": policy.decide_by == "cost",
    }


def priced(cost: Cost, held_out: HeldOut, daily: DailyCosts | None) -> HeldOut | DailyCosts:
    """What thresholds are chosen from: bins know amounts only, not other costs that differ."""
    if not cost.expressions:
        return held_out
    if daily is None:
        raise ConfigurationError(
            "the costs of the policy differ between payments by a SQL expression, and the bundle "
            "keeps no held-out payments by day to choose thresholds by: give both, or train and "
            "package it again."
        )
    return daily


def _cuts(policy: Policy, held_out: HeldOut, daily: DailyCosts | None) -> tuple[float, float]:
    if not policy.open:
        cuts = cuts_of(policy)
        return cuts.review_at, cuts.decline_at
    source = priced(policy.cost, held_out, daily)
    safe = policy.declines_from or 0.0
    found = source.thresholds(policy.cost, policy.capacity, declines_from=safe)
    return found.review_at, found.decline_at


def _cheaper(policy: Policy, daily: DailyCosts | None) -> Ground:
    """What costs less on days that neither thresholds nor price were chosen on."""
    if daily is None:
        return "thresholds"
    halves, ways = daily.halves(), get_args(Ground)
    paid = dict.fromkeys(ways, 0.0)
    for chosen_on, judged_on in (halves, halves[::-1]):
        for way in ways:
            settled = _settled(policy, way, chosen_on)
            action = _actions(settled, way, chosen_on, judged_on)
            paid[way] += judged_on.tally(action, policy.cost, policy.capacity)["cost_per_day"]
    return "cost" if paid["cost"] <= paid["thresholds"] else "thresholds"


def _settled(policy: Policy, ground: Ground, daily: DailyCosts | None) -> Policy:
    """The policy with the share of reviews that expire where it decides by this, if it is open."""
    if not policy.waits:
        return policy
    if daily is None:
        raise ConfigurationError(
            "reviews expire, and the bundle keeps no held-out payments by day to find how many do "
            "at the capacity: give `Review(expiry=…)`, or train and package it again."
        )

    def act(share: float) -> Texts:
        return _actions(policy.expiring(share), ground, daily, daily)

    return policy.expiring(daily.expiry(act, policy.cost, policy.capacity))


def _actions(policy: Policy, ground: Ground, chosen_on: DailyCosts, applied: DailyCosts) -> Texts:
    """The actions on held-out payments by cost or by thresholds, chosen on the same or others."""
    safe = policy.declines_from or 0.0
    if ground == "cost":
        return applied.actions(policy.cost, _price(policy, chosen_on), safe)
    cuts = cuts_of(policy)
    if policy.open:
        cuts = chosen_on.thresholds(policy.cost, policy.capacity, declines_from=safe)
    return cuts.actions(applied.column("probability"))


def _price(policy: Policy, daily: DailyCosts | None) -> float:
    if policy.review_price is not None:
        return policy.review_price
    if policy.capacity is None:
        return 0.0
    if daily is None:
        raise ConfigurationError(
            "the policy decides by cost within a capacity, and the bundle keeps no held-out "
            "payments by day to find the price of a review by: give `review_price`, or train and "
            "package it again."
        )
    return daily.review_price(
        policy.cost,
        policy.capacity,
        kept_days=policy.kept_days,
        declines_from=policy.declines_from or 0.0,
    )


def _control_loss(policy: Policy, daily: DailyCosts | None) -> float:
    """How the propensities of the control lane fall, by the decisions on held-out payments."""
    lane = policy.control
    if lane is None:
        return MAX_COST
    if daily is None:
        raise ConfigurationError(
            "the policy has a control lane, and the bundle keeps no held-out payments by day to "
            "fit its propensities to the budget by: give `control_loss`, or train and package it "
            "again."
        )
    if policy.decide_by == "cost":
        price = policy.review_price or 0.0
        action = daily.actions(policy.cost, price, policy.declines_from or 0.0)
    else:
        action = cuts_of(policy).actions(daily.column("probability"))
    return plan(
        daily,
        policy.cost,
        np.isin(action, lane.taken),
        money_per_day=lane.money_per_day,
        share=lane.share,
        reviewed=lane.action == "review",
        max_loss=lane.max_loss,
        kept_days=policy.kept_days,
    )
