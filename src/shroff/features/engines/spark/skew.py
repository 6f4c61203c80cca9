"""Hot keys: a key with more rows than one worker should hold is split into chunks by time of
arrival.

A chunk owns the payments that arrived in its range and sees every event of the key that one of them
can see: what had arrived by its end, and happened later than its earliest payment less the longest
window. So a chunk gives the values that the whole key gives. Which keys are hot, and where their
chunks begin, is judged by a sample: that decides how the work is shared out, never what comes out
of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from shroff.errors import ConfigurationError
from shroff.features.engines.parts import Part
from shroff.features.engines.spark.worker import CHUNK

ARRIVAL: Final = "shroff arrival"
FROM: Final = "shroff from"
UPTO: Final = "shroff upto"
"""A chunk owns what arrived from `FROM` on and before `UPTO`, microseconds since the epoch."""

_END_OF_TIME_US: Final = 1 << 62


@dataclass(frozen=True, kw_only=True)
class Skew:
    """When and how far hot keys are split.

    Args:
        rows: a key with more rows than this is hot, and its chunks are to own no more than this.
        overlap: how many rows a chunk may hold to be seen for each that it owns, about; it bounds
            the chunks that a long window allows.
        sample: rows that are looked at to find hot keys.

    Raises:
        ConfigurationError: a bound that is not positive.
    """

    rows: int = 2_000_000
    overlap: float = 3.0
    sample: int = 200_000

    def __post_init__(self) -> None:
        if self.rows < 1 or self.sample < 1 or not self.overlap > 0:
            raise ConfigurationError("Skew(rows=…, overlap=…, sample=…): expected numbers above 0.")


USUAL: Final = Skew()


def ranges(sample: pl.DataFrame, part: Part, skew: Skew, *, weight: float) -> pl.DataFrame:
    """The chunks of a part's hot keys.

    Args:
        sample: key columns and `ARRIVAL` (microseconds) of some rows.
        weight: how many rows of the table each of them stands for.

    Returns:
        The key columns, `CHUNK` (1, 2, …), `FROM` and `UPTO`; no rows when no key is hot.
    """
    known = sample.select(*part.key, ARRIVAL).drop_nulls()
    hot = (
        known.group_by(part.key)
        .agg(
            pl.col(ARRIVAL).sort(),
            pl.len().alias("n"),
            pl.col(ARRIVAL).max().sub(pl.col(ARRIVAL).min()).alias("span"),
        )
        .filter(pl.col("n") * weight > skew.rows)
        .sort(part.key)
    )
    wanted = (hot["n"] * (weight / skew.rows)).ceil()
    span = hot[ARRIVAL].list.max() - hot[ARRIVAL].list.min()
    allowed = (span * (skew.overlap / part.horizon)).floor().clip(lower_bound=1)
    chunks = pl.select(pl.min_horizontal(wanted, allowed).cast(pl.Int64)).to_series()
    bounds = [_bounds(arrivals, n) for arrivals, n in zip(hot[ARRIVAL], chunks, strict=True)]
    return (
        hot.select(part.key)
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
    )


def _bounds(arrivals: pl.Series, chunks: int) -> list[int]:
    """Where chunks of about as many rows begin, after the first; payments that arrived together
    stay together.
    """
    places = [len(arrivals) * chunk // chunks for chunk in range(1, chunks)]
    first = arrivals[0]
    return [bound for bound in arrivals.gather(places).unique().sort() if bound > first]
