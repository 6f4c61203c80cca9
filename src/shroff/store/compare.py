"""How one version of a table differs from another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import polars as pl

_NOW: Final = "\0now"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What changed from one version to another.

    Attributes:
        added, removed: rows by key, event time and arrival.
        changed: of the rows that both have, how many have another value, by column.
        new_columns, gone_columns: by name.
    """

    added: int
    removed: int
    changed: dict[str, int]
    new_columns: list[str]
    gone_columns: list[str]


def difference(before: pl.DataFrame, after: pl.DataFrame, order: Sequence[str]) -> Difference:
    """The changes between two tables; no two rows of either are equal in these columns.

    >>> before, after = (
    ...     pl.DataFrame({"id": [1, 2], "x": [5, 6]}),
    ...     pl.DataFrame({"id": [2, 3], "x": [7, 8]}),
    ... )
    >>> found = difference(before, after, ["id"])
    >>> found.added, found.removed, found.changed
    (1, 1, {'x': 1})
    """
    both = before.join(after, on=list(order), how="inner", suffix=_NOW)
    common = [name for name in before.columns if name in after.columns and name not in order]
    other = both.select(
        pl.col(name).ne_missing(pl.col(name + _NOW)).sum().alias(name) for name in common
    )
    return Difference(
        added=len(after) - len(both),
        removed=len(before) - len(both),
        changed={
            name: count
            for name, count in (other.row(0, named=True) if common else {}).items()
            if count
        },
        new_columns=[name for name in after.columns if name not in before.columns],
        gone_columns=[name for name in before.columns if name not in after.columns],
    )
