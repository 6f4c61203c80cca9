"""Hot keys: keys with more rows than one worker should hold, split into chunks by arrival.

A chunk owns the payments that arrived in its range, and sees every event of the key that one of
them can see: those that had arrived by its end and happened later than its earliest payment less
the longest window. So a chunk gives the values that the whole key gives. A sample decides which
keys are hot and where their chunks begin: that affects how work is spread, never its result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from shroff.errors import ConfigurationError
from shroff.features.engines.spark.worker import ARRIVAL, CHUNK, FROM, UPTO
from shroff.features.engines.subplans import Subplan

_ALL: Final = "shroff all"
_END_OF_TIME_US: Final = 1 << 62


@dataclass(frozen=True, kw_only=True)
class Skew:
    """When hot keys are split, and into how many chunks.

    Args:
        rows: a key with more rows than this is hot, and its chunks own no more than this.
        overlap: about how many rows a chunk may see for each that it owns; it bounds the number of
            chunks where windows are long.
        sample: rows that are read to find hot keys.

    Raises:
        ConfigurationError: a bound that is not positive.
    """

    rows: int = 2_000_000
    overlap: float = 3.0
    sample: int = 200_000

    def __post_init__(self) -> None:
        if self.rows < 1 or self.sample < 1 or not self.overlap > 0:
            raise ConfigurationError("Skew(rows=…, overlap=…, sample=…): expected numbers above 0.")


DEFAULT_SKEW: Final = Skew()


def ranges(sample: pl.DataFrame, subplan: Subplan, skew: Skew, *, weight: float) -> pl.DataFrame:
    """The chunks of a subplan's hot keys.

    Args:
        sample: key columns and `ARRIVAL` (microseconds) of some rows.
        weight: how many rows of the table each of them stands for.

    Returns:
        The key columns, `CHUNK` (1, 2, …), `FROM` and `UPTO`; no rows when no key is hot.
    """
    # links have no key: all payments are one
    key = (*subplan.key, _ALL)
    known = sample.select(*subplan.key, ARRIVAL).drop_nulls().with_columns(pl.lit(0).alias(_ALL))
    hot = (
        known.group_by(key)
        .agg(
            pl.col(ARRIVAL).sort(),
            pl.len().alias("n"),
            pl.col(ARRIVAL).max().sub(pl.col(ARRIVAL).min()).alias("span"),
        )
        .filter(pl.col("n") * weight > skew.rows)
        .sort(key)
    )
    wanted = (hot["n"] * (weight / skew.rows)).ceil()
    span = hot[ARRIVAL].list.max() - hot[ARRIVAL].list.min()
    allowed = (span * (skew.overlap / subplan.horizon)).floor().clip(lower_bound=1)
    chunks = pl.select(pl.min_horizontal(wanted, allowed).cast(pl.Int64)).to_series()
    bounds = [_bounds(arrivals, n) for arrivals, n in zip(hot[ARRIVAL], chunks, strict=True)]
    return (
        hot.select(key)
        .with_columns(
            pl.Series(
                FROM, [[-_END_OF_TIME_US, *inner] for inner in bounds], dtype=pl.List(pl.Int64)
            ),
            pl.Series(
                UPTO, [[*inner, _END_OF_TIME_US] for inner in bounds], dtype=pl.List(pl.Int64)
            ),
        )
        .filter(pl.col(FROM).list.len() > 1)
        .explode(FROM, UPTO)
        .with_row_index(CHUNK, offset=1)
        .with_columns(pl.col(CHUNK).cast(pl.Int32))
        .drop(_ALL)
    )


def _bounds(arrivals: pl.Series, chunks: int) -> list[int]:
    """Where chunks of about equal size begin, after the first; equal arrivals stay in one chunk."""
    places = [len(arrivals) * chunk // chunks for chunk in range(1, chunks)]
    first = arrivals[0]
    return [bound for bound in arrivals.gather(places).unique().sort() if bound > first]
