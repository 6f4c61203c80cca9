"""A table on disk in chunks of time, for links, which cross keys but no window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from shroff.collect import Schema
from shroff.features.engines.batch.grouping import Int
from shroff.features.engines.chunk import Chunk
from shroff.features.engines.subplans import OWNED, Subplan

_OVERLAP: Final = 3.0
"""Payments that a chunk may hold to be seen for each that it owns, about."""
_MAX_SAMPLE_ROWS: Final = 100_000
_TIME: Final = "shroff time"
_ARRIVAL: Final = "shroff arrival"


class Slice(NamedTuple):
    """Rows `first` … `first + rows - 1` of a table on disk."""

    table: pl.LazyFrame
    first: int
    rows: int


def chunks_by_time(
    subplan: Subplan, schema: Schema, slices: Sequence[Slice], wanted: int
) -> list[Chunk]:
    """So many chunks of about as many payments, or as many as the longest window allows."""
    every = max(1, sum(piece.rows for piece in slices) // _MAX_SAMPLE_ROWS)
    sample = np.sort(np.concatenate([_moments(piece, schema, every)[1] for piece in slices]))
    if not len(sample):
        return [Chunk(0, 0, 0)]
    span = float(sample[-1] - sample[0])
    many = max(1, min(wanted, int(span * _OVERLAP / subplan.horizon)))
    inner = np.unique(sample[[len(sample) * at // many for at in range(1, many)]])
    bounds = np.array([np.iinfo(np.int64).min, *inner, np.iinfo(np.int64).max])
    earliest = np.full(len(bounds) - 1, np.iinfo(np.int64).max)
    for piece in slices:
        times, arrivals = _moments(piece, schema)
        np.minimum.at(earliest, np.searchsorted(inner, arrivals, side="right"), times)
    return [
        Chunk(int(start), int(end), int(first) - subplan.horizon)
        for start, end, first in zip(bounds, bounds[1:], earliest, strict=False)
    ]


def spread_by_time(
    schema: Schema, frame: pl.DataFrame, chunks: Sequence[Chunk]
) -> Iterator[tuple[int, pl.DataFrame]]:
    """The rows of a slice by chunk, each in all chunks that own or see it."""
    time, arrival = (pl.col(at).to_physical() for at in (schema.time, _arrival(schema)))
    for place, chunk in enumerate(chunks):
        owned, held = chunk.rows(arrival, time)
        yield place, frame.filter(held).with_columns(owned.alias(OWNED))


def _moments(piece: Slice, schema: Schema, every: int = 1) -> tuple[Int, Int]:
    """Times and arrivals of every so many rows."""
    columns = pl.col(schema.time).alias(_TIME), pl.col(_arrival(schema)).alias(_ARRIVAL)
    found = piece.table.select(*columns).gather_every(every).collect()
    return found[_TIME].to_physical().to_numpy(), found[_ARRIVAL].to_physical().to_numpy()


def _arrival(schema: Schema) -> str:
    return schema.arrived_at or schema.time
