"""What runs inside Spark's Python workers, by table and without Spark: the aggregates of one entity over the rows of
some of its keys, and the features of payments once all their aggregates are there.

Only events and payments of one key interact, and they do so through their order of arrival alone. So the batch engine
over all rows of some keys gives those rows the values it gives them in the whole table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import polars as pl
from polars import selectors as cs

from shroff.collect import Schema, money
from shroff.errors import DataError
from shroff.features.define import Aggregate, Calendar, Entity, FeatureGroup
from shroff.features.engines.batch import compute_plan
from shroff.features.engines.rows import column
from shroff.features.plan import Plan

if TYPE_CHECKING:
    import pyarrow as pa

ROW: Final = "shroff row"
"""The column that says which payment a row is, and which of two that arrived together was first."""
PART: Final = "shroff part"
"""Which part a row holds the aggregates of; 0 for the payment itself."""
HELD: Final = "shroff held "
"""Before a number: the aggregate that has this place in its part."""
CHUNK: Final = "shroff chunk"
"""Which chunk of a hot key's history a row is in; 0 for keys that are not hot."""
OWNED: Final = "shroff owned"
"""False for rows of a chunk that are there to be seen by others."""

_SLICE: Final = 1 << 16
"""Rows of a record batch that goes back to Spark."""


@dataclass(frozen=True)
class Part:
    """The aggregates of one key: what they read and how far back.

    `columns` are the table's columns they need; `horizon` is in microseconds.
    """

    number: int
    key: tuple[str, ...]
    features: tuple[Aggregate, ...]
    columns: tuple[str, ...]
    horizon: int

    def plan(self, schema: Schema, *, chunked: bool) -> Plan:
        """The plan of these aggregates alone; `chunked` takes the chunks of a key for keys of their own."""
        features = self.features
        if chunked:
            features = tuple(
                msgspec.structs.replace(feature, entity=Entity(feature.entity.name, (*self.key, CHUNK)))
                for feature in features
            )
        return Plan([FeatureGroup("part", features)], schema)


def split(plan: Plan) -> list[Part]:
    """The aggregates of a plan by the columns of their key."""
    by_key: dict[tuple[str, ...], list[Aggregate]] = {}
    for group in plan.groups:
        for feature in group.definitions:
            if isinstance(feature, Aggregate):
                by_key.setdefault(feature.entity.key, []).append(feature)
    return [_part(number, key, tuple(found), plan.schema) for number, (key, found) in enumerate(by_key.items(), 1)]


def _part(number: int, key: tuple[str, ...], features: tuple[Aggregate, ...], schema: Schema) -> Part:
    streams = Plan([FeatureGroup("part", features)], schema).streams
    # any text of a definition that names a column is a column it may read
    reads = {text for feature in features for text in msgspec.structs.astuple(feature) if isinstance(text, str)}
    reads |= {schema.time, schema.arrived_at or schema.time, *key}
    moments = {"result": (schema.result, schema.result_at), "label": (schema.label, schema.labelled_at)}
    for stream in streams:
        reads |= stream.where.columns if stream.where else frozenset()
        reads |= {str(name) for later in stream.later for name in moments[later]}
    if schema.amount in reads:
        reads.add(str(schema.currency))
    columns = tuple(name for name in schema.scales if name in reads)
    return Part(number, key, features, columns, max(stream.horizon for stream in streams))


def payment_columns(plan: Plan) -> tuple[str, ...]:
    """The table's columns that features of the payment alone need, the id first."""
    schema = plan.schema
    reads: set[str] = set()
    for row in plan.rows:
        reads |= {schema.time} if isinstance(row.source, Calendar) else row.source.columns
    if schema.amount in reads:
        reads.add(str(schema.currency))
    return (schema.id, *(name for name in schema.scales if name in reads and name != schema.id))


Compute = Callable[["Iterable[pa.RecordBatch]"], "Iterator[pa.RecordBatch]"]
"""From the record batches of one partition to those that take their place."""


