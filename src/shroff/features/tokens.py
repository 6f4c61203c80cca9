"""The tokens of payments, as text: a value, a band of amounts, a part of the day."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

import polars as pl

from shroff.collect import Schema, money
from shroff.collect.payment import Value
from shroff.collect.times import EPOCH

PARTS_OF_DAY: Final = ("night", "morning", "afternoon", "evening")
"""Six hours each, from midnight."""

_EDGES: Final = tuple(step * 10**power for power in range(8) for step in (1, 2, 5))
"""Lower edges of the bands of amounts, in major units; each reaches up to the next."""
_EDGES_IN_UNITS: Final = tuple(edge * money.UNITS for edge in _EDGES)

TokenReader = Callable[[int, int, Mapping[str, Value]], Value]
"""The token of a payment, if any, from its amount in units, time in microseconds and values."""


def band(edge: int) -> str:
    """The token of amounts from the `edge`-th edge on; 0 is below all edges.

    >>> band(0), band(4), band(len(_EDGES))
    ('<1', '10-20', '>=50000000')
    """
    if edge == 0:
        return f"<{_EDGES[0]}"
    return f"{_EDGES[edge - 1]}-{_EDGES[edge]}" if edge < len(_EDGES) else f">={_EDGES[-1]}"


_BANDS: Final = tuple(band(edge) for edge in range(len(_EDGES) + 1))


def tokens(columns: Iterable[str], schema: Schema) -> list[pl.Expr]:
    """The tokens of a clean table, one column of texts per column; null where there is none."""
    return [_token(column, schema).alias(column) for column in columns]


def token_reader(column: str, schema: Schema) -> TokenReader:
    """The same for one payment.

    >>> read = token_reader("amount", Schema(id="id", time="at", amount="amount"))
    >>> read(19_9900, 0, {}), read(20_0000, 0, {})
    ('10-20', '20-50')
    """
    if column == schema.time:
        zone = ZoneInfo(schema.timezone or "UTC")
        return lambda _, time, __: PARTS_OF_DAY[
            (EPOCH + timedelta(microseconds=time)).astimezone(zone).hour // 6
        ]
    if column == schema.amount:
        return lambda units, _, __: _BANDS[bisect_right(_EDGES_IN_UNITS, units)]
    return lambda _, __, values: values.get(column)


def _token(column: str, schema: Schema) -> pl.Expr:
    if column == schema.time:
        hour = pl.col(column).dt.convert_time_zone(schema.timezone or "UTC").dt.hour()
        return (hour // 6).replace_strict(dict(enumerate(PARTS_OF_DAY)), return_dtype=pl.String)
    if column == schema.amount:
        units = money.units(column, *schema.amounts_in)
        reached = pl.sum_horizontal([(units >= edge).cast(pl.Int32) for edge in _EDGES_IN_UNITS])
        names = dict(enumerate(_BANDS))
        return pl.when(units.is_not_null()).then(
            reached.replace_strict(names, return_dtype=pl.String)
        )
    return pl.col(column).cast(pl.String)
