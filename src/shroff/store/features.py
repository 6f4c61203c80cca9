"""A project's features, and its payments, as groups of the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import msgspec
import polars as pl

from shroff.collect import Schema
from shroff.collect.labels import HISTORY
from shroff.errors import ConfigurationError
from shroff.features.define import Aggregate
from shroff.features.group import Feature, FeatureGroup
from shroff.features.links import LinkFeature
from shroff.features.plan import Plan
from shroff.store.content import TYPES
from shroff.store.group import Column, Group, Kind
from shroff.store.training_set import Joined, Labels, Split, TrainingSet

PAYMENTS: Final = "payments"
"""The group that holds the clean payments themselves."""

_UNITS: Final = {
    "count": "payments",
    "frauds": "payments",
    "decayed_count": "payments",
    "distinct": "values",
    "share": "share",
    "risk": "share",
    "top_share": "share",
    "entropy": "nats",
    "seconds_since_first": "seconds",
    "seconds_since_last": "seconds",
    "distance": "1 − cosine",
}


def feature_table(features: FeatureGroup, plan: Plan) -> Group:
    """The group of the store that holds a feature group: a row per payment, keyed by its id.

    >>> from shroff import Entity, Schema
    >>> velocity = FeatureGroup("velocity", Entity("card", "card_id").total("amount", "1h"))
    >>> group = feature_table(
    ...     velocity, Plan([velocity], Schema(id="id", time="at", amount="amount"))
    ... )
    >>> group.columns["card_total_amount_1h"].unit
    'EUR'
    """
    schema = plan.schema
    if features.name == PAYMENTS:
        raise ConfigurationError(
            f"feature group `{PAYMENTS}`: the store keeps the payments under this name; rename it."
        )
    kinds: dict[str, Kind] = {
        name: "text" if kind == "text" else "number" for name, kind in plan.kinds.items()
    }
    return Group(
        name=features.name,
        version=features.version,
        description=features.description,
        key=schema.id,
        time=schema.time,
        arrival=schema.arrived_at,
        columns={
            one.name: Column(
                kinds[one.name],
                unit=_unit(one, schema),
                definition=msgspec.json.encode(one).decode(),
            )
            for one in features.definitions
        },
    )


def payment_table(frame: pl.DataFrame, schema: Schema) -> Group:
    """The group of clean payments, with amounts in minor units."""
    return Group(
        name=PAYMENTS,
        description="The clean payments that features are computed of.",
        key=schema.id,
        time=schema.time,
        arrival=schema.arrived_at,
        columns=dict(_payment_columns(frame, schema)),
    )


def project_set(
    name: str,
    plan: Plan,
    features: Sequence[FeatureGroup],
    *,
    known_by: datetime | None = None,
    maturity: str = "30d",
    split: Split | None = None,
) -> TrainingSet:
    """The training dataset of a project: its payments with all features of `shroff features`.

    Args:
        known_by: the moment by which labels are known; by default those of the log count.

    Raises:
        ConfigurationError: a moment for labels, and the schema names no label.
    """
    schema = plan.schema
    labels = None
    if known_by is not None:
        if schema.label is None:
            raise ConfigurationError(
                "expected a schema that names its label column: Schema(label=…)."
            )
        labels = Labels(
            column=schema.label, arrival=schema.labelled_at, known_by=known_by, maturity=maturity
        )
    return TrainingSet(
        name=name,
        of=PAYMENTS,
        joined=[Joined(f"{one.name}@{one.version}") for one in features],
        labels=labels,
        split=split,
    )


def _payment_columns(frame: pl.DataFrame, schema: Schema) -> Iterator[tuple[str, Column]]:
    kinds = {dtype: kind for kind, dtype in TYPES.items()}
    column, currency = schema.amounts_in
    units = {schema.amount: "minor units" if column else f"minor units of {currency}"}
    if schema.original is not None:
        units[schema.original] = f"minor units of `{schema.currency}`"
    for name, dtype in frame.schema.items():
        if name != HISTORY:
            yield name, Column(kinds[dtype], unit=units.get(name, ""))


def _unit(feature: Feature, schema: Schema) -> str:
    if isinstance(feature, LinkFeature):
        return f"{feature.entity}s" if feature.function == "count" else _UNITS[feature.function]
    if not isinstance(feature, Aggregate):
        return ""
    if feature.column == schema.amount and feature.function not in _UNITS:
        column, currency = schema.amounts_in
        return "as the payment" if column else currency
    return _UNITS.get(feature.function, "")
