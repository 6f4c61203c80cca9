"""Parity: the same features from two sides, compared to the bit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from shroff.features.define import Aggregate
from shroff.features.links import LinkFeature
from shroff.features.plan import Plan
from shroff.features.window import after, micros, upto


@dataclass(frozen=True)
class FeatureDifference:
    """The first payment at which a feature differs.

    `events` are the ids of the payments that the window law lets the feature see, whatever its
    condition, results and labels, of the same entity; of links, those of all that are linked, over
    popular values too. None for a feature without a window.
    """

    payment: str
    feature: str
    left: float | str | None
    right: float | str | None
    events: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Parity:
    """The numbers of equal and different payments per feature, and the first difference.

    `lacking` payments were forgotten, and nothing was kept of them to count.
    """

    left: str
    right: str
    payments: int
    different: dict[str, int]
    first: FeatureDifference | None
    lacking: int = 0

    @property
    def holds(self) -> bool:
        """Whether nothing differs."""
        return self.first is None


def compare(left: pl.DataFrame, right: pl.DataFrame, left_name: str, right_name: str) -> Parity:
    """Compare two feature tables of the same payments in the same order: an id, then the features.

    Null equals null; numbers are equal if every bit is, except the sign of zero.
    """
    identifier, *names = left.columns
    different: dict[str, int] = {}
    first: tuple[int, str] | None = None
    for name in names:
        unequal = left[name].ne_missing(right[name])
        different[name] = int(unequal.sum())
        row = unequal.arg_max()
        if different[name] and row is not None and (first is None or row < first[0]):
            first = row, name
    difference = None
    if first is not None:
        row, name = first
        difference = FeatureDifference(
            left[identifier][row], name, left[name][row], right[name][row]
        )
    return Parity(left_name, right_name, len(left), different, difference)


def explain(parity: Parity, frame: pl.DataFrame, plan: Plan) -> Parity:
    """The parity, with the payments that the first difference's window sees."""
    if parity.first is None:
        return parity
    features = {feature.name: feature for group in plan.groups for feature in group.definitions}
    feature = features[parity.first.feature]
    if not isinstance(feature, Aggregate | LinkFeature):
        return parity
    found = parity.first
    events = _seen(feature, found.payment, frame, plan)
    first = FeatureDifference(found.payment, found.feature, found.left, found.right, events)
    return replace(parity, first=first)


def _seen(
    feature: Aggregate | LinkFeature, payment: str, frame: pl.DataFrame, plan: Plan
) -> tuple[str, ...]:
    schema = plan.schema
    ordered = frame.sort(schema.arrived_at or schema.time, maintain_order=True)
    row = int(ordered[schema.id].index_of(payment) or 0)
    time = ordered[schema.time].dt.epoch("us")
    if isinstance(feature, LinkFeature):
        before = pl.int_range(pl.len()) < row
        inside = pl.lit(time) > time[row] - micros(feature.window)
        return tuple(_linked(feature, ordered.filter(before & inside), ordered[row])[schema.id])
    delay = micros(feature.delay) if feature.delay else 0
    resolution = micros(feature.resolution) if feature.resolution else 0
    before = pl.int_range(pl.len()) < row + int(feature.include_current)
    inside = pl.lit(time) > after(time[row], micros(feature.window), delay, resolution)
    if delay:
        inside &= pl.lit(time) <= upto(time[row], delay, resolution)
    same = pl.all_horizontal(pl.col(name) == ordered[name][row] for name in feature.entity.key)
    return tuple(ordered.filter(before & inside & same)[schema.id])


def _linked(feature: LinkFeature, seen: pl.DataFrame, own: pl.DataFrame) -> pl.DataFrame:
    """The payments of a key and of all that are linked to it, of those that are seen."""
    keys, values = own[feature.key], own[feature.by]
    for _ in range(feature.hops):
        values = values.append(seen.filter(pl.col(feature.key).is_in(keys.implode()))[feature.by])
        values = values.drop_nulls().unique()
        keys = keys.append(seen.filter(pl.col(feature.by).is_in(values.implode()))[feature.key])
        keys = keys.drop_nulls().unique()
    return seen.filter(pl.col(feature.key).is_in(keys.implode()))
