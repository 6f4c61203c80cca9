"""The batch engine: features of a whole table on one machine, Polars around the compiled sweep."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shroff.collect import Schema, money
from shroff.features import kernel
from shroff.features.define import FeatureGroup
from shroff.features.engines.rows import column
from shroff.features.plan import PRESENT, Output, Plan, Slot, Stream

Floats = NDArray[np.float64]


def compute(groups: Sequence[FeatureGroup], frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """The features of a clean table.

    Args:
        frame: a table as `shroff.collect.clean` leaves it, in any row order; ids are unique.

    Returns:
        The id column and one column per feature (Float64 or String, nullable), rows as in `frame`.
    """
    plan = Plan(groups, schema)
    return compute_plan(plan, frame)


def compute_plan(plan: Plan, frame: pl.DataFrame) -> pl.DataFrame:
    """`compute` for a plan that is there already."""
    schema = plan.schema
    arrival = schema.arrived_at or schema.time
    order = frame.select(pl.arg_sort_by(arrival, maintain_order=True)).to_series()
    in_order = bool((order.diff().drop_nulls() == 1).all())
    table = _Table(plan, frame if in_order else frame[order])
    columns = _aggregates(plan, table)
    values = table.people().with_columns(*columns)
    for row in plan.rows:
        values = values.with_columns(column(row, schema.time, schema.timezone).alias(row.name))
    features = values.select(schema.id, *plan.names)
    if in_order:
        return features
    back = np.empty(len(order), np.int64)
    back[order.to_numpy()] = np.arange(len(order))
    return features[pl.Series(back)]


class _Table:
    """A table in order of arrival as the sweep wants it: integers, by row."""

    def __init__(self, plan: Plan, frame: pl.DataFrame) -> None:
        self.plan = plan
        self.schema = plan.schema
        self.frame = frame
        self.times = _epoch(frame[self.schema.time])
        self.ranks = np.arange(len(frame), dtype=np.int64)
        self._codes: dict[tuple[str, ...], tuple[NDArray[np.int32], int]] = {}
        self._units: dict[str, NDArray[np.int64]] = {}

    def codes(self, columns: tuple[str, ...]) -> tuple[NDArray[np.int32], int]:
        """Codes 0 … n - 1 of the values of these columns together (-1 where one is null), and n."""
        if columns not in self._codes:
            codes, n = _factorise(self.frame[columns[0]])
            for name in columns[1:]:
                more, m = _factorise(self.frame[name])
                pairs = np.where((codes < 0) | (more < 0), -1, codes.astype(np.int64) * m + more)
                codes, n = _factorise(pl.Series(pairs, dtype=pl.Int64).set(pl.Series(pairs < 0), None))
            self._codes[columns] = codes, n
        return self._codes[columns]

    def units(self, name: str) -> NDArray[np.int64]:
        """What to sum for a column: ten-thousandths, 0 where there is no value."""
        if name not in self._units:
            self._units[name] = self.frame.select(self._unit(name).fill_null(0)).to_series().to_numpy()
        return self._units[name]

    def _unit(self, name: str) -> pl.Expr:
        schema = self.schema
        if name.startswith(PRESENT):
            return pl.col(name.removeprefix(PRESENT)).is_not_null().cast(pl.Int64)
        if name != schema.amount:
            return (pl.col(name) * money.UNITS).round(mode="half_to_even").cast(pl.Int64)
        return money.units(name, schema.currency, schema.default_currency)

    def people(self) -> pl.DataFrame:
        """The table as conditions read it: amounts in major units, as people write them."""
        schema = self.schema
        amount = money.major(schema.amount, schema.currency, schema.default_currency)
        return self.frame.with_columns(amount.alias(schema.amount))

    def known(self, stream: Stream) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which rows are events of a stream, and the arrival rank after which each is known."""
        schema = self.schema
        passes = pl.lit(value=True)
        if stream.where is not None:
            passes = stream.where.polars().fill_null(value=False)
        if stream.fraud:
            passes = passes & pl.col(str(schema.label)).fill_null(value=False)
        ranks = self.ranks
        moments = {"result": (schema.result, schema.result_at), "label": (schema.label, schema.labelled_at)}
        for later in sorted(stream.later):
            value, arrived_at = moments[later]
            passes = passes & pl.col(str(value)).is_not_null()
            if arrived_at is not None:
                passes = passes & pl.col(arrived_at).is_not_null()
                ranks = np.maximum(ranks, self._rank_of(arrived_at))
        mask = self.people().select(passes.alias("passes"))["passes"]
        return (mask if len(mask) == len(self.frame) else mask.new_from_index(0, len(self.frame))).to_numpy(), ranks

    def _rank_of(self, arrived_at: str) -> NDArray[np.int64]:
        """The rank of the last payment that had arrived when each row's later event did: only payments after
        that one see it."""
        arrivals = _epoch(self.frame[self.schema.arrived_at or self.schema.time])
        # a later event never arrives before its payment
        moments = np.maximum(self.frame[arrived_at].dt.epoch("us").fill_null(0).to_numpy(), arrivals)
        last: NDArray[np.int64] = np.searchsorted(arrivals, moments, side="right").astype(np.int64) - 1
        return last


