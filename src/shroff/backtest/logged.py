"""The past of a log: by what held then, with features and scores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import msgspec
import polars as pl

from shroff.backtest.past import PAST, Past, columns_of, probabilities
from shroff.clock import system_time
from shroff.collect import Cleaned, Schema
from shroff.collect.label_table import LabelTable
from shroff.collect.labels import require_label, with_labels
from shroff.collect.rates import Rates
from shroff.collect.tables import ReferenceTable
from shroff.control.rates import holding
from shroff.control.replacements import Replacements
from shroff.control.tables import in_force
from shroff.decide.lists import Edit, Values
from shroff.errors import ConfigurationError, UnknownColumn, did_you_mean
from shroff.features.engines.batch import compute_plan
from shroff.features.plan import Plan
from shroff.package import Bundle

_SELDOM: Final = (
    "payments without an exchange rate, or otherwise unusable, by what was in place then"
)


class Replaced(NamedTuple):
    """What was put in the place of a bundle's own exchange rates or reference table (None: its own
    again), from when on, in microseconds since the epoch.
    """

    made_at: int
    name: str
    table: Rates | ReferenceTable | None


def replaced_by(kept: Replacements[Rates] | Replacements[ReferenceTable]) -> list[Replaced]:
    """All replacements of a control database, oldest first, each table read once."""
    records = kept.records()
    marks = {one.mark for one in records if one.mark is not None}
    tables: dict[str, Rates | ReferenceTable] = {
        one.mark: one for one in (kept.marked(marks) if marks else ())
    }
    return [
        Replaced(one.made_at, one.name, None if one.mark is None else tables[one.mark])
        for one in records
    ]


def schemas_then(schema: Schema, replaced: Iterable[Replaced]) -> list[tuple[int, Schema]]:
    """A schema with the rates and tables that held from each time on, the first from the beginning.

    What does not fit the schema does not hold for it.
    """
    found = [(0, schema)]
    rates: Rates | None = None
    tables: dict[str, ReferenceTable | None] = {}
    for one in sorted(replaced, key=lambda each: each.made_at):
        if isinstance(one.table, ReferenceTable) or one.name:
            tables[one.name] = one.table  # type: ignore[assignment]  # rates have no name
        else:
            rates = one.table
        then = msgspec.structs.replace(
            schema,
            rates=None if schema.rates is None else holding(rates, schema.rates),
            tables=in_force(tables, schema.tables),
        )
        if (then.rates, then.tables) != (found[-1][1].rates, found[-1][1].tables):
            found.append((one.made_at, then))
    return found


def past_of_log(
    bundle: Bundle,
    read: Callable[[Bundle], Cleaned],
    *,
    source: str,
    lists: Values,
    edits: Sequence[Edit] = (),
    replaced: Iterable[Replaced] = (),
    labels: Callable[[Schema], LabelTable] | None = None,
    propensity: str | None = None,
) -> Past:
    """The payments of a log, each with features and probability of then.

    Args:
        read: cleans the log by the schema of a bundle.
        source: the log, in words.
        lists: those of the policy, which a model of rules may read; `edits` are theirs.
        labels: reads a table of labels by a schema (`LabelTable.read`).
        propensity: the column that has it.

    Raises:
        ConfigurationError: the schema names no label, or a propensity is no probability.
        DataError: the log is unusable.
        UnknownColumn: there is no column of propensities.
    """
    label, schema = require_label(bundle.schema), bundle.schema
    wider = schema
    if propensity is not None and propensity not in schema.scales:
        wider = msgspec.structs.replace(schema, numeric=[*schema.numeric, propensity])
    frame, left_out, notices = _read_then(replace(bundle, schema=wider), read, replaced)
    if labels is not None:
        beside = labels(schema)
        strange = beside.strange([frame[schema.id]]).items()
        notices += beside.notices()
        notices += [f"labels left out, {why}: {many:,}." for why, many in strange]
        frame = with_labels(frame, beside.labels, schema)
    plan = Plan(bundle.groups, schema)
    table = columns_of(bundle, frame, compute_plan(plan, frame))
    moment = frame[schema.arrived_at or schema.time].dt.epoch("us")
    scored = probabilities(bundle, table, moment.to_numpy(), lists, edits)
    known = {
        "\0id": frame[schema.id],
        "\0time": frame[schema.time].dt.epoch("us"),
        "\0moment": moment,
        "\0fraud": frame[label],
        "\0probability": pl.Series(scored).fill_nan(None),
        "\0propensity": None if propensity is None else _propensities(frame, propensity),
    }
    times = [frame[name].dt.epoch("us") for name in (schema.time, schema.arrived_at) if name]
    newest = max(int(one.max() or 0) for one in times)  # type: ignore[arg-type]  # integers
    if schema.labelled_at is not None:
        # a label of a mistyped year says nothing of how far labels have come in
        said, now = frame[schema.labelled_at].dt.epoch("us"), max(newest, system_time())
        newest = max(newest, int(said.filter(said <= now).max() or 0))  # type: ignore[arg-type]  # integers
    return Past(
        frame=table.hstack(_past_columns(known, table.height)),
        source=source,
        until=newest,
        left_out=left_out,
        notices=notices,
    )


def _past_columns(known: Mapping[str, pl.Series | None], rows: int) -> list[pl.Series]:
    nothing = pl.Series([None])
    return [
        (nothing.new_from_index(0, rows) if (one := known.get(name)) is None else one)
        .cast(kind)
        .alias(name)
        for name, kind in PAST.items()
    ]


def _read_then(
    bundle: Bundle, read: Callable[[Bundle], Cleaned], replaced: Iterable[Replaced]
) -> tuple[pl.DataFrame, dict[str, int], list[str]]:
    """The clean log, each payment by the rates and tables of its arrival; what was left out."""
    schema = bundle.schema
    first, *later = schemas_then(schema, replaced)
    cleaned = read(replace(bundle, schema=first[1]))
    left_out, frame = dict(cleaned.dropped), cleaned.frame
    arrival = pl.col(schema.arrived_at or schema.time).dt.epoch("us")
    newest = int(frame.select(arrival.max()).item() or 0)
    for since, then in later:
        if since <= newest:
            again = read(replace(bundle, schema=then)).frame
            frame = pl.concat([frame.filter(arrival < since), again.filter(arrival >= since)])
    if lost := cleaned.frame.height - frame.height:
        left_out[_SELDOM] = lost
    return frame, left_out, cleaned.notices(schema)


def _propensities(frame: pl.DataFrame, name: str) -> pl.Series:
    if name not in frame.columns:
        raise UnknownColumn(
            f"expected a column `{name}` of propensities, found none"
            f"{did_you_mean(name, frame.columns) or '.'}"
        )
    column = frame[name].cast(pl.Float64)
    wrong = int((~column.drop_nulls().is_between(0, 1, closed="right")).sum())
    if wrong:
        raise ConfigurationError(
            f"`{name}`: expected propensities above 0 and up to 1, got others in {wrong:,} "
            "payments: leave it empty where nothing was let through at random."
        )
    return column


def clean_log(
    path: str | os.PathLike[str],
    key: bytes,
    max_bad: float,
    join: str | os.PathLike[str] | None = None,
    *,
    spare_labels: bool | None = None,
) -> Callable[[Bundle], Cleaned]:
    """What reads a log by the schema of a bundle; `join` and `spare_labels` as in `history_of`."""
    from shroff.scoring.history import clean_history

    return lambda bundle: clean_history(bundle, path, key, max_bad, join, spare_labels=spare_labels)
