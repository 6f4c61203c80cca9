"""The subplans of a plan, for engines that move all rows of a key together.

A subplan has the aggregates of one key. Only events and payments of one key interact, and only
through their order of arrival. So the batch engine, given all rows of some keys, computes the
values that it computes for these rows in the whole table. Links go from key to key, but no
further than their window: their subplan has no key, and rows are moved by time.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import msgspec

from shroff.collect import Schema
from shroff.collect.labels import HISTORY
from shroff.features.define import Aggregate, Entity
from shroff.features.group import FeatureGroup
from shroff.features.links import LinkFeature
from shroff.features.plan import Plan
from shroff.features.row import Calendar
from shroff.features.vectors import TokenTable

OWNED: Final = "shroff owned"
"""False for rows of a chunk that are there to be seen by others."""
ROW: Final = "shroff row"
"""The column that says which payment a row is, and which of two that arrived together was first."""


@dataclass(frozen=True)
class Subplan:
    """The aggregates of one key, or all links, without one: what they read and how far back.

    `columns` are the table's columns that they read; `labels` says whether they also read its label
    histories. `horizon` is in microseconds.
    """

    number: int
    key: tuple[str, ...]
    features: tuple[Aggregate | LinkFeature, ...]
    columns: tuple[str, ...]
    horizon: int
    labels: bool
    vectors: tuple[TokenTable, ...]

    def columns_of(self, names: Collection[str]) -> tuple[str, ...]:
        """The columns to read of a table that has these."""
        return (*self.columns, HISTORY) if self.labels and HISTORY in names else self.columns

    def plan(self, schema: Schema, *more: str) -> Plan:
        """The plan of these aggregates alone, with more key columns where given."""
        entity = (*self.key, *more)
        features = (
            msgspec.structs.replace(feature, entity=Entity(feature.entity.name, entity))
            if isinstance(feature, Aggregate)
            else feature
            for feature in self.features
        )
        return Plan([FeatureGroup("subplan", tuple(features), vectors=self.vectors)], schema)


def subplans(plan: Plan) -> list[Subplan]:
    """The aggregates of a plan by the columns of their key; links have none."""
    by_key: dict[tuple[str, ...], list[Aggregate | LinkFeature]] = {}
    for group in plan.groups:
        for feature in group.definitions:
            if isinstance(feature, Aggregate | LinkFeature):
                key = feature.entity.key if isinstance(feature, Aggregate) else ()
                by_key.setdefault(key, []).append(feature)
    return [
        _subplan(number, key, tuple(found), plan)
        for number, (key, found) in enumerate(by_key.items(), 1)
    ]


def _subplan(
    number: int, key: tuple[str, ...], features: tuple[Aggregate | LinkFeature, ...], whole: Plan
) -> Subplan:
    schema, vectors = whole.schema, tuple(whole.vectors.values())
    plan = Plan([FeatureGroup("subplan", features, vectors=vectors)], schema)
    # any text of a definition that names a column is a column it may read
    reads = {
        text
        for feature in features
        for text in msgspec.structs.astuple(feature)
        if isinstance(text, str)
    }
    reads = plan.columns_of(reads)
    reads |= {schema.time, schema.arrived_at or schema.time, *key}
    moments = {
        "result": (schema.result, schema.result_at),
        "label": (schema.label, schema.labelled_at),
    }
    for stream in plan.streams:
        reads |= stream.where.columns if stream.where else frozenset()
        reads |= {str(name) for later in stream.later for name in moments[later]}
    if reads & {schema.amount, schema.original}:
        reads.add(str(schema.currency))
    columns = tuple(name for name in schema.scales if name in reads)
    tables = tuple(plan.vectors.values())
    return Subplan(number, key, features, columns, plan.horizon, "label" in plan.later, tables)


def payment_columns(plan: Plan) -> tuple[str, ...]:
    """The table's columns that features of the payment alone need, the id first."""
    schema = plan.schema
    reads: set[str] = set()
    for row in plan.rows:
        reads |= (
            {schema.time}
            if isinstance(row.source, Calendar)
            else plan.columns_of(row.source.columns)
        )
    if reads & {schema.amount, schema.original}:
        reads.add(str(schema.currency))
    return (schema.id, *(name for name in schema.scales if name in reads and name != schema.id))
