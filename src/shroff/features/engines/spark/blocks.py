"""Tables in blocks: Arrow streams in a binary column, which Spark's shuffle moves as they are.

Spark's own rows are written field by field before a shuffle and read field by field after it. What
goes from one Python worker to another needs neither. A part is what one task gets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

if TYPE_CHECKING:
    import pyarrow as pa

PART: Final = "shroff part"
TABLE: Final = "shroff table"
BLOCK: Final = "shroff block"
DDL: Final = f"`{PART}` int, `{TABLE}` int, `{BLOCK}` binary"

_BLOCK_ROWS: Final = 1 << 16
_BATCH_BYTES: Final = 1 << 20
"""About the bytes of blocks in a record batch: a larger buffer grows into fresh memory, which costs
more than writing it.
"""


class Cut(NamedTuple):
    """Rows of the table with this number, for the task with this part."""

    part: int
    number: int
    rows: pa.RecordBatch


def cut(table: pl.DataFrame, number: int, column: str, parts: Sequence[int]) -> Iterator[Cut]:
    """A table by a column of places in `parts`; rows where it is null are left out.

    Args:
        number: which of the tables it is that go to the same parts.
    """
    table = table.drop_nulls(column).sort(column)
    ends = np.cumsum(np.bincount(table[column].to_numpy(), minlength=len(parts)))
    return cut_at(table.drop(column), number, ends.tolist(), parts)


def cut_at(
    table: pl.DataFrame, number: int, ends: Sequence[int], parts: Sequence[int]
) -> Iterator[Cut]:
    """A table whose rows up to the first of `ends` go to the first part, and so on."""
    import pyarrow as pa

    arrow = table.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
    start = 0
    for part, end in zip(parts, ends, strict=True):
        for first in range(start, end, _BLOCK_ROWS):
            piece = arrow.slice(first, min(_BLOCK_ROWS, end - first))
            for rows in pa.Table.to_batches(piece):
                yield Cut(part, number, rows)
        start = end


def batches_of_cuts(cuts: Iterable[Cut]) -> Iterator[pa.RecordBatch]:
    """Blocks as Spark takes them: `DDL`."""
    import pyarrow as pa

    # half the bytes, which cost the JVM more than compression costs here
    options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
    sink, some, ends = pa.BufferOutputStream(), list[Cut](), [0]
    for one in cuts:
        with pa.ipc.new_stream(sink, one.rows.schema, options=options) as stream:
            stream.write_batch(one.rows)
        some.append(one)
        ends.append(sink.tell())
        if ends[-1] >= _BATCH_BYTES:
            yield _batch(some, ends, sink.getvalue())
            sink, some, ends = pa.BufferOutputStream(), [], [0]
    if some:
        yield _batch(some, ends, sink.getvalue())


def _batch(cuts: Sequence[Cut], ends: Sequence[int], data: pa.Buffer) -> pa.RecordBatch:
    import pyarrow as pa

    offsets = pa.py_buffer(np.array(ends, np.int32))
    return pa.record_batch(
        [
            pa.array([one.part for one in cuts], pa.int32()),
            pa.array([one.number for one in cuts], pa.int32()),
            pa.Array.from_buffers(pa.binary(), len(cuts), [None, offsets, data]),
        ],
        [PART, TABLE, BLOCK],
    )


def blocks_by_number(batches: Iterable[pa.RecordBatch]) -> dict[int, list[pa.Buffer]]:
    """The blocks that a task got, by table."""
    found: dict[int, list[pa.Buffer]] = {}
    for batch in batches:
        for number, block in zip(batch.column(TABLE), batch.column(BLOCK), strict=True):
            found.setdefault(number.as_py(), []).append(block.as_buffer())
    return found


def opened(blocks: Sequence[pa.Buffer]) -> pl.DataFrame | None:
    """Blocks of one table as a table again; None when there is none."""
    import pyarrow as pa

    tables = [pa.ipc.open_stream(block).read_all() for block in blocks]
    return pl.DataFrame(pl.from_arrow(pa.concat_tables(tables))) if tables else None
