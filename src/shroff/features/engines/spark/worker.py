"""What runs inside Spark's Python workers, without Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import polars as pl
from polars import selectors as cs

from shroff.collect import Schema
from shroff.errors import DataError
from shroff.expression import Expression
from shroff.features.engines.batch import compute_plan
from shroff.features.engines.batch.encoded_table import people
from shroff.features.engines.embedding import component_columns
from shroff.features.engines.rows import with_rows
from shroff.features.engines.subplans import OWNED, ROW, Subplan, payment_columns, subplans
from shroff.features.group import FeatureGroup
from shroff.features.plan import Plan

if TYPE_CHECKING:
    import pyarrow as pa

SUBPLAN: Final = "shroff subplan"
"""The number of the subplan whose aggregates a row holds; 0 for the payment itself."""
CHUNK: Final = "shroff chunk"
"""The chunk of a hot key's history that a row is in; 0 for other keys."""

_SLICE_ROWS: Final = 1 << 16
"""Rows of a record batch that goes back to Spark."""


Compute = Callable[["Iterable[pa.RecordBatch]"], "Iterator[pa.RecordBatch]"]
"""From the record batches of one partition to those of the result."""


def named(
    batches: Iterable[pa.RecordBatch], names: Sequence[str], compute: Compute
) -> Iterator[pa.RecordBatch]:
    """What `compute` yields from batches whose columns have these names."""
    return compute(batch.rename_columns(list(names)) for batch in batches)


def aggregates(
    batches: Iterable[pa.RecordBatch], subplan: Subplan, schema: Schema, *, chunked: bool
) -> Iterator[pa.RecordBatch]:
    """A subplan's aggregates of all rows of some keys.

    Args:
        batches: `ROW` and the subplan's columns; with `chunked` also `CHUNK` and `OWNED`.

    Yields:
        `ROW`, `SUBPLAN` and the subplan's aggregates (`Subplan.held`), for the rows that are owned.
    """
    frame = table_of(batches)
    if frame is None:
        return
    # the engine expects these columns even where no feature reads them
    filler = {schema.amount: pl.Int64, str(schema.currency): pl.String}
    missing = [
        pl.lit(None, kind).alias(name) for name, kind in filler.items() if name not in frame.columns
    ]
    arrival = schema.arrived_at or schema.time
    frame = frame.sort(arrival, ROW).with_columns(*missing, pl.col(ROW).alias(schema.id))
    # links have no key that could tell chunks apart
    apart = chunked and not subplan.key
    for table in frame.partition_by(CHUNK) if apart else [frame]:
        features = compute_plan(subplan.plan(schema, *([CHUNK] if chunked else [])), table)
        held = features.select(
            table[ROW],
            pl.lit(subplan.number, pl.Int32).alias(SUBPLAN),
            *(pl.col(name).alias(held) for name, held in subplan.held.items()),
        )
        yield from batches_of(held.filter(table[OWNED]) if chunked else held)


def assemble(
    batches: Iterable[pa.RecordBatch], groups: Sequence[FeatureGroup], schema: Schema
) -> Iterator[pa.RecordBatch]:
    """The features of payments from the aggregates of all subplans.

    Args:
        batches: `ROW`, `SUBPLAN`, the aggregates by place and the payment's columns: one row per
            payment (subplan 0), and one per payment and subplan that it has the key of.

    Yields:
        The id and the features in the order of the plan.

    Raises:
        DataError: two payments with one row number.
    """
    table = table_of(batches)
    if table is None:
        return
    plan = Plan(groups, schema)
    values = table.filter(pl.col(SUBPLAN) == 0).select(ROW, *payment_columns(plan))
    if values[ROW].is_duplicated().any():
        raise DataError(
            "expected another id (or order) in every row of the table, got some twice: clean it "
            "first."
        )
    for subplan in subplans(plan):
        held = table.filter(pl.col(SUBPLAN) == subplan.number).select(ROW, **subplan.held)
        values = values.join(held, on=ROW, how="left", maintain_order="left")
    yield from batches_of(_with_rows(values, plan))


def alone(
    batches: Iterable[pa.RecordBatch], groups: Sequence[FeatureGroup], schema: Schema
) -> Iterator[pa.RecordBatch]:
    """The features of payments where there are no aggregates, batch by batch."""
    plan = Plan(groups, schema)
    for batch in batches:
        table = table_of([batch])
        if table is not None:
            yield from batches_of(_with_rows(table, plan))


def _with_rows(values: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """The id and the features of payments, from their columns and aggregates."""
    schema = plan.schema
    read = {
        name
        for row in plan.rows
        if isinstance(row.source, Expression)
        for name in row.source.columns
    }
    values = values.hstack(component_columns(plan, values, read)) if plan.vectors else values
    values = people(values, schema, values.columns)
    return with_rows(values, plan.rows, schema.time, schema.timezone).select(schema.id, *plan.names)


def table_of(batches: Iterable[pa.RecordBatch]) -> pl.DataFrame | None:
    """Record batches as one table with times in UTC; None when there is no row."""
    frames = [pl.DataFrame(pl.from_arrow(batch)) for batch in batches if batch.num_rows]
    if not frames:
        return None
    # Spark gives times in the zone of its session
    return pl.concat(frames).with_columns(cs.datetime(time_zone="*").dt.convert_time_zone("UTC"))


def batches_of(frame: pl.DataFrame) -> Iterator[pa.RecordBatch]:
    for piece in frame.iter_slices(_SLICE_ROWS):
        table = piece.to_arrow(compat_level=pl.CompatLevel.oldest())
        yield from table.cast(_with_short_lists(table.schema)).to_batches()


def _with_short_lists(schema: pa.Schema) -> pa.Schema:
    """The schema with lists as Spark reads them: by offsets of 32 bits."""
    import pyarrow as pa

    for at, field in enumerate(schema):
        if pa.types.is_large_list(field.type):
            schema = schema.set(at, field.with_type(pa.list_(field.type.value_type)))
    return schema
