"""Operators and functions with a grammar of their own: IN, LIKE, CASE, SUBSTR, DATE_DIFF …"""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from shroff.errors import InvalidExpression, did_you_mean
from shroff.expression.dates import UNITS
from shroff.expression.grammar import (
    BOOLEAN,
    COMPARED,
    NAMED,
    PLAIN,
    TEXT,
    FunctionSignature,
)
from shroff.expression.like import read_pattern
from shroff.expression.parsing import (
    MAX_CHARACTERS,
    quote,
    quote_node,
    span_of,
)
from shroff.expression.reader import NULL, NUMBER, Forms, Reader, typed
from shroff.expression.regular import automaton
from shroff.expression.tree import (
    Constant,
    FunctionCall,
    In,
    InList,
    Like,
    Node,
    Substring,
)


def _is(reader: Reader, node: exp.Expression) -> Node:
    reader.only(node, "this", "expression")
    match node.expression:
        case exp.Null():
            return FunctionCall("IS NULL", (typed(reader.read(node.this), "number"),), "boolean")
        case exp.Boolean() as wanted:
            op = "IS TRUE" if wanted.this else "IS FALSE"
            args, _ = reader.alike(node, FunctionSignature(op, BOOLEAN, "boolean"), [node.this])
            return FunctionCall(op, args, "boolean")
        case _:
            raise reader.refused(node)


def _between(reader: Reader, node: exp.Expression) -> Node:
    reader.only(node, "this", "low", "high")
    sides = [node.this, node.args["low"], node.args["high"]]
    (value, low, high), _ = reader.alike(
        node, FunctionSignature("BETWEEN", COMPARED, "boolean"), sides
    )
    return FunctionCall(
        "AND",
        (
            FunctionCall(">=", (value, low), "boolean"),
            FunctionCall("<=", (value, high), "boolean"),
        ),
        "boolean",
    )


def _in(reader: Reader, node: exp.Expression) -> Node:
    reader.only(node, "this", "expressions", "field")
    name = _list_name(reader, node)
    if name is not None:
        args, _ = reader.alike(
            node, FunctionSignature("IN a named list", TEXT, "boolean"), [node.this]
        )
        return InList(args[0], name)
    given = node.expressions
    if not given:
        raise InvalidExpression(f"{quote_node(node)} needs at least one value in its list")
    (arg, *values), _ = reader.alike(
        node, FunctionSignature("IN", PLAIN, "boolean"), [node.this, *given]
    )
    constants = [value for value in values if isinstance(value, Constant)]
    if len(constants) < len(values):
        raise InvalidExpression(
            f"IN takes literals or one named list, got {quote_node(node)} in {quote(reader.sql)}"
        )
    kept = dict.fromkeys(c.value for c in constants if c.value is not None)
    return In(arg, tuple(kept), null=any(c.value is None for c in constants))


def _list_name(reader: Reader, node: exp.Expression) -> str | None:
    """The list of `x IN name` or `x IN (name)`; None for literals."""
    field = node.args.get("field")
    if field is None:
        alone = node.expressions[0] if len(node.expressions) == 1 else None
        return alone.name if isinstance(alone, exp.Column) and alone.name in reader.lists else None
    reader.only(field, "this")
    if field.name not in reader.lists:
        known = f": the named lists are {', '.join(sorted(reader.lists)) or 'none'}"
        advice = did_you_mean(field.name, reader.lists) or known
        unknown = InvalidExpression(
            f"unknown named list {quote(field.name)} in {quote(reader.sql)}{advice}"
        )
        unknown.span = span_of(field)
        raise unknown
    return str(field.name)


def _like(reader: Reader, node: exp.Expression, escape: str | None = None) -> Node:
    reader.only(node, "this", "expression", "negate")
    args, _ = reader.alike(node, FunctionSignature("LIKE", TEXT, "boolean"), [node.this])
    pattern = node.expression
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        raise InvalidExpression(
            f"LIKE takes a pattern in single quotes, got {quote_node(pattern)} in "
            f"{quote(reader.sql)}"
        )
    found = Like(args[0], read_pattern(pattern.name, escape))
    return FunctionCall("NOT", (found,), "boolean") if node.args.get("negate") else found


def _escape(reader: Reader, node: exp.Expression) -> Node:
    character = node.expression
    fits = (
        isinstance(node.this, exp.Like)
        and isinstance(character, exp.Literal)
        and character.is_string
    )
    if not fits or len(character.name) != 1:
        raise InvalidExpression(
            f"expected LIKE 'pattern' ESCAPE 'one character', got {quote_node(node)}"
        )
    return _like(reader, node.this, character.name)


