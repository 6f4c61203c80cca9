"""The tokens of payments, as text: a value, a band of amounts, a part of the day."""

from __future__ import annotations

from typing import Final

import polars as pl

from shroff.collect import Schema, money
from shroff.embed.define import Vectors

PARTS: Final = ("night", "morning", "afternoon", "evening")
"""Of the day, six hours each, from midnight."""

_EDGES: Final = tuple(step * 10**power for power in range(8) for step in (1, 2, 5))
"""Lower edges of the bands of amounts, in major units; each reaches up to the next."""


def band(edge: int) -> str:
    """The token of the amounts from the `edge`-th edge on; 0 is below them all.

    >>> band(0), band(4), band(len(_EDGES))
    ('<1', '10-20', '>=50000000')
    """
    if edge == 0:
        return f"<{_EDGES[0]}"
    return f"{_EDGES[edge - 1]}-{_EDGES[edge]}" if edge < len(_EDGES) else f">={_EDGES[-1]}"


def tokens(vectors: Vectors, schema: Schema) -> list[pl.Expr]:
    """The tokens of a clean table, one column of texts per column of the definition; null where there is none."""
    return [_token(column, schema).alias(column) for column in vectors.tokens]


def _token(column: str, schema: Schema) -> pl.Expr:
    if column == schema.time:
        hour = pl.col(column).dt.convert_time_zone(schema.timezone or "UTC").dt.hour()
        return (hour // 6).replace_strict(dict(enumerate(PARTS)), return_dtype=pl.String)
    if column == schema.amount:
        edges = [edge * money.UNITS for edge in _EDGES]
        units = money.units(column, *schema.amounts_in)
        reached = pl.sum_horizontal([(units >= edge).cast(pl.Int32) for edge in edges])
        names = {at: band(at) for at in range(len(edges) + 1)}
        return pl.when(units.is_not_null()).then(reached.replace_strict(names, return_dtype=pl.String))
    return pl.col(column).cast(pl.String)
