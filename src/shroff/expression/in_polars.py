"""A checked tree as a Polars expression over whole columns."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Final

import polars as pl

from shroff.expression.called import CALLED, gives
from shroff.expression.like import to_rust_regex
from shroff.expression.tree import (
    AnyKind,
    ColumnRef,
    Constant,
    FunctionCall,
    In,
    InList,
    Like,
    Node,
    Substring,
    walk,
)

_Args = Sequence[pl.Expr]

_DTYPES: Final[dict[AnyKind, pl.DataType]] = {
    "number": pl.Float64(),
    "text": pl.String(),
    "boolean": pl.Boolean(),
    "time": pl.Datetime("us", "UTC"),
}


def to_polars(node: Node) -> pl.Expr:
    """The Polars expression of a tree whose named lists are bound."""
    match node:
        case ColumnRef():
            return _column(node)
        case Constant():
            return pl.lit(node.value, dtype=_DTYPES[node.kind])
        case FunctionCall():
            op, args = _constant_right(node)
            return _CALLS[op]([to_polars(arg) for arg in args])
        case In():
            found = to_polars(node.arg).is_in(list(node.values))
            # three-valued logic: `found OR unknown` is TRUE or unknown
            return found | pl.lit(None, dtype=pl.Boolean()) if node.null else found
        case Like():
            return to_polars(node.arg).str.contains(to_rust_regex(node.pattern))
        case Substring():
            return to_polars(node.arg).str.slice(node.start - 1, node.length)
        case InList():
            raise ValueError(f"the named list `{node.name}` is not bound")


def _constant_right(node: FunctionCall) -> tuple[str, tuple[Node, ...]]:
    """`0 < a` as `a > 0`.

    Polars takes a comparison's length from its left side when the right side is one repeated value,
    as an all-null column may be: a constant on the left would then give a single row.
    """
    if node.op in _MIRRORED and not any(isinstance(one, ColumnRef) for one in walk(node.args[0])):
        return _MIRRORED[node.op], node.args[::-1]
    return node.op, node.args


def _column(node: ColumnRef) -> pl.Expr:
    column = pl.col(node.name)
    return _finite(column.cast(pl.Float64())) if node.kind == "number" else column


def _finite(number: pl.Expr) -> pl.Expr:
    return pl.when(number.is_finite()).then(number)


def _once(args: _Args, body: Callable[..., pl.Expr]) -> pl.Expr:
    """`body` of the arguments, each of which is computed once.

    Otherwise nested conditions would grow as 2**depth.
    """
    names = [str(place) for place in range(len(args))]
    given = pl.struct([arg.alias(name) for arg, name in zip(args, names, strict=True)])
    result = body(*map(pl.field, names)).alias("result")
    return given.struct.with_fields(result).struct.field("result")


def _checked(body: Callable[..., pl.Expr]) -> Callable[[_Args], pl.Expr]:
    """Arithmetic whose result is null unless it is finite."""
    return lambda args: _once([body(*args)], _finite)


def _quotient(x: pl.Expr, y: pl.Expr) -> pl.Expr:
    """The IEEE quotient: Polars divides by a constant as `x * (1 / constant)`, less exactly.

    Inside a struct both sides are full columns, so Polars divides.
    """
    return _once([x, y], operator.truediv)


def _remainder(x: pl.Expr, y: pl.Expr) -> pl.Expr:
    """C's exact remainder: Polars' `%` rounds intermediate results, and has the divisor's sign."""
    return pl.struct(x=x, y=y).map_batches(_fmod, return_dtype=pl.Float64(), is_elementwise=True)


def _fmod(pair: pl.Series) -> pl.Series:
    import numpy as np  # only `%` needs it

    with np.errstate(invalid="ignore"):
        values = np.fmod(pair.struct.field("x").to_numpy(), pair.struct.field("y").to_numpy())
    return pl.Series(values)


def _called(op: str, function: Callable[..., float | None]) -> Callable[[_Args], pl.Expr]:
    """One Python function over the rows in which no argument is null."""

    def batch(rows: pl.Series) -> pl.Series:
        columns = [rows.struct.field(name).to_list() for name in rows.struct.fields]
        values = [None if None in row else function(*row) for row in zip(*columns, strict=True)]
        return pl.Series(values, dtype=_DTYPES[gives(op)])

    def expression(args: _Args) -> pl.Expr:
        together = pl.struct([arg.alias(str(place)) for place, arg in enumerate(args)])
        return together.map_batches(batch, return_dtype=_DTYPES[gives(op)], is_elementwise=True)

    return expression


def _case(args: _Args) -> pl.Expr:
    *pairs, default = args
    chain = pl.when(pairs[0]).then(pairs[1])
    for condition, value in zip(pairs[2::2], pairs[3::2], strict=True):
        chain = chain.when(condition).then(value)  # type: ignore[assignment]  # ChainedThen has the methods of Then
    return chain.otherwise(default)


_MIRRORED: Final = {
    "=": "=",
    "<>": "<>",
    "<": ">",
    "<=": ">=",
    ">": "<",
    ">=": "<=",
    "NULLIF": "NULLIF of a constant",
}

_CALLS: Final[dict[str, Callable[[_Args], pl.Expr]]] = {
    "AND": pl.all_horizontal,
    "OR": pl.any_horizontal,
    "NOT": lambda args: ~args[0],
    "IS NULL": lambda args: args[0].is_null(),
    "IS TRUE": lambda args: args[0].fill_null(value=False),
    "IS FALSE": lambda args: (~args[0]).fill_null(value=False),
    "=": lambda args: args[0] == args[1],
    "<>": lambda args: args[0] != args[1],
    "<": lambda args: args[0] < args[1],
    "<=": lambda args: args[0] <= args[1],
    ">": lambda args: args[0] > args[1],
    ">=": lambda args: args[0] >= args[1],
    "+": _checked(lambda *terms: reduce(operator.add, terms)),
    "-": _checked(operator.sub),
    "*": _checked(lambda *factors: reduce(operator.mul, factors)),
    "/": _checked(_quotient),
    "%": _checked(_remainder),
    "NEG": lambda args: -args[0],
    "ABS": lambda args: args[0].abs(),
    "SQRT": _checked(lambda x: x.sqrt()),
    "LN": _checked(lambda x: x.log(math.e)),
    "FLOOR": lambda args: args[0].floor(),
    "CEIL": lambda args: args[0].ceil(),
    "MICROSECONDS": lambda args: args[0].dt.epoch("us").cast(pl.Float64()),
    "ROUND": lambda args: args[0].round(0, mode="half_away_from_zero"),
    "LOWER": lambda args: args[0].str.to_lowercase(),
    "UPPER": lambda args: args[0].str.to_uppercase(),
    "LENGTH": lambda args: args[0].str.len_chars().cast(pl.Float64()),
    "CONCAT": lambda args: pl.concat_str(args, ignore_nulls=False),
    "COALESCE": pl.coalesce,
    "NULLIF": lambda args: _once(args, lambda x, y: pl.when(x == y).then(None).otherwise(x)),
    "NULLIF of a constant": lambda args: pl.when(args[0] == args[1]).then(None).otherwise(args[1]),
    "LEAST": pl.min_horizontal,
    "GREATEST": pl.max_horizontal,
    "CASE": _case,
    **{op: _called(op, function) for op, function in CALLED.items()},
}