def _substring(reader: Reader, node: exp.Expression) -> Node:
    """`SUBSTR(text, start, length)`: places are literals from 1, which all engines treat alike."""
    reader.only(node, "this", "start", "length")
    (text,), _ = reader.alike(node, FunctionSignature("SUBSTR", TEXT, "text"), [node.this])
    places = [node.args.get("start"), node.args.get("length")]
    if places[0] is None or not all(place is None or _is_place(place) for place in places):
        raise InvalidExpression(
            "SUBSTR takes a text, the place of the first character (1, 2, …) and a number of "
            f"characters, both written as whole numbers from 1 to {MAX_CHARACTERS:,}; got "
            f"{quote_node(node)}"
        )
    start, length = (None if place is None else int(place.name) for place in places)
    return Substring(text, start or 1, length)


def _named(reader: Reader, node: exp.Expression) -> Node:
    """A function that sqlglot has no class for."""
    return (
        _date_diff(reader, node) if node.name.upper() == "DATE_DIFF" else reader.by_signature(node)
    )


def _date_diff(reader: Reader, node: exp.Expression) -> Node:
    """`DATE_DIFF('unit', from, to)`, each a time column or a text that is a date."""
    unit, *moments = node.expressions or [exp.Null()]
    if not (isinstance(unit, exp.Literal) and unit.name.lower() in UNITS) or len(moments) != 2:
        raise InvalidExpression(
            f"DATE_DIFF takes a unit ({', '.join(map(repr, UNITS))}) and two moments, from and "
            f"to; got {quote_node(node)} in {quote(reader.sql)}"
        )
    ends = [_moment(reader, one) for one in moments]
    return FunctionCall("DATE_DIFF", (Constant(unit.name.lower(), "text"), *ends), "number")


def _moment(reader: Reader, node: exp.Expression) -> Node:
    """A moment as a number, microseconds since 1970."""
    (arg,), kind = reader.alike(node, NAMED["DATE_DIFF"], [node])
    return FunctionCall("MOMENT" if kind == "text" else "MICROSECONDS", (arg,), "number")


def _regexp_like(reader: Reader, node: exp.Expression) -> Node:
    """`REGEXP_LIKE(text, pattern)`: the pattern is a literal, which is checked now."""
    reader.only(node, "this", "expression")
    (text,), _ = reader.alike(node, FunctionSignature("REGEXP_LIKE", TEXT, "boolean"), [node.this])
    pattern = node.expression
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        raise InvalidExpression(
            f"REGEXP_LIKE takes a text and a pattern in single quotes, got {quote_node(node)} "
            f"in {quote(reader.sql)}"
        )
    automaton(pattern.name)
    return FunctionCall("REGEXP_LIKE", (text, Constant(pattern.name, "text")), "boolean")


def _case(reader: Reader, node: exp.Expression) -> Node:
    reader.only(node, "this", "ifs", "default")
    whens: list[exp.Expression] = node.args["ifs"]
    default = node.args.get("default") or exp.Null()
    values, kind = reader.alike(
        node,
        FunctionSignature("CASE", PLAIN, None),
        [*(w.args["true"] for w in whens), default],
    )
    if kind == "null":
        return NULL
    conditions = _conditions(reader, node, whens)
    pairs = [node for pair in zip(conditions, values, strict=False) for node in pair]
    return FunctionCall("CASE", (*pairs, values[-1]), kind)


def _conditions(
    reader: Reader, node: exp.Expression, whens: list[exp.Expression]
) -> tuple[Node, ...]:
    """The condition of each WHEN; `CASE x WHEN v` becomes `x = v`."""
    given = [when.this for when in whens]
    if node.this is None:
        return reader.alike(node, FunctionSignature("CASE WHEN", BOOLEAN, "boolean"), given)[0]
    (value, *wanted), _ = reader.alike(
        node, FunctionSignature("CASE", PLAIN, "boolean"), [node.this, *given]
    )
    return tuple(FunctionCall("=", (value, other), "boolean") for other in wanted)


def _is_place(node: exp.Expression) -> bool:
    fits = (
        isinstance(node, exp.Literal)
        and not node.is_string
        and NUMBER.fullmatch(node.name) is not None
    )
    return (
        fits
        and "." not in node.name
        and len(node.name) < 9
        and 1 <= int(node.name) <= MAX_CHARACTERS
    )


FORMS: Final[Forms] = {
    exp.Is: _is,
    exp.Between: _between,
    exp.In: _in,
    exp.Like: _like,
    exp.Escape: _escape,
    exp.Anonymous: _named,
    exp.RegexpLike: _regexp_like,
    exp.Substring: _substring,
    exp.Case: _case,
}
"""How nodes of each type are read."""
