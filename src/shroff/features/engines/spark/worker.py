"""What runs inside Spark's Python workers, without Spark."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl
from polars import selectors as cs

from shroff.collect import Schema
from shroff.expression import Expression
from shroff.features.engines.batch import compute_plan
from shroff.features.engines.batch.encoded_table import people
from shroff.features.engines.chunk import Chunk
from shroff.features.engines.embedding import component_columns
from shroff.features.engines.rows import with_rows
from shroff.features.engines.spark.blocks import (
    PART,
    TABLE,
    Cut,
    batches_of_cuts,
    blocks_by_number,
    cut,
    opened,
)
from shroff.features.engines.spark.files import Piece, read
from shroff.features.engines.spark.homes import Homes
from shroff.features.engines.spark.parts import Parts
from shroff.features.engines.subplans import OWNED, ROW, Subplan, subplans
from shroff.features.group import FeatureGroup
from shroff.features.plan import Plan

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK: Final = "shroff chunk"
"""The chunk of a hot key's history that a row is in; 0 for other keys."""
FROM: Final = "shroff from"
UPTO: Final = "shroff upto"
"""A chunk owns what arrived from `FROM` on and before `UPTO`, microseconds since the epoch."""
ARRIVAL: Final = "shroff arrival"
SINCE: Final = "shroff since"
"""When the earliest payment that a chunk owns happened."""

_SLICE_ROWS: Final = 1 << 16
"""Rows of a record batch that goes back to Spark."""
_SCATTERED_ROWS: Final = 1 << 20
"""About how many rows are cut into blocks at once."""

Compute = Callable[["Iterable[pa.RecordBatch]"], "Iterator[pa.RecordBatch]"]
"""From the record batches of one partition to those of the result."""
TableCompute = Callable[["Iterable[pl.DataFrame]"], "Iterator[pa.RecordBatch]"]
"""The same from tables."""


def named(
    batches: Iterable[pa.RecordBatch], names: Sequence[str], compute: Compute
) -> Iterator[pa.RecordBatch]:
    """What `compute` yields from batches whose columns have these names."""
    yield from compute(batch.rename_columns(list(names)) for batch in batches)
    # Spark collects garbage after each task, and would look through all modules again
    if not gc.get_freeze_count():
        gc.freeze()


def of_batches(
    batches: Iterable[pa.RecordBatch], compute: TableCompute
) -> Iterator[pa.RecordBatch]:
    """What `compute` yields from rows that Spark hands over."""
    return compute(table for table in map(table_of, _gathered(batches)) if table is not None)


def of_pieces(
    batches: Iterable[pa.RecordBatch],
    pieces: Sequence[Piece],
    columns: Sequence[str],
    compute: TableCompute,
) -> Iterator[pa.RecordBatch]:
    """What `compute` yields from rows that this worker reads.

    Args:
        batches: one column, of places in `pieces`.
    """
    return compute(
        read(pieces[place.as_py()], columns) for batch in batches for place in batch.column(0)
    )


def sampled(
    tables: Iterable[pl.DataFrame], keys: Sequence[str], arrival: str, share: float
) -> Iterator[pa.RecordBatch]:
    """Keys and arrivals, microseconds since 1970, of a share of the rows."""
    for table in tables:
        some = table.sample(fraction=share, seed=1)
        yield from batches_of(some.select(*keys, pl.col(arrival).dt.epoch("us").alias(ARRIVAL)))


class Route(NamedTuple):
    """What a subplan reads of a table, and where it goes: rows of one key to one part.

    `spans` are the chunks of hot keys (`chunks_of`, with `SINCE`), or None.
    """

    number: int
    key: tuple[str, ...]
    columns: tuple[str, ...]
    horizon: int
    spans: pl.DataFrame | None

    def place(self, parts: Parts) -> pl.Expr:
        """The place of rows among all parts; null where a column of the key is."""
        if self.key:
            return parts.place(self.key)
        return pl.lit(self.number % len(parts.numbers), pl.Int32)


def scatter(
    tables: Iterable[pl.DataFrame],
    routes: Sequence[Route],
    own: Sequence[str],
    arrival: str,
    time: str,
    parts: Parts,
    homes: Homes,
) -> Iterator[pa.RecordBatch]:
    """Payments to the parts of their rows, and what subplans read to the parts of their keys.

    Args:
        tables: `ROW` and the columns that payments and routes read.
        own: the columns that features of the payment alone read.
        arrival: the column of arrivals; `time` of event times.

    Yields:
        Blocks: payments as table 0, others by the number of their subplan.
    """

    parts.require_same_hash()

    def cuts() -> Iterator[Cut]:
        for table in tables:
            carried = homes.carried(table, own)
            placed = carried.with_columns(parts.place([ROW]).alias(PART))
            yield from cut(placed, 0, PART, parts.numbers)
            for route in routes:
                rows = table.select(route.place(parts).alias(PART), ROW, *route.columns)
                if route.spans is not None:
                    rows = in_chunks(rows, route, route.spans, arrival, time, len(parts.numbers))
                yield from cut(rows, route.number, PART, parts.numbers)

    return batches_of_cuts(cuts())


