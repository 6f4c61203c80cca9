"""An empty engine's state from a whole table: timelines are filled key by key from columns, many
times as fast as payment by payment, and equal to what payments would leave.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from shroff.arrays import Ints
from shroff.collect import money
from shroff.collect.currencies import in_major
from shroff.features.engines.embedding import vectors_of
from shroff.features.engines.online.layout import Code, compile_cells
from shroff.features.engines.online.pending import Notice
from shroff.features.engines.online.pending_block import KeptPayment
from shroff.features.engines.online.shared_names import NAMES
from shroff.features.engines.online.stream_timelines import StreamTimelines
from shroff.features.plan import Plan
from shroff.features.streams import Later

_CHUNK_EVENTS: Final = 100_000
"""Events whose values are Python objects at once."""


class Known(NamedTuple):
    """The results or labels of a table's payments.

    `values` are null where nothing is known; `arrived` is when they arrived (µs; 0: with their
    payment) and `order` in which order, both by row.
    """

    values: pl.Series
    arrived: Ints
    order: Ints


class Table:
    """A clean table, in order of arrival, whose columns generated code reads."""

    def __init__(self, frame: pl.DataFrame, plan: Plan) -> None:
        schema = plan.schema
        self.plan = plan
        self._clean = frame
        self._frame = frame.with_columns(
            money.units(schema.amount, *schema.amounts_in).alias("\0units"),
            *in_major(schema, schema.scales),
        )
        self.times: Ints = frame[schema.time].dt.epoch("us").to_numpy()
        self._columns = list(schema.scales)
        self._vectors: dict[int, Ints] = {}

    def __len__(self) -> int:
        return len(self._frame)

    def knowing(self, known: Mapping[Later, Known]) -> pl.DataFrame:
        """The table with what is known of results and labels in their columns."""
        names = {"result": self.plan.schema.result, "label": self.plan.schema.label}
        return self._frame.with_columns(
            said.values.alias(str(names[kind])) for kind, said in known.items()
        )

    def keys(self, columns: Collection[str], rows: Ints) -> pl.DataFrame:
        """These columns in some rows."""
        return self._frame.select(columns)[rows]

    def values(self, column: str, rows: Ints) -> list[Any]:
        """The values of a column in some rows, as those of payments."""
        values = self._frame[column].gather(rows)
        if values.dtype == pl.String:
            # names come many times: each is kept once
            return NAMES.all(values.to_list())
        return (values.dt.epoch("us") if values.dtype.is_temporal() else values).to_list()

    def arguments(self, names: Sequence[Code], rows: Ints) -> list[Sequence[Any]]:
        """What variables of generated code are in some rows."""
        return [self._argument(name, rows) for name in names]

    def _argument(self, name: Code, rows: Ints) -> Sequence[Any]:
        if name.startswith("w"):
            place, component = map(int, name[1:].split("_"))
            numbers: list[int] = self._vector(place)[rows, component].tolist()
            return numbers
        column = {"amount": "\0units", "name": self.plan.schema.id}.get(name)
        return self.values(column or self._columns[int(name[1:])], rows)

    def _vector(self, place: int) -> Ints:
        if place not in self._vectors:
            table = list(self.plan.vectors.values())[place]
            self._vectors[place] = vectors_of(table, self.plan.schema, self._clean)
        return self._vectors[place]


def fill(
    timelines: StreamTimelines, table: Table, known: Mapping[Later, Known], watermark: int
) -> Iterator[int]:
    """Fill timelines without keys; yields how many events they got, in stretches.

    Args:
        known: what is known of the results and labels of the payments.
        watermark: that after the last payment.
    """
    grain = timelines.layout.grain
    times = table.times // grain * grain if grain else table.times
    rows = _events(timelines, table, known)
    rows = rows[times[rows] > watermark - timelines.horizon]
    if len(rows) == 0:
        return
    groups = _by_key(timelines.columns, table, rows)
    ends = np.cumsum(groups["\0places"].list.len().to_numpy().astype(np.int64))
    starts = np.concatenate(([0], ends[:-1]))
    rows = rows[groups["\0places"].explode().to_numpy()]
    # stable: of events of one time, the one that became known first comes first
    rows = rows[np.lexsort((times[rows], np.repeat(np.arange(len(ends)), ends - starts)))]
    cells, names = compile_cells(timelines.layout)
    at = 0
    while at < len(ends):
        low = starts[at]
        upto = max(int(np.searchsorted(ends, low + _CHUNK_EVENTS)), at + 1)
        chunk = rows[low : ends[upto - 1]]
        columns = cells(len(chunk), *table.arguments(names, chunk))
        moments = array("q", times[chunk].tobytes())
        firsts = rows[starts[at:upto]]
        keys = [table.values(column, firsts) for column in timelines.columns]
        for key, start, end in zip(
            keys[0] if len(keys) == 1 else zip(*keys, strict=True),
            (starts[at:upto] - low).tolist(),
            (ends[at:upto] - low).tolist(),
            strict=True,
        ):
            timelines.place(key, moments[start:end], [column[start:end] for column in columns])
        yield len(chunk)
        at = upto


def awaited(
    table: Table, known: Mapping[Later, Known], columns: Sequence[str], limit: int
) -> tuple[list[str], Iterator[KeptPayment], dict[str, dict[Later, Notice]]]:
    """The ids of payments later than `limit`, what is kept of them, and what is known of them."""
    rows = np.flatnonzero(table.times > limit)
    ids, units = table.arguments(["name", "amount"], rows)
    kept = [table.values(column, rows) for column in columns]
    notices: dict[str, dict[Later, Notice]] = {}
    for kind, said in known.items():
        told = said.values.gather(rows).to_list()
        for name, value, arrived in zip(ids, told, said.arrived[rows].tolist(), strict=True):
            if value is not None:
                notices.setdefault(name, {})[kind] = Notice(value, 0, arrived)
    return list(ids), zip(table.times[rows].tolist(), units, *kept, strict=True), notices


def _events(timelines: StreamTimelines, table: Table, known: Mapping[Later, Known]) -> Ints:
    """The rows that are events, in the order in which they became known."""
    rows, flags = np.arange(len(table)), np.ones(len(table), np.bool_)
    since = np.zeros(len(table), np.int64)
    for kind in timelines.later:
        if kind not in known:
            return rows[:0]
        flags &= known[kind].values.is_not_null().to_numpy()
        since = np.maximum(since, known[kind].order)
    needed = [pl.col(name).is_not_null() for name in timelines.columns]
    if timelines.condition is not None:
        needed.append(timelines.condition.polars().fill_null(value=False))
    met = table.knowing(known).select(pl.all_horizontal(needed)).to_series()
    rows = rows[flags & met.to_numpy()]
    ordered: Ints = rows[np.argsort(since[rows], kind="stable")]
    return ordered


def _by_key(columns: Collection[str], table: Table, rows: Ints) -> pl.DataFrame:
    """The places in `rows` of each key's events, the key idle longest first."""
    return (
        table.keys(columns, rows)
        .with_columns(pl.int_range(pl.len()).alias("\0places"))
        .group_by(columns, maintain_order=True)
        .agg("\0places")
        .sort(pl.col("\0places").list.last())
    )
