"""Where the rows of a job come from: a Spark table, or Parquet files that workers read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import polars as pl

from shroff.features.engines.spark import worker
from shroff.features.engines.spark.blocks import PART
from shroff.features.engines.spark.files import Piece
from shroff.features.engines.spark.frames import col, map_batches, micros_of, quoted
from shroff.features.engines.spark.homes import HashHomes, Homes, PieceHomes
from shroff.features.engines.spark.parts import Parts
from shroff.features.engines.spark.worker import ARRIVAL, Compute, TableCompute
from shroff.features.engines.subplans import ROW

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


_PART_ROWS: Final = 1 << 19
_AUTO_PARTITIONS: Final = 200


@dataclass(frozen=True)
class ClusterTable:
    """A clean table.

    Args:
        frame: as Spark reads it.
        row: its column that orders payments which arrived together.
        pieces: the same rows in files that workers read themselves; empty if they cannot.
    """

    frame: DataFrame
    row: str
    pieces: Sequence[Piece] = ()

    def map(self, columns: Sequence[str], compute: TableCompute, result: str) -> DataFrame:
        """What `compute` makes of the rows: `ROW` and these columns, some rows at a time."""
        if not self.pieces:
            rows = self.frame.select(col(self.row).alias(ROW), *map(col, columns))
            return map_batches(rows, partial(worker.of_batches, compute=compute), result)
        tasks = self.frame.sparkSession.range(0, len(self.pieces), numPartitions=len(self.pieces))
        read: Compute = partial(
            worker.of_pieces, pieces=self.pieces, columns=columns, compute=compute
        )
        return map_batches(tasks, read, result)

    def count(self) -> int:
        """How many rows there are."""
        return sum(piece.rows for piece in self.pieces) or self.frame.count()

    def parts(self) -> Parts:
        """The parts of keys."""
        if not self.pieces:
            return Parts.of(_partitions(self.frame))
        tasks = 2 * self.frame.sparkSession.sparkContext.defaultParallelism
        return Parts.of(max(tasks, self.count() // _PART_ROWS))

    def homes(self, parts: Parts) -> Homes:
        """Where features are put together."""
        return PieceHomes(self.pieces) if self.pieces else HashHomes(parts)

    def shuffled(self, blocks: DataFrame, parts: int) -> DataFrame:
        """Blocks of a part side by side."""
        if self.pieces:
            return blocks.repartition(parts, col(PART))
        # Spark puts small ones together
        return blocks.repartition(col(PART))

    def sample(self, keys: Sequence[str], arrival: str, share: float) -> pl.DataFrame:
        """Keys and `ARRIVAL` (microseconds since 1970) of a share of the rows, at random."""
        if self.pieces:
            kinds = dict(self.frame.dtypes)
            named = (f"{quoted(name)} {kinds[name]}" for name in keys)
            compute = partial(worker.sampled, keys=keys, arrival=arrival, share=share)
            result = ", ".join((*named, f"`{ARRIVAL}` bigint"))
            some = self.map(tuple(dict.fromkeys((*keys, arrival))), compute, result)
        else:
            looked_at = self.frame.select(*map(col, keys), micros_of(arrival).alias(ARRIVAL))
            some = looked_at.sample(fraction=share, seed=1)
        return pl.DataFrame(pl.from_arrow(some.toArrow()))


def _partitions(frame: DataFrame) -> int:
    """Into how many partitions Spark shuffles, before it puts small ones together."""
    conf = frame.sparkSession.conf
    text = conf.get("spark.sql.adaptive.coalescePartitions.initialPartitionNum", None)
    text = text or conf.get("spark.sql.shuffle.partitions")
    # clusters whose Spark chooses the number say `auto`
    return int(text) if text and text.isdigit() else _AUTO_PARTITIONS