def in_chunks(
    rows: pl.DataFrame, route: Route, spans: pl.DataFrame, arrival: str, time: str, parts: int
) -> pl.DataFrame:
    """Rows with their chunk; rows of hot keys once for each chunk that owns or sees them."""
    key = list(route.key)
    arrived, happened = pl.col(arrival).dt.epoch("us"), pl.col(time).dt.epoch("us")
    if key:
        hot_keys = spans.select(key).unique()
        cold, hot = (rows.join(hot_keys, on=key, how=how) for how in ("anti", "semi"))
    else:
        cold, hot = rows.clear(), rows
    pieces = [cold.with_columns(pl.lit("0").alias(CHUNK), pl.lit(True).alias(OWNED))]
    hot_rows = hot.partition_by(key, as_dict=True) if key else {(): hot}
    for span in spans.iter_rows(named=True):
        mine = hot_rows.get(tuple(span[name] for name in key))
        if mine is None:
            continue
        chunk = Chunk(span[FROM], span[UPTO], span[SINCE] - route.horizon)
        owned, held = chunk.rows(arrived, happened)
        place = (span[CHUNK] + route.number) % parts
        pieces.append(
            mine.filter(held).with_columns(
                pl.lit(place, pl.Int32).alias(PART),
                pl.lit(str(span[CHUNK])).alias(CHUNK),
                owned.alias(OWNED),
            )
        )
    return pl.concat(pieces)


def aggregates(
    batches: Iterable[pa.RecordBatch],
    found: Sequence[Subplan],
    schema: Schema,
    chunked: Collection[int],
    parts: Parts,
    homes: Homes,
) -> Iterator[pa.RecordBatch]:
    """The aggregates of all rows of some keys, and what is carried of payments.

    Args:
        batches: blocks that `scatter` made.
        chunked: the subplans that have chunks.

    Yields:
        Blocks: payments as table 0, and `ROW` with a subplan's aggregates, for the rows that are
        owned, all to their home.
    """
    import pyarrow.compute as pc

    parts.require_same_hash()
    kept = []
    for batch in batches:
        if homes.same_parts:
            yield batch.filter(pc.equal(batch.column(TABLE), 0))
        kept.append(batch)
    blocks = blocks_by_number(kept)
    del kept

    def cuts() -> Iterator[Cut]:
        carried = None if homes.same_parts else opened(blocks.pop(0, ()))
        if carried is not None:
            yield from homes.cut(carried.sort(ROW), 0)
        for subplan in found:
            frame = opened(blocks.pop(subplan.number, ()))
            if frame is not None:
                for held in _aggregates(frame, subplan, schema, subplan.number in chunked):
                    yield from homes.cut(held, subplan.number)

    yield from batches_of_cuts(cuts())


def _aggregates(
    frame: pl.DataFrame, subplan: Subplan, schema: Schema, chunked: bool
) -> Iterator[pl.DataFrame]:
    # the engine expects these columns even where no feature reads them
    filler = {schema.amount: pl.Int64, str(schema.currency): pl.String}
    missing = [
        pl.lit(None, kind).alias(name) for name, kind in filler.items() if name not in frame.columns
    ]
    # the engine puts them in order of arrival, where they are not, and those that arrived together
    # stay in this one
    frame = frame.sort(ROW).with_columns(*missing, pl.col(ROW).alias(schema.id))
    # links have no key that could tell chunks apart
    apart = chunked and not subplan.key
    for table in frame.partition_by(CHUNK) if apart else [frame]:
        features = compute_plan(subplan.plan(schema, *([CHUNK] if chunked else [])), table)
        held = features.select(table[ROW], *_names(subplan))
        yield held.filter(table[OWNED]) if chunked else held


def assemble(
    batches: Iterable[pa.RecordBatch],
    groups: Sequence[FeatureGroup],
    schema: Schema,
    own: Sequence[str],
    homes: Homes,
    finish: TableCompute,
) -> Iterator[pa.RecordBatch]:
    """The features of payments from the aggregates of all subplans.

    Args:
        batches: blocks that `aggregates` made.
        own: the columns that features of the payment alone read.
        finish: what is done with them: tables of the id and the features in the order of the plan.

    Raises:
        DataError: two payments with one row number.
    """
    blocks = blocks_by_number(batches)
    carried = opened(blocks.pop(0, ()))
    if carried is None:
        return
    values = homes.payments(carried, own)
    plan = Plan(groups, schema)
    for subplan in subplans(plan):
        held = opened(blocks.pop(subplan.number, ()))
        values = (
            values.with_columns(_nothing(subplan, plan))
            if held is None
            else values.join(held, on=ROW, how="left", maintain_order="left")
        )
    yield from finish([_with_rows(values, plan)])


def _names(subplan: Subplan) -> list[str]:
    return [feature.name for feature in subplan.features]


def _nothing(subplan: Subplan, plan: Plan) -> list[pl.Expr]:
    """The aggregates where no payment has the key."""
    kinds = {
        name: pl.String if plan.kinds[name] == "text" else pl.Float64 for name in _names(subplan)
    }
    return [pl.lit(None, kind).alias(name) for name, kind in kinds.items()]


def alone(
    tables: Iterable[pl.DataFrame],
    groups: Sequence[FeatureGroup],
    schema: Schema,
    finish: TableCompute,
) -> Iterator[pa.RecordBatch]:
    """The features of payments where there are no aggregates, table by table."""
    plan = Plan(groups, schema)
    return finish(_with_rows(table, plan) for table in tables)


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


def _gathered(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    some: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        some.append(batch)
        rows += batch.num_rows
        if rows >= _SCATTERED_ROWS:
            yield some
            some, rows = [], 0
    yield some


def table_of(batches: Iterable[pa.RecordBatch]) -> pl.DataFrame | None:
    """Record batches as one table with times in UTC; None when there is no row."""
    frames = [pl.DataFrame(pl.from_arrow(batch)) for batch in batches if batch.num_rows]
    if not frames:
        return None
    # Spark gives times in the zone of its session
    return pl.concat(frames).with_columns(cs.datetime(time_zone="*").dt.convert_time_zone("UTC"))


def in_batches(tables: Iterable[pl.DataFrame]) -> Iterator[pa.RecordBatch]:
    """Tables as Spark takes them."""
    for table in tables:
        yield from batches_of(table)


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
