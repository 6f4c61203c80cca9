"""Tables in blocks: Arrow streams in a binary column, which Spark's shuffle moves as they are.

Spark's own rows are written field by field before a shuffle and read field by field after it. What
goes from one Python worker to another needs neither. A part is what one task gets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

if TYPE_CHECKING:
    import pyarrow as pa

    Words = np.ndarray[tuple[int], np.dtype[np.uint32]]

PART: Final = "shroff part"
TABLE: Final = "shroff table"
BLOCK: Final = "shroff block"
DDL: Final = f"`{PART}` int, `{TABLE}` int, `{BLOCK}` binary"

_word: Final = np.uint32
_BLOCK_ROWS: Final = 1 << 16
_BATCH_BLOCKS: Final = 64
"""Blocks of a record batch: Spark holds one at a time, and no column may have 2 GiB."""


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
    import pyarrow as pa

    table = table.drop_nulls(column).sort(column)
    ends = np.cumsum(np.bincount(table[column].to_numpy(), minlength=len(parts)))
    arrow = table.drop(column).to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
    start = 0
    for part, end in zip(parts, ends.tolist(), strict=True):
        for first in range(start, end, _BLOCK_ROWS):
            piece = arrow.slice(first, min(_BLOCK_ROWS, end - first))
            for rows in pa.Table.to_batches(piece):
                yield Cut(part, number, rows)
        start = end


def batches_of_cuts(cuts: Iterable[Cut]) -> Iterator[pa.RecordBatch]:
    """Blocks as Spark takes them: `DDL`."""
    import pyarrow as pa

    left = iter(cuts)
    while several := list(islice(left, _BATCH_BLOCKS)):
        sink, ends = pa.BufferOutputStream(), [0]
        for one in several:
            with pa.ipc.new_stream(sink, one.rows.schema) as stream:
                stream.write_batch(one.rows)
            ends.append(sink.tell())
        offsets = pa.py_buffer(np.array(ends, np.int32))
        yield pa.record_batch(
            [
                pa.array([one.part for one in several], pa.int32()),
                pa.array([one.number for one in several], pa.int32()),
                pa.Array.from_buffers(pa.binary(), len(several), [None, offsets, sink.getvalue()]),
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


def spread(parts: int) -> list[int]:
    """A whole number for each part, which Spark's hash sends to a partition of its own.

    With as many partitions as parts; the hash is MurmurHash3 (32 bits, of one word of four bytes)
    with the seed 42.
    """
    found: dict[int, int] = {}
    start = 0
    while len(found) < parts:
        tried = np.arange(start, start + 8 * parts, dtype=np.uint32)
        hashed = _rotated(tried * _word(0xCC9E2D51), 15) * _word(0x1B873593)
        hashed = _rotated(hashed ^ _word(42), 13) * _word(5) + _word(0xE6546B64)
        hashed ^= _word(4)
        hashed = (hashed ^ hashed >> _word(16)) * _word(0x85EBCA6B)
        hashed = (hashed ^ hashed >> _word(13)) * _word(0xC2B2AE35)
        hashed ^= hashed >> _word(16)
        for number, place in zip(tried.tolist(), hashed.view(np.int32) % parts, strict=True):
            found.setdefault(int(place), number)
        start += 8 * parts
    return [found[place] for place in range(parts)]


def _rotated(words: Words, bits: int) -> Words:
    return (words << _word(bits)) | (words >> _word(32 - bits))
