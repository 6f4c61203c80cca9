"""A clean table as integer columns in order of arrival, and its rows grouped by key."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import Executor, Future
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shroff.collect import Schema, money
from shroff.collect.currencies import in_major
from shroff.collect.labels import HISTORY, rows_of, standing
from shroff.features.aggregates import MAX_UNITS, MISSING
from shroff.features.engines.batch import grouping
from shroff.features.engines.batch.coding import codes_of, paired, slices
from shroff.features.engines.batch.events import Lives
from shroff.features.engines.batch.grouping import Flags, Int, Int32
from shroff.features.engines.embedding import vectors_of
from shroff.features.plan import Plan
from shroff.features.streams import Later, Output, Stream
from shroff.features.vectors import TokenTable
from shroff.features.window import END_OF_TIME_US

Name = str | tuple[str, str]
"""A column of the schema; or `(KEPT, condition)`, whether a row meets it, `(KNOWN, condition)`,
which other rows see that it does: those after the one that it holds, and `(SINCE, condition)`, when
that became known, microseconds.
"""

KEPT: Final = "kept"
KNOWN: Final = "known"
SINCE: Final = "since"
MAX_INT64_SUM: Final = 2.0**62
"""Sums of 64 bits must stay below this, estimated in doubles, which round."""

NO_TIMES: Final = np.empty(0, np.int64)
NO_LIVES: Final = Lives(np.empty(0, np.int32), NO_TIMES, NO_TIMES, NO_TIMES)

_Role = tuple[str | None, str | None]
"""The column of a later event, and that of its arrival."""


class Keyed(NamedTuple):
    """The rows of each key of an entity: those of key `k` are `rows[starts[k]:starts[k + 1]]`.

    `places`: where each row is in `rows`; rows without a key share the place after the last.
    """

    starts: Int
    rows: Int32
    places: NDArray[np.uint32]


class EncodedTable:
    """A table in order of arrival.

    Attributes:
        columns: what measures read: times in microseconds, numbers in ten-thousandths (`MISSING`
            for no value), codes of names (-1 for none).
        names: how many different codes a column has.
        summable: whether no sum of a column over all rows can leave 64 bits.
        components: the columns that a vector consists of, by its name.
        lives: by condition, payments that met it for a while, until their label changed; places are
            rows.
    """

    def __init__(self, plan: Plan, frame: pl.DataFrame) -> None:
        self.frame = frame
        self.schema = plan.schema
        self.columns: dict[Name, NDArray[Any]] = {self.schema.time: _epoch(frame[self.schema.time])}
        self.names: dict[str, int] = {}
        self.summable: dict[str, bool] = {}
        self.components = {table.name: table.components for table in plan.vectors.values()}
        self.lives: dict[str, Lives] = {}

    def prepare(self, plan: Plan, pool: Executor) -> list[Future[None]]:
        """Encode what aggregates read; returns the futures still running once names are done."""
        read = {name for stream in plan.streams for name in stream.columns}
        read |= {
            measure.column
            for stream in plan.streams
            for measure in stream.measures
            if measure.column
        }
        embedded = [
            table for table in plan.vectors.values() if read & {table.name, *table.components}
        ]
        read.difference_update(*((table.name, *table.components) for table in embedded))
        numbers = sorted(name for name in read if self.schema.scales[name] in ("amount", "numeric"))
        names = sorted(read.difference(numbers))
        # of streams with one condition, the one that also needs an order
        by_need = sorted(plan.streams, key=lambda stream: stream.ordered)
        streams = {stream.where.sql: stream for stream in by_need if stream.where is not None}
        codes = pool.map(lambda name: codes_of(self.frame[name]), names)
        rest = [pool.submit(self._measured, name) for name in numbers]
        rest += [pool.submit(self._meeting, stream) for stream in streams.values()]
        rest += [pool.submit(self._embed, table) for table in embedded]
        for name, (coded, many) in zip(names, codes, strict=True):
            self.columns[name], self.names[name] = coded, many
        return rest

    def read_by(self, outputs: Iterable[Output]) -> list[Name]:
        """The columns that these aggregates read, the time first."""
        inputs = [item for output in outputs for item in output.inputs]
        read = [item.measure.column for item in inputs if item.measure.column]
        names: list[Name] = [
            self.schema.time,
            *(column for name in read for column in self.components.get(name, (name,))),
        ]
        conditions = [item.stream.where.sql for item in inputs if item.stream.where]
        names += [(what, where) for what in (KEPT, KNOWN, SINCE) for where in conditions]
        return [name for name in dict.fromkeys(names) if name in self.columns]

    def keyed(self, columns: tuple[str, ...]) -> Keyed:
        """The rows by the values of these columns together; rows where one is null have no key."""
        codes, many = self.columns[columns[0]], self.names[columns[0]]
        for name in columns[1:]:
            codes, many = paired(codes, self.columns[name])
        return Keyed(*grouping.group(codes, many))

    def _measured(self, name: str) -> None:
        column = self.columns[name] = self._units(name)
        few = len(column) * grouping.largest(column) < MAX_INT64_SUM
        self.summable[name] = few or grouping.size(column, MISSING) < MAX_INT64_SUM

    def _embed(self, table: TokenTable) -> None:
        found = vectors_of(table, self.schema, self.frame)
        for at, name in enumerate(table.components):
            # components have 16 bits, so even 2³² payments add up to less than 62 bits
            self.columns[name], self.summable[name] = np.ascontiguousarray(found[:, at]), True

    def _meeting(self, stream: Stream) -> None:
        self.columns.update(self._kept(stream))

    def _units(self, name: str) -> Int:
        schema, frame = self.schema, self.frame
        if name == schema.amount:
            units = money.units(name, *schema.amounts_in)
        else:
            units = (
                (pl.col(name) * money.UNITS)
                .clip(-MAX_UNITS, MAX_UNITS)
                .round(mode="half_to_even")
                .cast(pl.Int64)
            )
        found = np.empty(len(frame), np.int64)
        for at in slices(len(frame)):
            found[at] = frame[at].select(units.fill_null(MISSING)).to_series().to_numpy()
        return found

    def _kept(self, stream: Stream) -> dict[Name, NDArray[Any]]:
        if stream.where is None:
            return {}
        where = stream.where.sql
        later = [_roles(self.schema)[kind] for kind in sorted(stream.later)]
        if HISTORY in self.frame.columns and "label" in stream.later:
            changes = standing(self.frame, self.schema)
            return self._lived(where, stream, later, changes)
        kept = self._passes(self.frame, stream, later)
        found: dict[Name, NDArray[Any]] = {(KEPT, where): kept}
        if any(moment for _, moment in later):
            known = np.arange(len(self.frame), dtype=np.int32)
            rows = np.flatnonzero(kept)
            names = [moment for _, moment in later if moment is not None]
            moments = self._moments(rows, self.frame.select(names)[rows], later)
            known[rows] = self._known(rows, moments)
            found[KNOWN, where] = known
            if stream.ordered:
                found[SINCE, where] = self._since(rows, moments)
        return found

    def _lived(
        self, where: str, stream: Stream, later: Sequence[_Role], changes: pl.DataFrame
    ) -> dict[Name, NDArray[Any]]:
        """`_kept` where labels change: a payment is an event from one change to the next."""
        label, moment = str(self.schema.label), str(self.schema.labelled_at)
        rows = rows_of(changes).to_numpy()
        read = {
            *(stream.where.columns if stream.where else ()),
            *(name for role in later for name in role),
        }
        # amounts are read in their currency
        read.add(self.schema.currency)
        said = self.frame.select(name for name in self.frame.columns if name in read)[
            rows
        ].with_columns(
            changes["fraud"].alias(label),
            changes["at"].cast(pl.Datetime("us", "UTC")).alias(moment),
        )
        passes, moments = self._passes(said, stream, later), self._moments(rows, said, later)
        known = self._known(rows, moments)
        changed, gone = np.zeros(len(rows), np.bool_), np.full(len(rows), END_OF_TIME_US)
        again = np.flatnonzero(rows[1:] == rows[:-1])
        changed[again] = changed[again + 1] = True
        gone[again] = known[again + 1]
        lives = np.flatnonzero(changed & passes & (known < gone))
        places = rows[lives].astype(np.int32)
        self.lives[where] = Lives(
            places, known[lives].astype(np.int64), gone[lives], moments[lives]
        )
        stays = np.flatnonzero(~changed & passes)
        kept, seen = np.zeros(len(self.frame), np.bool_), np.arange(len(self.frame), dtype=np.int32)
        kept[rows[stays]], seen[rows[stays]] = True, known[stays]
        found: dict[Name, NDArray[Any]] = {(KEPT, where): kept, (KNOWN, where): seen}
        return (
            found | {(SINCE, where): self._since(rows[stays], moments[stays])}
            if stream.ordered
            else found
        )

    def _passes(self, frame: pl.DataFrame, stream: Stream, later: Sequence[_Role]) -> Flags:
        """Which rows meet a stream's condition, with all later events arrived that it needs."""
        if stream.where is None:
            return np.ones(len(frame), np.bool_)
        needed = [pl.col(name).is_not_null() for pair in later for name in pair if name is not None]
        passes = pl.all_horizontal(stream.where.polars().fill_null(value=False), *needed)
        mask = people(frame, self.schema, stream.where.columns).select(passes.alias("passes"))[
            "passes"
        ]
        return (mask if len(mask) == len(frame) else mask.new_from_index(0, len(frame))).to_numpy()

    def _moments(self, rows: Int, frame: pl.DataFrame, later: Sequence[_Role]) -> Int:
        """When all later events of payments had arrived; never before the payments themselves."""
        moments = self._arrivals[rows]
        for _, moment in later:
            if moment is not None:
                moments = np.maximum(moments, _epoch(frame[moment]))
        return moments

    def _known(self, rows: Int, moments: Int) -> Int:
        """The last row that does not see the payments known from these moments on."""
        return np.maximum(rows, np.searchsorted(self._arrivals, moments, side="right") - 1)

    def _since(self, rows: Int, moments: Int) -> Int:
        since = np.zeros(len(self.frame), np.int64)
        since[rows] = moments
        return since

    @cached_property
    def _arrivals(self) -> Int:
        return _epoch(self.frame[self.schema.arrived_at or self.schema.time])


def within(lives: Lives, keyed: Keyed, start: int, stop: int) -> Lives:
    """The lives among an entity's places `start` … `stop - 1`, counted from `start`."""
    places = keyed.places[lives.places].astype(np.int64)
    own = (places >= start) & (places < stop)
    return Lives(
        (places[own] - start).astype(np.int32), lives.known[own], lives.gone[own], lives.since[own]
    )


def _roles(schema: Schema) -> dict[Later, _Role]:
    return {
        "result": (schema.result, schema.result_at),
        "label": (schema.label, schema.labelled_at),
    }


def people(frame: pl.DataFrame, schema: Schema, read: Collection[str]) -> pl.DataFrame:
    """The table with amounts in major units where an expression over these columns reads them."""
    amounts = in_major(schema, read)
    return frame.with_columns(amounts) if amounts else frame


def _epoch(column: pl.Series) -> Int:
    numbers = column.to_physical()
    return (numbers.fill_null(MISSING) if numbers.null_count() else numbers).to_numpy()