def _epoch(column: pl.Series) -> NDArray[np.int64]:
    return column.dt.epoch("us").to_numpy()


def _factorise(column: pl.Series) -> tuple[NDArray[np.int32], int]:
    distinct = column.drop_nulls().unique()
    if not len(distinct):
        return np.full(len(column), -1, np.int32), 0
    if column.dtype == pl.String:
        codes = column.cast(pl.Enum(distinct)).to_physical().cast(pl.Int32)
    else:
        codes = column.replace_strict(distinct, np.arange(len(distinct)), default=None, return_dtype=pl.Int32)
    return codes.fill_null(-1).to_numpy(), len(distinct)


@dataclass
class _Swept:
    """What a slot held at each payment, by row."""

    count: NDArray[np.int64]
    totals: NDArray[np.int64]
    distincts: NDArray[np.int64]
    last: NDArray[np.int64]


@dataclass(frozen=True)
class _Events:
    """A stream's events and its payments by key, ready to be swept."""

    keys: int
    query_starts: NDArray[np.int64]
    query_rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    rows: NDArray[np.int64]
    arrivals: NDArray[np.int64]
    ranks: NDArray[np.int64]
    unkeyed: NDArray[np.bool_]


def _aggregates(plan: Plan, table: _Table) -> list[pl.Series]:
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        events = dict(zip(plan.streams, pool.map(lambda s: _events(s, table), plan.streams), strict=True))
        slots = [(stream, slot) for stream in plan.streams for slot in stream.slots.values()]
        held = pool.map(lambda pair: _sweep(pair[0], pair[1], events[pair[0]], table), slots)
        swept = dict(zip((slot for _, slot in slots), held, strict=True))
        return list(pool.map(lambda output: _finish(output, swept, events[output.stream], table), plan.outputs))


def _events(stream: Stream, table: _Table) -> _Events:
    codes, keys = table.codes(stream.columns)
    passes, ranks = table.known(stream)
    query_starts, query_rows = kernel.group_rows(codes, keys)
    if passes.all():
        starts, rows = query_starts, query_rows.copy()
    else:
        starts, rows = kernel.group_rows(np.where(passes, codes, np.int32(-1)), keys)
    late = kernel.sort_within(starts, rows, table.times)
    arrivals = np.empty(0, np.int64)
    if late or stream.later:
        arrivals = np.arange(len(rows), dtype=np.int64)
        kernel.sort_within(starts, arrivals, ranks[rows])
    return _Events(keys, query_starts, query_rows, starts, rows, arrivals, ranks, codes < 0)


def _sweep(stream: Stream, slot: Slot, events: _Events, table: _Table) -> _Swept:
    rows = len(table.frame)
    totals = np.empty((len(slot.totals), rows), np.int64)
    for place, at in enumerate(slot.totals):
        totals[place] = table.units(stream.totals[at])
    codes = np.empty((len(slot.distincts), rows), np.int32)
    n_codes = 0
    for place, at in enumerate(slot.distincts):
        codes[place], n = table.codes((stream.distincts[at],))
        n_codes = max(n_codes, n)
    swept = _Swept(
        count=np.zeros(rows, np.int64),
        totals=np.zeros((len(totals), rows), np.int64),
        distincts=np.zeros((len(codes), rows), np.int64),
        last=np.full(rows if slot.last else 0, kernel.NONE, np.int64),
    )
    window = slot.window
    kernel.sweep(
        0,
        events.keys,
        events.query_starts,
        events.query_rows,
        events.starts,
        events.rows,
        events.arrivals,
        table.times,
        events.ranks,
        window.window,
        window.delay,
        window.resolution,
        int(window.include_current),
        totals,
        codes,
        n_codes,
        slot.last,
        swept.count,
        swept.totals,
        swept.distincts,
        swept.last,
    )
    return swept


def _finish(output: Output, swept: dict[Slot, _Swept], events: _Events, table: _Table) -> pl.Series:
    held = swept[output.slot]
    values, null = _formula(output, held, swept, table)
    null = events.unkeyed if null is None else null | events.unkeyed
    series = pl.Series(output.name, values)
    return series.set(pl.Series(null), None) if null.any() else series


def _formula(
    output: Output, held: _Swept, swept: dict[Slot, _Swept], table: _Table
) -> tuple[Floats, NDArray[np.bool_] | None]:
    if output.formula == "count":
        return held.count.astype(np.float64), None
    if output.formula == "distinct":
        return held.distincts[output.slot.distincts.index(output.at)].astype(np.float64), None
    if output.formula == "seconds_since_last":
        none = held.last == kernel.NONE
        return np.where(none, 0, table.times - held.last) / 1e6, none
    if output.formula == "risk":
        assert output.base is not None
        base = swept[output.base[1]].count
        return held.count / np.maximum(base, 1), None
    total = held.totals[output.slot.totals.index(output.at)].astype(np.float64)
    if output.formula == "total":
        return total / money.UNITS, None
    divisor = held.count
    if output.base is not None:
        divisor = held.totals[output.slot.totals.index(output.base[2])]
    return total / np.maximum(divisor, 1) / money.UNITS, divisor == 0
