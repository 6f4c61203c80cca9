"""What is deployed, as JSON: the model and the features it reads."""

from __future__ import annotations

from typing import Any

import msgspec

from shroff.features.define import Feature, FeatureGroup
from shroff.features.plan import Plan
from shroff.package import Bundle
from shroff.package.models import Role
from shroff.serve.decider import Decider
from shroff.serve.scorer import Scorer


class DeployedModel(msgspec.Struct, frozen=True):
    """A model that decides, or is compared with the one that does; `failure` says why it cannot score."""

    role: Role
    name: str
    version: str
    created: str
    inputs: tuple[str, ...]
    conditions: tuple[str, ...]
    review_at: float | None
    decline_at: float | None
    data: str
    """Fingerprint of the data it was trained on."""
    failure: str | None


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
        review_at=decider.policy.review_at,
        decline_at=decider.policy.decline_at,
        data=bundle.fingerprint,
        failure=decider.failure,
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
