"""A training dataset from versions of its groups: equal versions give equal rows, to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from shroff.errors import ConfigurationError, DataError, did_you_mean
from shroff.features.window import micros
from shroff.store.commits import Version
from shroff.store.group import Column, Group
from shroff.store.point_in_time import NEVER, NOT_YET, PRESENT, match
from shroff.store.tables import GroupTable
from shroff.store.training_set import PART, STATUS, Joined, Labels, Split, TrainingSet

CORRECTION: Final = "a correction of a payment that is there"
NO_LABEL: Final = "no label"
LATER_LABEL: Final = "the label came after the day"
LATER_PAYMENT: Final = "the payment came after the day"
IMMATURE: Final = "genuine, but younger than the maturity"

_LABEL: Final = "\0label"
_LABELLED: Final = "\0labelled"


@dataclass(frozen=True)
class Source:
    """A group's table under the definition of the version that is read."""

    table: GroupTable
    version: Version

    @property
    def group(self) -> Group:
        """The group's definition."""
        return self.table.group


@dataclass(frozen=True)
class Built:
    """The rows of a training dataset, and what it leaves out.

    Attributes:
        group: the definition of its columns; descriptions name the group that each comes from.
        origin: of each column that was joined, the group's name.
        left_out: how many payments, by reason.
        statuses: by status column, how many payments have each status.
    """

    rows: pl.DataFrame
    group: Group
    origin: Mapping[str, str]
    left_out: Mapping[str, int]
    statuses: Mapping[str, Mapping[str, int]]


def build(wanted: TrainingSet, sources: Mapping[str, Source]) -> Built:
    """The rows of a training dataset.

    Args:
        sources: the table and version of each group, by its name in the definition.

    Raises:
        ConfigurationError: columns that do not fit each other.
        DataError: no payment is left.
    """
    base = sources[wanted.of]
    group = base.group
    payments, left_out = _payments(wanted, base)
    if wanted.labels is not None:
        payments = _labelled(payments, wanted.labels, group, sources, left_out)
    known = dict(group.columns)
    if wanted.labels is not None and wanted.labels.group is not None:
        known[wanted.labels.column] = sources[wanted.labels.group].group.columns[
            wanted.labels.column
        ]
    columns = {name: known[name] for name in payments.columns}
    origin: dict[str, str] = {}
    parts = [payments]
    for join in wanted.joins:
        joined, kinds = _join(payments, group, join, sources[join.group])
        if twice := sorted(set(kinds) & set(columns)):
            raise ConfigurationError(
                f"training set `{wanted.name}`: column `{twice[0]}` of `{join.group}` is there "
                "already; take other columns, or name a prefix."
            )
        columns |= kinds
        origin |= dict.fromkeys(kinds, sources[join.group].group.name)
        parts.append(joined)
    whole = pl.concat(parts, how="horizontal")
    if wanted.split is not None:
        whole = _split(whole, wanted.split, group)
        columns[PART] = Column("text")
        if (
            lacking := [one for one in wanted.split.parts if one not in whole[PART].unique()]
            if len(whole)
            else []
        ):
            raise DataError(
                f"training set `{wanted.name}`: expected payments in each part, got none in "
                f"`{lacking[0]}`, of "
                f"{len(whole):,} that are left; choose other shares, a shorter gap or another day."
            )
    if whole.is_empty():
        reasons = (
            ", ".join(f"{count:,} {reason}" for reason, count in left_out.items() if count)
            or "the group has none"
        )
        raise DataError(
            f"training set `{wanted.name}`: expected payments to learn from, got none: {reasons}."
        )
    found = Group(
        name=wanted.name,
        key=group.key,
        time=group.time,
        arrival=group.arrival,
        columns=columns,
        tags=wanted.tags,
    )
    return Built(
        rows=whole.select(*found.columns),
        group=found,
        origin=origin,
        left_out={name: n for name, n in left_out.items() if n},
        statuses={name: _counted(whole[name]) for name in origin if _is_status(name, origin)},
    )


def _is_status(name: str, origin: Mapping[str, str]) -> bool:
    return name.endswith(origin[name] + STATUS)


def _counted(status: pl.Series) -> dict[str, int]:
    counts = status.value_counts()
    found = dict(zip(counts[status.name], counts["count"], strict=True))
    return {word: found[word] for word in (PRESENT, NOT_YET, NEVER) if word in found}


def _payments(wanted: TrainingSet, base: Source) -> tuple[pl.DataFrame, dict[str, int]]:
    group, labels = base.group, wanted.labels
    columns = group.values if wanted.columns is None else list(wanted.columns)
    group.require(columns)
    if labels is not None and labels.group is None:
        needed = [labels.column, *([labels.arrival] if labels.arrival else [])]
        group.require(needed)
        columns = list(dict.fromkeys([*columns, *needed]))
    for join in wanted.joins:
        columns = list(
            dict.fromkeys([*columns, *(name for name in join.on or () if name not in group.order)])
        )
    rows = base.table.read(columns, times=wanted.times, as_of=base.version.number)
    # a correction that came after the payment was judged
    first = rows.sort(group.known_at, maintain_order=True).unique(
        group.key, keep="first", maintain_order=True
    )
    payments = first.sort(group.time, *group.key)
    return payments, {CORRECTION: len(rows) - len(payments)}


