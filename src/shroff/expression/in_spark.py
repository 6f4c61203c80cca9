"""A checked tree as Spark SQL text; columns must be finite or null, as cleaning leaves them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from shroff.expression.called import CALLED, name_in_spark
from shroff.expression.like import to_spark_pattern
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
)

_TYPES: Final[dict[AnyKind, str]] = {
    "number": "DOUBLE",
    "text": "STRING",
    "boolean": "BOOLEAN",
    "time": "TIMESTAMP",
}

# a dollar could begin one of Spark's ${variables}
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "'": "\\'", "$": "\\u0024"})


def to_spark(node: Node) -> str:
    """The Spark SQL of a tree whose named lists are bound."""
    match node:
        case ColumnRef():
            return f"`{node.name.replace('`', '``')}`"
        case Constant():
            return (
                f"CAST(NULL AS {_TYPES[node.kind]})" if node.value is None else _literal(node.value)
            )
        case In():
            values = [_literal(value) for value in node.values] + ["NULL"] * node.null
            return f"({to_spark(node.arg)} IN ({', '.join(values)}))"
        case Like():
            return f"({to_spark(node.arg)} LIKE {_literal(to_spark_pattern(node.pattern))})"
        case Substring():
            length = "" if node.length is None else f", {node.length}"
            return f"SUBSTRING({to_spark(node.arg)}, {node.start}{length})"
        case FunctionCall():
            return _call(node.op, [to_spark(arg) for arg in node.args])
        case InList():
            raise ValueError(f"the named list `{node.name}` is not bound")


def _literal(value: float | str | bool) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    return f"'{value.translate(_ESCAPES)}'" if isinstance(value, str) else f"{value!r}D"


def _call(op: str, args: list[str]) -> str:
    if op in _SPECIAL:
        return _SPECIAL[op](args)
    if op in CALLED:
        return f"{name_in_spark(op)}({', '.join(args)})"
    if op in _FUNCTIONS:
        return f"{op}({', '.join(args)})"
    return f"({f' {op} '.join(args)})"


def _finite(number: str) -> str:
    for other in ("NaN", "Infinity", "-Infinity"):
        number = f"NULLIF({number}, DOUBLE('{other}'))"
    return number


def _whole(function: str, number: str) -> str:
    """FLOOR or CEIL: Spark's give integers, which lose large numbers and the sign of a zero."""
    found = f"CAST({function}(x) AS DOUBLE)"
    kept = "x = 0D OR ABS(x) >= 9007199254740992D THEN x"
    body = f"CASE WHEN {kept} WHEN x < 0D THEN - ABS({found}) ELSE {found} END"
    # a lambda names the number, so that nested calls do not repeat it
    return f"TRANSFORM(ARRAY({number}), x -> {body})[0]"


def _case(args: list[str]) -> str:
    *pairs, default = args
    whens = zip(pairs[::2], pairs[1::2], strict=True)
    return f"CASE {' '.join(f'WHEN {when} THEN {then}' for when, then in whens)} ELSE {default} END"


_FUNCTIONS: Final = frozenset(
    {"ABS", "COALESCE", "CONCAT", "GREATEST", "LEAST", "LN", "LOWER", "NULLIF", "ROUND", "UPPER"}
)

_SPECIAL: Final[dict[str, Callable[[list[str]], str]]] = {
    "NOT": lambda args: f"(NOT {args[0]})",
    "NEG": lambda args: f"(- {args[0]})",
    "IS NULL": lambda args: f"({args[0]} IS NULL)",
    "IS TRUE": lambda args: f"({args[0]} IS TRUE)",
    "IS FALSE": lambda args: f"({args[0]} IS FALSE)",
    "+": lambda args: _finite(f"({' + '.join(args)})"),
    "-": lambda args: _finite(f"({args[0]} - {args[1]})"),
    "*": lambda args: _finite(f"({' * '.join(args)})"),
    "/": lambda args: _finite(f"try_divide({args[0]}, {args[1]})"),
    "%": lambda args: f"({args[0]} % NULLIF({args[1]}, 0D))",
    "FLOOR": lambda args: _whole("FLOOR", args[0]),
    "CEIL": lambda args: _whole("CEIL", args[0]),
    "SQRT": lambda args: _finite(f"SQRT({args[0]})"),
    "MICROSECONDS": lambda args: f"CAST(UNIX_MICROS({args[0]}) AS DOUBLE)",
    "LENGTH": lambda args: f"CAST(LENGTH({args[0]}) AS DOUBLE)",
    "CASE": _case,
}
