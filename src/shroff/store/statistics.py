"""Statistics of a write by column: counts, nulls, extremes, quantiles, most frequent values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import polars as pl
from msgspec.structs import replace

from shroff.store.group import Group

QUANTILES: Final = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
TOP_VALUES: Final = 10

Value = int | float | str | bool | None


class ColumnStatistics(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Statistics of one column; of a key only counts, because its values identify people.

    Attributes:
        rows, nulls, distinct: counts; `distinct` counts values, not nulls.
        not_finite: how many numbers are NaN or infinite; extremes and quantiles leave them out.
        min, max: the extremes of numbers and times; times in ISO 8601.
        quantiles: of numbers, by their share such as `0.5`.
        top: the most frequent values of texts and booleans, with their counts.
    """

    rows: int
    nulls: int = 0
    distinct: int = 0
    not_finite: int = 0
    min: Value = None
    max: Value = None
    quantiles: dict[str, float] = {}
    top: list[tuple[Value, int]] = []


def statistics(frame: pl.DataFrame, group: Group) -> dict[str, ColumnStatistics]:
    """The statistics of every column of a conforming table."""
    return {name: _column(frame[name], secret=name in group.key) for name in group.columns}


def _column(values: pl.Series, *, secret: bool) -> ColumnStatistics:
    there = values.drop_nulls()
    counts = ColumnStatistics(
        rows=len(values), nulls=values.null_count(), distinct=there.n_unique()
    )
    if secret or there.is_empty():
        return counts
    if isinstance(there.dtype, pl.Datetime):
        ends = there.to_frame().select(pl.first().min().alias("min"), pl.first().max().alias("max"))
        return replace(
            counts, **{end: at.isoformat() for end, at in ends.row(0, named=True).items()}
        )
    if there.dtype.is_numeric():
        finite = there.filter(there.is_finite())
        shares = (
            pl.first().quantile(share, "nearest").cast(pl.Float64).alias(f"{share:g}")
            for share in QUANTILES
        )
        quantiles = finite.to_frame().select(shares).row(0, named=True) if len(finite) else {}
        not_finite = len(there) - len(finite)
        return replace(
            counts, not_finite=not_finite, min=finite.min(), max=finite.max(), quantiles=quantiles
        )
    return replace(counts, top=_top(there))


def _top(values: pl.Series) -> list[tuple[Value, int]]:
    # ties by value, so that equal tables have equal statistics
    counted = (
        values.alias("value")
        .value_counts()
        .sort("count", "value", descending=[True, False])
        .head(TOP_VALUES)
    )
    return counted.rows()


def encode(found: dict[str, ColumnStatistics]) -> str:
    """Statistics as JSON."""
    return msgspec.json.encode(found).decode()


def decode(text: str) -> dict[str, ColumnStatistics]:
    """Statistics from JSON."""
    return msgspec.json.decode(text, type=dict[str, ColumnStatistics])


def documents(found: Mapping[str, ColumnStatistics]) -> dict[str, dict[str, object]]:
    """Statistics as plain JSON."""
    return {name: msgspec.to_builtins(one) for name, one in found.items()}
