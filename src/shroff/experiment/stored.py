"""Training datasets of the feature store as detectors learn from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from shroff.errors import ConfigurationError
from shroff.features.group import FeatureGroup
from shroff.features.plan import Plan
from shroff.store import TrainingData, feature_table
from shroff.store.training_set import PART, STATUS


@dataclass(frozen=True)
class Stored:
    """A training dataset, split into the clean table and the features of a project's plan.

    Attributes:
        frame: the clean payments, amounts in minor units, in order of time.
        features: the id and the plan's features, in the same order.
        notices: what of the dataset is not learned from, a sentence each.
    """

    data: TrainingData
    frame: pl.DataFrame
    features: pl.DataFrame
    notices: tuple[str, ...]


def read_stored(data: TrainingData, groups: Sequence[FeatureGroup], plan: Plan) -> Stored:
    """A training dataset for a project with these feature groups.

    Raises:
        ConfigurationError: it lacks a column or a feature of the project, or has a feature under
            another definition.
    """
    for problem in _problems(data, groups, plan):
        raise ConfigurationError(
            f"training dataset {data.label}: {problem}; store the features again with `shroff "
            "features` and make the "
            "dataset again."
        )
    rows = data.read()
    known = [*plan.schema.scales, *plan.names]
    rest = [
        name
        for name in rows.columns
        if name not in known and name != PART and not name.endswith(STATUS)
    ]
    notices = [
        f"column `{name}` of the dataset is no column or feature of the project: not learned from"
        for name in rest
    ]
    if PART in rows.columns:
        notices.append(
            "the parts of the dataset are not used: the split is the project's, or --split"
        )
    return Stored(
        data=data,
        frame=rows.select(*plan.schema.scales),
        features=rows.select(plan.schema.id, *plan.names),
        notices=tuple(notices),
    )


def _problems(data: TrainingData, groups: Sequence[FeatureGroup], plan: Plan) -> Iterator[str]:
    stored = data.manifest.group.columns
    for name in plan.schema.scales:
        if name not in stored:
            yield f"expected the column `{name}` of the project's schema, found none"
    for group in groups:
        wanted = feature_table(group, plan).columns
        for feature in group.definitions:
            if feature.name not in stored:
                yield f"expected the feature `{feature.name}`, found none"
            elif stored[feature.name] != wanted[feature.name]:
                yield f"the feature `{feature.name}` was stored under another definition"
