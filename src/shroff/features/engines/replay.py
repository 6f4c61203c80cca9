"""Replay: feed an online engine with a table's payments, results and labels, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from shroff.collect import Schema, require_clean
from shroff.collect.currencies import codes_of
from shroff.collect.labels import HISTORY, said_of, with_columns_of_one
from shroff.collect.payment import Value, payments
from shroff.features.engines.online import Engine, OnlineEngine
from shroff.features.engines.online.bulk import Known, Table
from shroff.features.group import FeatureGroup
from shroff.features.plan import Plan
from shroff.features.streams import Later
from shroff.features.window import END_OF_TIME_US


def replay(
    groups: Sequence[FeatureGroup], frame: pl.DataFrame, schema: Schema, *, lateness: str = "36500d"
) -> pl.DataFrame:
    """The features the online engine gives for a clean table, in the shape of `batch.compute`."""
    return replay_with(OnlineEngine(groups, schema, lateness=lateness), frame)


def replay_with(engine: Engine, frame: pl.DataFrame) -> pl.DataFrame:
    """The features that an engine gives for a clean table, in whatever state it is."""
    schema = engine.plan.schema
    rows = [features for features in feed(engine, frame) if features is not None]
    order = _arrival_order(frame, schema)
    columns = [
        pl.Series(
            name, [row[name] for row in rows], dtype=pl.String if kind == "text" else pl.Float64
        )
        for name, kind in engine.plan.kinds.items()
    ]
    arrived = pl.DataFrame([frame[schema.id][order], *columns])
    return frame.select(schema.id).join(arrived, on=schema.id, how="left", maintain_order="left")


def warmed(
    groups: Sequence[FeatureGroup], history: pl.DataFrame, schema: Schema, *, lateness: str = "1d"
) -> OnlineEngine:
    """An engine that has seen a clean table, with the results and labels it has.

    It lets new features start with their full history: build it while the old ones serve, let it
    see what came since, and swap it in; or pour it into a state in Redis.
    """
    engine = OnlineEngine(groups, schema, lateness=lateness)
    for _ in count(engine, history):
        pass
    return engine


def feed(
    engine: Engine, frame: pl.DataFrame, *, known: int = END_OF_TIME_US
) -> Iterator[dict[str, Value] | None]:
    """Observe a table's payments in order of arrival, and results and labels as they arrived.

    Results and labels that arrived after the last payment come after it, up to `known`
    (microseconds since the epoch). Yields the features of each payment, in order of arrival.

    Raises:
        MixedCurrencies: a feature reads amounts that are in several currencies.
        DataError: the table is raw.
    """
    schema = engine.plan.schema
    require_clean(frame.schema, schema)
    engine.plan.require_one_currency(lambda: codes_of(frame, schema))
    ordered = frame[_arrival_order(frame, schema)]
    later = _later_events(ordered, engine, schema)
    upcoming = next(later, None)
    at_once = {
        kind: ordered[column].to_list()
        for kind, column, moment in _kinds(schema)
        if kind in engine.plan.later and column is not None and moment is None
    }
    for row, payment in enumerate(payments(ordered, schema)):
        while upcoming is not None and upcoming.arrived < payment.arrived:
            _tell(engine, upcoming)
            upcoming = next(later, None)
        yield engine.observe(payment)
        for kind, values in at_once.items():
            engine.later(payment.id, kind, values[row])
    while upcoming is not None and upcoming.arrived <= known:
        _tell(engine, upcoming)
        upcoming = next(later, None)


def count(
    engine: OnlineEngine, frame: pl.DataFrame, *, known: int = END_OF_TIME_US
) -> Iterator[int]:
    """`feed` without features, and without payments that no window will reach, to an engine that
    has seen none: fills its timelines from columns. Yields how many events they got, in stretches.

    Raises:
        MixedCurrencies, DataError: as `feed`.
    """
    schema = engine.plan.schema
    require_clean(frame.schema, schema)
    engine.plan.require_one_currency(lambda: codes_of(frame, schema))
    if len(frame):
        times = frame[schema.time].dt.epoch("us")
        frame = frame.filter(times > engine.reach(int(times.max())))  # type: ignore[arg-type]  # no null
    ordered = frame[_arrival_order(frame, schema)]
    histories = "label" in engine.plan.later and _labels_change(ordered, schema)
    known_of = {} if histories else _known(with_columns_of_one(ordered, schema), engine.plan, known)
    yield from engine.fill(Table(ordered, engine.plan), known_of)
    if histories:
        # labels that change come one by one
        _tell_all(engine, ordered, known)


def _labels_change(ordered: pl.DataFrame, schema: Schema) -> bool:
    """Whether some payment has several labels, or some label a rank: columns say neither."""
    if HISTORY not in ordered.columns:
        return False
    return bool(schema.label_sources) or bool((ordered[HISTORY].list.len() > 1).any())


def _known(ordered: pl.DataFrame, plan: Plan, known: int) -> dict[Later, Known]:
    """The results and labels of a table's payments that `feed` would tell."""
    schema, found = plan.schema, dict[Later, Known]()
    arrivals = ordered[schema.arrived_at or schema.time].dt.epoch("us")
    upto = _last_told(arrivals, known)
    for kind, column, moment in _kinds(schema):
        if kind not in plan.later or column is None:
            continue
        if moment is None:
            arrived = np.zeros(len(ordered), np.int64)
            found[kind] = Known(ordered[column], arrived, 2 * arrivals.to_numpy())
            continue
        when = pl.max_horizontal(pl.col(moment).dt.epoch("us"), arrivals)
        told = ordered.select(
            pl.when(pl.col(moment).is_not_null() & (when <= upto)).then(column).alias("value"),
            when.alias("at"),
        )
        arrived = told["at"].to_numpy()
        # what arrives with its payment comes before all else that arrives then
        found[kind] = Known(told["value"], arrived, 2 * arrived + 1)
    return found


