"""Several tables as one, although some may lack a column or have it in another type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from shroff.canonical import text_of
from shroff.collect.columns import texts_of

_MAX_EXACT_INT: Final = 2**53
_MAX_INT64: Final = 2**63 - 1


def aligned(tables: Sequence[pl.LazyFrame]) -> pl.LazyFrame:
    """The rows of all tables in order, with the columns of all."""
    schemas = [table.collect_schema() for table in tables]
    names = dict.fromkeys(name for schema in schemas for name in schema)
    types = {name: common([schema.get(name, pl.Null()) for schema in schemas]) for name in names}
    return pl.concat(
        table.select(_as(name, schema.get(name), kind) for name, kind in types.items())
        for table, schema in zip(tables, schemas, strict=True)
    )


def common(types: Sequence[pl.DataType]) -> pl.DataType:
    """The type that holds the values of all: their own, the finest decimal, or text.

    >>> common([pl.Null(), pl.Decimal(38, 2), pl.Decimal(38, 4)])
    Decimal(precision=38, scale=4)
    >>> common([pl.Int32(), pl.Int64()]), common([pl.Int64(), pl.String()])
    (Int64, String)
    """
    kinds = {kind for kind in types if kind != pl.Null()}
    if len(kinds) <= 1:
        return next(iter(kinds), pl.Null())
    if all(isinstance(kind, pl.Decimal) for kind in kinds):
        return pl.Decimal(38, max(kind.scale for kind in kinds if isinstance(kind, pl.Decimal)))
    return pl.Int64() if all(kind.is_signed_integer() for kind in kinds) else pl.String()


def typed(name: str, values: Sequence[Any]) -> pl.Series:
    """A column of Python's values; values of several types become their texts, except for numbers
    that a float holds.

    >>> typed("n", [1, 2.5, None]).to_list(), typed("n", ["x", 1.0, True, None]).to_list()
    ([1.0, 2.5, None], ['x', '1', 'true', None])
    """
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float} and all(
        abs(value) <= _MAX_EXACT_INT for value in values if isinstance(value, int)
    ):
        return pl.Series(name, values, dtype=pl.Float64, strict=False)
    if len(kinds) > 1:
        texts = [one if one is None or isinstance(one, str) else _text(one) for one in values]
        return pl.Series(name, texts, dtype=pl.String)
    if kinds == {int} and any(abs(value) > _MAX_INT64 for value in values if value is not None):
        return pl.Series(name, values, dtype=pl.Int128)
    return pl.Series(name, values, dtype=None if kinds else pl.Null())


def _text(value: Any) -> str | None:
    return text_of(value) if isinstance(value, bool | int | float) else str(value)


def _as(name: str, has: pl.DataType | None, wanted: pl.DataType) -> pl.Expr:
    if has is None:
        return pl.lit(None, dtype=wanted).alias(name)
    if has == wanted:
        return pl.col(name)
    if wanted == pl.String() and has != pl.Null():
        return pl.col(name).map_batches(texts_of, return_dtype=pl.String())
    return pl.col(name).cast(wanted)
