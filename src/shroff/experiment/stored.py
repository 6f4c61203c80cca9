"""Training datasets of the feature store as detectors learn from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Final

import numpy as np
import polars as pl

from shroff.arrays import Times
from shroff.errors import ConfigurationError
from shroff.evaluate.doctor import check_maturity
from shroff.features.group import FeatureGroup
from shroff.features.plan import Plan
from shroff.store import FeatureStore, TrainingData, feature_table
from shroff.store.build import IMMATURE
from shroff.store.training_set import PART, STATUS

_IMMATURE_FRAUD: Final = "fraud, but younger than the maturity, as genuine payments are"


@dataclass(frozen=True)
class Stored:
    """A training dataset, split into the clean table and the features of a project's plan.

    Attributes:
        frame: the clean payments, amounts in minor units, in order of time.
        features: the id and the plan's features, in the same order.
        notices: what of the dataset is not learned from, a sentence each.
        left_out: payments, and frauds where known, that the dataset has not or that are not learned
            from, by reason.
    """

    data: TrainingData
    frame: pl.DataFrame
    features: pl.DataFrame
    notices: tuple[str, ...]
    left_out: Mapping[str, tuple[int, int | None]]


def read_stored(data: TrainingData, groups: Sequence[FeatureGroup], plan: Plan) -> Stored:
    """A training dataset for a project with these feature groups.

    Of days younger than the maturity of its labels it holds frauds alone, which would flatter every
    figure: they are left out.

    Raises:
        ConfigurationError: it lacks a column or a feature of the project, has a feature under
            another definition, or no payment older than the maturity of its labels.
    """
    for problem in _problems(data, groups, plan):
        raise ConfigurationError(
            f"training dataset {data.label}: {problem}; store the features again with `shroff "
            "features` and make the dataset again."
        )
    rows, left_out = _mature(data, plan.schema.time)
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
        left_out={f"dataset: {reason}": counts for reason, counts in left_out.items()},
    )


def uneven_labels(data: TrainingData, store: FeatureStore) -> list[str]:
    """What is wrong with the labels of a training dataset that were known by its day, a sentence
    each: of its latest days frauds alone, where genuine payments get theirs later than its
    maturity.
    """
    wanted, group = data.manifest.definition, data.manifest.group
    labels = wanted.labels
    if labels is None:
        return []
    (base,) = (one for one in data.manifest.lineage if one.asked == wanted.of)
    table = store.table(base.group, base.version)
    rows = table.read([], times=wanted.times, as_of=base.number)
    first = rows.sort(group.known_at).unique(group.key, keep="first", maintain_order=True)
    mature = pl.col(group.time) <= labels.mature_until
    every = first.filter(mature, pl.col(group.known_at) <= labels.known_by)
    known = data.read([labels.column]).filter(mature)
    found = check_maturity(
        known[labels.column].to_numpy(),
        _times(known[group.time]),
        _times(every[group.time]),
        np.datetime64(labels.known_by.astimezone(UTC).replace(tzinfo=None), "us"),
    )
    return [one.sentence for one in found]


def _times(column: pl.Series) -> Times:
    return column.dt.replace_time_zone(None).to_numpy()


def _mature(
    data: TrainingData, time: str
) -> tuple[pl.DataFrame, dict[str, tuple[int, int | None]]]:
    rows, labels = data.read(), data.manifest.definition.labels
    left_out: dict[str, tuple[int, int | None]] = {
        reason: (count, 0 if reason == IMMATURE else None)
        for reason, count in data.manifest.left_out.items()
    }
    if labels is None:
        return rows, left_out
    mature = rows.filter(pl.col(time) <= labels.mature_until)
    if mature.is_empty():
        raise ConfigurationError(
            f"training dataset {data.label}: expected payments older than the maturity of its "
            f"labels, {labels.maturity} before {labels.known_by:%Y-%m-%d %H:%M}, got none; make it "
            "with a later --known-by or a shorter --maturity."
        )
    if young := len(rows) - len(mature):
        left_out[_IMMATURE_FRAUD] = (young, young)
    return mature, left_out


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
