"""A lazy table slice by slice: Polars' `collect_batches` runs ahead of a slow reader, until all of
the table is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

SLICE_ROWS: Final = 250_000
"""Rows that are read at once: a file in object storage may be fetched once for each slice of it."""


def in_slices(table: pl.LazyFrame, start: int = 0) -> Iterator[pl.DataFrame]:
    """The rows of a table on disk in their order, from a row on; at least one slice, maybe empty.

    Filter the slices, not the table: a filter cannot be skipped to the rows of a slice.

    >>> [len(rows) for rows in in_slices(pl.LazyFrame({"n": range(600_000)}))]
    [250000, 250000, 100000]
    """
    while True:
        rows = table.slice(start, SLICE_ROWS).collect()
        yield rows
        if len(rows) < SLICE_ROWS:
            return
        start += len(rows)