def named(batches: Iterable[pa.RecordBatch], names: Sequence[str], compute: Compute) -> Iterator[pa.RecordBatch]:
    """What `compute` yields from batches whose columns have these names."""
    return compute(batch.rename_columns(list(names)) for batch in batches)


def aggregates(
    batches: Iterable[pa.RecordBatch], part: Part, schema: Schema, *, chunked: bool
) -> Iterator[pa.RecordBatch]:
    """One part's aggregates of all rows of some keys.

    Args:
        batches: `ROW` and the part's columns; with `chunked` also `CHUNK` and `OWNED`.

    Yields:
        `ROW`, `PART` and the part's aggregates (`HELD` and their place), for the rows that are owned.
    """
    frame = _table(batches)
    if frame is None:
        return
    # every row passes through these columns, also where nothing reads them
    filler = {schema.amount: pl.Int64, str(schema.currency): pl.String}
    missing = [pl.lit(None, kind).alias(name) for name, kind in filler.items() if name not in frame.columns]
    arrival = schema.arrived_at or schema.time
    frame = frame.sort(arrival, ROW).with_columns(*missing, pl.col(ROW).alias(schema.id))
    features = compute_plan(part.plan(schema, chunked=chunked), frame)
    held = features.select(
        frame[ROW],
        pl.lit(part.number, pl.Int32).alias(PART),
        *(pl.col(feature.name).alias(f"{HELD}{place}") for place, feature in enumerate(part.features)),
    )
    yield from _batches(held.filter(frame[OWNED]) if chunked else held)


def assemble(
    batches: Iterable[pa.RecordBatch], groups: Sequence[FeatureGroup], schema: Schema
) -> Iterator[pa.RecordBatch]:
    """The features of payments from what was computed of them apart.

    Args:
        batches: `ROW`, `PART`, the aggregates by place and the payment's columns: one row per payment (part 0), and
            one per payment and part that it has the key of.

    Yields:
        The id and the features in the order of the plan.

    Raises:
        DataError: two payments with one row number.
    """
    table = _table(batches)
    if table is None:
        return
    plan = Plan(groups, schema)
    values = table.filter(pl.col(PART) == 0).select(ROW, *payment_columns(plan))
    if values[ROW].is_duplicated().any():
        raise DataError("expected another id (or order) in every row of the table, got some twice: clean it first.")
    for part in split(plan):
        columns = {feature.name: f"{HELD}{place}" for place, feature in enumerate(part.features)}
        held = table.filter(pl.col(PART) == part.number).select(ROW, **columns)
        values = values.join(held, on=ROW, how="left", maintain_order="left")
    yield from _batches(_with_rows(values, plan))


def alone(
    batches: Iterable[pa.RecordBatch], groups: Sequence[FeatureGroup], schema: Schema
) -> Iterator[pa.RecordBatch]:
    """The features of payments where there are no aggregates, batch by batch."""
    plan = Plan(groups, schema)
    for batch in batches:
        table = _table([batch])
        if table is not None:
            yield from _batches(_with_rows(table, plan))


def _with_rows(values: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """Payments and their aggregates with the features that follow from them: id and features."""
    schema = plan.schema
    if schema.amount in values.columns:
        amount = money.major(schema.amount, schema.currency, schema.default_currency)
        values = values.with_columns(amount.alias(schema.amount))
    for row in plan.rows:
        values = values.with_columns(column(row, schema.time, schema.timezone).alias(row.name))
    return values.select(schema.id, *plan.names)


def _table(batches: Iterable[pa.RecordBatch]) -> pl.DataFrame | None:
    """Record batches as one table with times in UTC; None when there is no row."""
    frames = [pl.DataFrame(pl.from_arrow(batch)) for batch in batches if batch.num_rows]
    if not frames:
        return None
    # Spark hands out times in the zone of its session
    return pl.concat(frames).with_columns(cs.datetime(time_zone="*").dt.convert_time_zone("UTC"))


def _batches(frame: pl.DataFrame) -> Iterator[pa.RecordBatch]:
    for part in frame.iter_slices(_SLICE):
        yield from part.to_arrow(compat_level=pl.CompatLevel.oldest()).to_batches()