def _labelled(
    payments: pl.DataFrame,
    labels: Labels,
    group: Group,
    sources: Mapping[str, Source],
    left_out: dict[str, int],
) -> pl.DataFrame:
    """The payments whose label was known, with the label; the others are counted."""
    known_by, mature_until = pl.lit(labels.known_by), pl.lit(labels.mature_until)
    if labels.group is None:
        column = payments[labels.column]
        arrival = payments[labels.arrival or group.known_at]
    else:
        column, arrival = _labels_of(payments, labels, group, sources[labels.group])
    if column.dtype != pl.Boolean:
        raise ConfigurationError(
            f"Labels(column=…): expected `{labels.column}` to be true or false, got another kind."
        )
    if not isinstance(arrival.dtype, pl.Datetime):
        raise ConfigurationError(
            f"Labels(arrival=…): expected `{labels.arrival}` to be a time, got another kind."
        )
    reason = payments.with_columns(column.alias(_LABEL), arrival.alias(_LABELLED)).select(
        pl.when(pl.col(group.known_at) > known_by)
        .then(pl.lit(LATER_PAYMENT))
        .when(pl.col(_LABEL).is_null())
        .then(pl.lit(NO_LABEL))
        # a label without an arrival was known with its payment
        .when(pl.col(_LABELLED) > known_by)
        .then(pl.lit(LATER_LABEL))
        .when(~pl.col(_LABEL) & (pl.col(group.time) > mature_until))
        .then(pl.lit(IMMATURE))
    )
    reasons = reason.to_series()
    for name in (LATER_PAYMENT, NO_LABEL, LATER_LABEL, IMMATURE):
        left_out[name] = int((reasons == name).sum())
    return payments.with_columns(column.alias(labels.column)).filter(reasons.is_null())


def _labels_of(
    payments: pl.DataFrame, labels: Labels, group: Group, source: Source
) -> tuple[pl.Series, pl.Series]:
    """By payment, the label at the moment and its arrival; else the first that came later."""
    theirs = source.group
    theirs.require([labels.column])
    if theirs.key != group.key:
        raise ConfigurationError(
            "Labels(group=…): expected a group keyed as the payments are, by "
            f"{', '.join(group.key)}."
        )
    rows = source.table.read([labels.column], as_of=source.version.number)
    asked = payments.select(*group.key).with_columns(pl.lit(labels.known_by).alias(_LABELLED))
    times = (_LABELLED, theirs.known_at)
    found = match(asked, rows, on=group.key, key=theirs.key, time=times, known=times, own=True)
    values = found.values([labels.column, theirs.known_at])
    later = (found.status == "not_yet_known").to_frame("later")
    # a payment whose first label came later counts as labelled after the moment
    told = values.hstack(later).select(
        pl.when("later").then(False).otherwise(labels.column).alias(labels.column),
        pl.when("later")
        .then(pl.lit(labels.known_by) + pl.duration(days=1))
        .otherwise(theirs.known_at)
        .alias(_LABELLED),
    )
    return told[labels.column], told[_LABELLED]


def _join(
    payments: pl.DataFrame, group: Group, join: Joined, source: Source
) -> tuple[pl.DataFrame, dict[str, Column]]:
    theirs = source.group
    on = list(join.on or theirs.key)
    for name, key in zip(on, theirs.key, strict=False):
        if name not in payments.columns:
            hint = did_you_mean(name, payments.columns) or "."
            raise ConfigurationError(
                f"Joined({join.group!r}): the payments have no column `{name}`{hint} Name it with "
                "on=."
            )
        if group.columns[name].kind != theirs.columns[key].kind:
            raise ConfigurationError(
                f"Joined({join.group!r}): `{name}` and the key `{key}` are of different kinds."
            )
    if len(on) != len(theirs.key):
        raise ConfigurationError(
            f"Joined({join.group!r}, on=…): expected {len(theirs.key)} columns, got {len(on)}."
        )
    chosen = theirs.values if join.columns is None else list(join.columns)
    rows = source.table.read(chosen, as_of=source.version.number)
    found = match(
        payments,
        rows,
        on=on,
        key=theirs.key,
        time=(group.time, theirs.time),
        known=(group.known_at, theirs.known_at),
        own=tuple(on) == tuple(group.key),
    )
    names = {name: join.prefix + name for name in chosen}
    status = join.prefix + theirs.name + STATUS
    values = (
        found.values(chosen).rename(names).with_columns(found.status.cast(pl.String).alias(status))
    )
    return values, {names[name]: theirs.columns[name] for name in chosen} | {status: Column("text")}


def _split(payments: pl.DataFrame, split: Split, group: Group) -> pl.DataFrame:
    """The payments with their part; those in a gap have none."""
    if PART in payments.columns:
        raise ConfigurationError(
            f"Split: the column `{PART}` is there already; take other columns."
        )
    names = list(split.parts)
    if split.by == "random":
        place = np.empty(len(payments))
        place[np.random.Generator(np.random.PCG64(split.seed)).permutation(len(payments))] = (
            np.arange(len(payments))
        )
        part = np.searchsorted(np.array(split.ends) * len(payments), place, side="right")
        return payments.with_columns(pl.Series(PART, [names[one] for one in part], dtype=pl.String))
    time = payments[group.time].dt.epoch("us").to_numpy()
    if not len(time):
        return payments.with_columns(pl.lit(None, pl.String).alias(PART))
    # payments of one moment stay in one part
    starts = [time[min(round(end * len(time)), len(time) - 1)] for end in split.ends]
    part = np.searchsorted(np.array(starts, dtype=np.int64), time, side="right")
    gap = micros(split.gap) if split.gap else 0
    between = np.zeros(len(time), dtype=bool)
    for start in starts:
        between |= (time < start) & (time >= start - gap)
    named = [None if gone else names[one] for one, gone in zip(part, between, strict=True)]
    return payments.with_columns(pl.Series(PART, named, dtype=pl.String))
