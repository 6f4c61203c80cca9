"""A clean table as the sweep wants it: whole numbers by row, in order of arrival."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from shroff.collect import Schema, money
from shroff.features import kernel
from shroff.features.aggregates import LARGEST, NONE
from shroff.features.folds import Floats
from shroff.features.kernel import NO_PLACE, Flags, Int, Int32
from shroff.features.plan import Plan, Stream

HIGHEST: Final = 2.0**63
"""What a sum of 64 bits must stay below."""


class Keyed(NamedTuple):
    """The rows of each key of an entity: those of key `k` are `rows[starts[k]:starts[k + 1]]`."""

    starts: Int
    rows: Int32

    def places(self, rows: int) -> pl.Series:
        """By row, its place among those of all keys (UInt32), null for a row without a key."""
        places = kernel.inverse(self.rows, rows)
        return pl.Series(places).replace(int(NO_PLACE), None) if len(self.rows) < rows else pl.Series(places)


class Kept(NamedTuple):
    """Which rows are events of a stream, and by row the last row that does not see it (None: its own)."""

    rows: Flags
    known: Int32 | None


class Table:
    """A table in order of arrival.

    Attributes:
        times: when each payment happened, microseconds.
        columns: what measures are of: ten-thousandths (Int64, `NONE` for no value) or codes of names (Int32, -1).
        summable: whether no sum of a column can leave 64 bits.
        kept: by condition, the rows that meet it and what it needs; None: all of them.
    """

    def __init__(self, plan: Plan, frame: pl.DataFrame) -> None:
        self.frame = frame
        self.schema = plan.schema
        self.times = _epoch(frame[self.schema.time])
        self.columns: dict[str, Int | Int32] = {}
        self.summable: dict[str, bool] = {}
        self.kept: dict[str, Kept | None] = {"": None}

    def prepare(self, plan: Plan, pool: Executor) -> None:
        """Make all that the plan's aggregates read."""
        measured = {measure.column for stream in plan.streams for measure in stream.measures} - {None}
        names = sorted(name for name in measured if name is not None)
        streams = {stream.where.sql: stream for stream in plan.streams if stream.where is not None}
        columns = pool.map(self._column, names)
        kept = pool.map(self._kept, streams.values())
        self.columns.update(zip(names, columns, strict=True))
        self.summable.update((name, sizes(column).sum() < HIGHEST) for name, column in self.columns.items())
        self.kept.update(zip(streams, kept, strict=True))

    def keyed(self, columns: tuple[str, ...]) -> Keyed:
        """The rows by the values of these columns together; rows where one is null are left out."""
        codes, firsts = self._codes(columns[0])
        for name in columns[1:]:
            more, many = self._codes(name)
            pairs = codes.astype(np.uint64) * np.uint64(len(many) + 1) + more.astype(np.uint64)
            codes, firsts = kernel.factorise(pairs, (codes >= 0) & (more >= 0))
        return Keyed(*kernel.group_rows(codes, len(firsts)))

    def _codes(self, name: str) -> tuple[Int32, Int32]:
        """Codes of a column's values by first appearance, and the row where each first appears."""
        values = self.frame[name]
        valid = values.is_not_null().to_numpy()
        codes, firsts = kernel.factorise(values.hash().to_numpy(), valid)
        # two values may share a hash: then their codes are no good
        if not (values.gather(firsts).gather(codes[valid]) == values.drop_nulls()).all():
            places = values.cast(pl.Categorical(pl.Categories.random())).to_physical().fill_null(0)
            codes, firsts = kernel.factorise(places.to_numpy().astype(np.uint64), valid)
        return codes, firsts

    def _column(self, name: str) -> Int | Int32:
        schema = self.schema
        if schema.scales[name] not in ("amount", "numeric"):
            return self._codes(name)[0]
        if name == schema.amount:
            units = money.units(name, schema.currency, schema.default_currency)
        else:
            units = (pl.col(name) * money.UNITS).clip(-LARGEST, LARGEST).round(mode="half_to_even").cast(pl.Int64)
        return self.frame.select(units.fill_null(NONE)).to_series().to_numpy()

    def _kept(self, stream: Stream) -> Kept | None:
        if stream.where is None:
            return None
        moments = {
            "result": (self.schema.result, self.schema.result_at),
            "label": (self.schema.label, self.schema.labelled_at),
        }
        later = [moments[kind] for kind in sorted(stream.later)]
        needed = [pl.col(name).is_not_null() for pair in later for name in pair if name is not None]
        passes = pl.all_horizontal(stream.where.polars().fill_null(value=False), *needed)
        mask = people(self.frame, self.schema).select(passes.alias("passes"))["passes"]
        rows = (mask if len(mask) == len(self.frame) else mask.new_from_index(0, len(self.frame))).to_numpy()
        arrived_at = [moment for _, moment in later if moment is not None]
        return Kept(rows, self._known(np.flatnonzero(rows), arrived_at) if arrived_at else None)

    def _known(self, events: Int, arrived_at: list[str]) -> Int32:
        """For a payment whose result or label arrives later: the last row that had arrived when it did."""
        arrivals = _epoch(self.frame[self.schema.arrived_at or self.schema.time])
        known = np.arange(len(self.frame), dtype=np.int32)
        for name in arrived_at:
            # a later event never arrives before its payment
            moments = np.maximum(_epoch(self.frame[name])[events], arrivals[events])
            last = np.searchsorted(arrivals, moments, side="right") - 1
            known[events] = np.maximum(known[events], last)
        return known


def people(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """A table as conditions read it: amounts in major units, as people write them."""
    amount = money.major(schema.amount, schema.currency, schema.default_currency)
    return frame.with_columns(amount.alias(schema.amount))


def sizes(column: Int | Int32) -> Floats:
    """A column's absolute values, about; 0 for no value."""
    return np.abs(np.where(column == NONE, 0, column).astype(np.float64))


def _epoch(column: pl.Series) -> Int:
    return column.dt.epoch("us").fill_null(NONE).to_numpy()