def _last_told(arrivals: pl.Series, known: int) -> int:
    """Until when results and labels are told: up to `known`, or before the last payment."""
    return max(known, int(arrivals.max() or 0) - 1)  # type: ignore[arg-type]  # a whole number


def _tell_all(engine: OnlineEngine, ordered: pl.DataFrame, known: int) -> None:
    """Tell what `feed` would tell, in its order, once all payments are there."""
    schema = engine.plan.schema
    arrivals = ordered[schema.arrived_at or schema.time].dt.epoch("us")
    upto = _last_told(arrivals, known)
    events = [(2 * event.arrived + 1, event) for event in _later_events(ordered, engine, schema)]
    for kind, column, moment in _kinds(schema):
        if kind in engine.plan.later and column is not None and moment is None:
            rows = zip(arrivals, ordered[schema.id], ordered[column], strict=True)
            events += [
                (2 * at, _Event(0, row, name, kind, value))
                for row, (at, name, value) in enumerate(rows)
            ]
    events.sort(key=lambda event: (event[0], event[1].row))
    for _, event in events:
        if event.arrived <= upto:
            _tell(engine, event)


class _Event(NamedTuple):
    """A result or label of the payment in a row."""

    arrived: int
    row: int
    payment: str
    kind: Later
    value: Value
    rank: int = 0


def _tell(engine: Engine, event: _Event) -> None:
    engine.later(event.payment, event.kind, event.value, rank=event.rank, arrived=event.arrived)


def _kinds(schema: Schema) -> tuple[tuple[Later, str | None, str | None], ...]:
    return ("result", schema.result, schema.result_at), ("label", schema.label, schema.labelled_at)


def _later_events(ordered: pl.DataFrame, engine: Engine, schema: Schema) -> Iterator[_Event]:
    """Results and labels that have an arrival, in its order; never before their payment."""
    events: list[_Event] = []
    arrival = schema.arrived_at or schema.time
    for kind, column, moment in _kinds(schema):
        if kind not in engine.plan.later or column is None or moment is None:
            continue
        if kind == "label" and HISTORY in ordered.columns:
            said, names = said_of(ordered, schema), ordered[schema.id]
            events += [
                _Event(at, row, names[row], kind, fraud, rank)
                for row, at, fraud, rank in said.iter_rows()
            ]
            continue
        known = ordered.with_row_index("\0row").filter(
            pl.col(column).is_not_null() & pl.col(moment).is_not_null()
        )
        when = pl.max_horizontal(moment, arrival).dt.epoch("us")
        for row, at, identifier, value in known.select(
            "\0row", when.alias("\0at"), schema.id, column
        ).iter_rows():
            events.append(_Event(at, row, identifier, kind, value))
    # the sort is stable: events of one arrival and row stay in order
    events.sort(key=lambda event: event[:2])
    return iter(events)


def _arrival_order(frame: pl.DataFrame, schema: Schema) -> pl.Series:
    return frame.select(
        pl.arg_sort_by(schema.arrived_at or schema.time, maintain_order=True)
    ).to_series()
