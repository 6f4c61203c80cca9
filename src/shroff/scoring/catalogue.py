"""What is deployed, as JSON: the model and the features it reads."""

from __future__ import annotations

from typing import Any

import msgspec

from shroff.control.pointers import Role
from shroff.decide import Action, ControlLane, Rule
from shroff.decide.decider import Decider
from shroff.decide.policy import Ground
from shroff.evaluate import Cost
from shroff.features.group import Feature, FeatureGroup
from shroff.features.plan import Plan
from shroff.package import Bundle
from shroff.scoring.scorer import Scorer


class DeployedModel(msgspec.Struct, frozen=True):
    """A model that decides or is in the shadow; `failure` says why it cannot score."""

    role: Role
    name: str
    version: str
    created: str
    inputs: tuple[str, ...]
    conditions: tuple[str, ...]
    policy: str
    """Version of the policy beside it; that of the model where it is the model's own."""
    review_at: float | None
    decline_at: float | None
    data: str
    """Fingerprint of the data it was trained on."""
    failure: str | None


class DeployedPolicy(msgspec.Struct, frozen=True):
    """The policy that decides: ordered rules, then costs or thresholds.

    `/v1/lists` shows its lists.
    """

    version: str
    """That of the model where it is the model's own."""
    review_at: float | None
    decline_at: float | None
    rules: tuple[Rule, ...]
    lists: tuple[str, ...]
    cost: Cost
    reviews_per_day: int | None
    minutes_per_day: float | None
    """Instead of a number of reviews, the minutes that people have for them."""
    degraded: Action
    decide_by: Ground
    """`cost` payment by payment, or `thresholds`."""
    review_price: float | None
    """By cost, what a review, or a minute of it, costs besides because reviewers are few."""
    declines_from: float | None
    """The probability below which no payment is declined for its probability."""
    control: ControlLane | None
    """The small random share of payments that is approved or reviewed whatever was decided."""
    control_loss: float | None
    """The expected loss up to which a payment has the whole share of the control lane."""


class DeployedFeature(msgspec.Struct, frozen=True):
    """A feature: its name, the kind of its values, and its definition."""

    name: str
    kind: str
    definition: dict[str, Any]


class DeployedGroup(msgspec.Struct, frozen=True):
    """A versioned group of features."""

    name: str
    version: int
    description: str
    features: tuple[DeployedFeature, ...]


def models(scorer: Scorer) -> list[DeployedModel]:
    """The model that decides, and the one in its shadow if there is one."""
    found = [_model("production", scorer.bundle, scorer.decider)]
    if scorer.shadow is not None:
        found.append(_model("shadow", scorer.shadow.bundle, scorer.shadow.decider))
    return found


def _model(role: Role, bundle: Bundle, decider: Decider) -> DeployedModel:
    return DeployedModel(
        role=role,
        name=bundle.name,
        version=bundle.version,
        created=bundle.created,
        inputs=bundle.preparation.names,
        conditions=bundle.conditions,
        policy=decider.policy_version,
        review_at=decider.policy.review_at,
        decline_at=decider.policy.decline_at,
        data=bundle.fingerprint,
        failure=decider.failure,
    )


def policy(scorer: Scorer) -> DeployedPolicy:
    """The policy that decides."""
    decider = scorer.decider
    held = decider.policy
    return DeployedPolicy(
        version=decider.policy_version,
        review_at=held.review_at,
        decline_at=held.decline_at,
        rules=tuple(held.rules),
        lists=tuple(held.lists),
        cost=held.cost,
        reviews_per_day=held.reviews_per_day,
        minutes_per_day=held.minutes_per_day,
        degraded=held.degraded,
        decide_by=held.decide_by or "thresholds",
        review_price=held.review_price,
        declines_from=held.declines_from,
        control=held.control,
        control_loss=held.control_loss,
    )


def groups(scorer: Scorer) -> list[DeployedGroup]:
    """The feature groups that are computed for every payment."""
    bundle = scorer.bundle
    plan = Plan(bundle.groups, bundle.schema)
    return [_group(group, plan) for group in bundle.groups]


def _group(group: FeatureGroup, plan: Plan) -> DeployedGroup:
    features = tuple(_feature(feature, plan) for feature in group.definitions)
    return DeployedGroup(group.name, group.version, group.description, features)


def _feature(feature: Feature, plan: Plan) -> DeployedFeature:
    return DeployedFeature(feature.name, plan.kinds[feature.name], msgspec.to_builtins(feature))
