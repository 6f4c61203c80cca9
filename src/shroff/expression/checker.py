"""From sqlglot's parse tree to a checked tree: every name and kind is verified, and no syntax is
ignored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from sqlglot import exp

from shroff.canonical import canonical
from shroff.errors import InvalidExpression, UnknownColumn, did_you_mean
from shroff.expression.dates import UNITS
from shroff.expression.grammar import (
    ALLOWED,
    BOOLEAN,
    CHAINS,
    COMPARED,
    FUNCTION_NAMES,
    NAMED,
    PLAIN,
    SIGNATURES,
    TEXT,
    FunctionSignature,
    advise,
)
from shroff.expression.like import read_pattern
from shroff.expression.parsing import (
    MOST_CHARACTERS,
    MOST_LEVELS,
    parse_one,
    quote,
    quote_node,
    too_deep,
)
from shroff.expression.regular import automaton
from shroff.expression.tree import (
    AnyKind,
    ColumnRef,
    Constant,
    FunctionCall,
    In,
    InList,
    Kind,
    Like,
    Node,
    Substring,
)

# arguments of sqlglot's nodes that do not change our semantics
_NOTES: Final = frozenset({"this", "expression", "expressions", "safe", "ignore_nulls"})

_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")

_NULL: Final = Constant(None, "null")


def read(sql: str, columns: Mapping[str, Kind], lists: Collection[str]) -> tuple[Node, Kind]:
    """The checked tree of one condition, and the kind of its result.

    Raises:
        InvalidExpression: it does not parse, or names, kinds or numbers of arguments do not fit.
        UnknownColumn: it names a column that `columns` does not have.
    """
    try:
        root = _Reader(sql, columns, lists).read(parse_one(sql))
    except RecursionError:
        raise too_deep() from None
    if root.kind == "null" or root.kind == "time":
        raise InvalidExpression(
            f"expected a condition, a number or a text, got {quote(sql)} ({root.kind}): compare it"
        )
    return root, root.kind


def _typed(node: Node, kind: AnyKind) -> Node:
    """The node; NULL takes the kind of the other arguments."""
    return Constant(None, kind) if node.kind == "null" else node


def _canonical_texts(args: list[Node]) -> list[Node]:
    """The arguments; texts compared with a column take their canonical form."""
    if not any(isinstance(arg, ColumnRef) for arg in args):
        return args
    return [
        Constant(canonical(arg.value), "text")
        if isinstance(arg, Constant) and isinstance(arg.value, str)
        else arg
        for arg in args
    ]


def _written_as(given: Sequence[exp.Expression], args: Sequence[Node]) -> str:
    """How to write the literal that a column of another kind is compared with; empty where it is
    not known.
    """
    column = next(
        (arg for arg in args if isinstance(arg, ColumnRef) and arg.kind in ("text", "number")), None
    )
    pairs = zip(given, args, strict=True)
    literal = next(
        (
            source
            for source, arg in pairs
            if column and isinstance(arg, Constant) and arg.kind != column.kind
        ),
        None,
    )
    if column is None or not isinstance(literal, exp.Literal):
        return ""
    if column.kind == "text":
        return f": `{column.name}` holds texts, so write '{literal.name}' in single quotes"
    is_number = _NUMBER.fullmatch(literal.name) is not None
    return (
        f": `{column.name}` holds numbers, so write {literal.name} without quotes"
        if is_number
        else ""
    )


class _Reader:
    """Reads one condition; `depth` bounds the recursion of all engines."""

    def __init__(self, sql: str, columns: Mapping[str, Kind], lists: Collection[str]) -> None:
        self.sql = sql
        self.columns = columns
        self.lists = lists
        self.depth = 0

    def read(self, node: exp.Expression) -> Node:
        while isinstance(node, exp.Paren):
            node = node.this
        if self.depth > MOST_LEVELS:
            raise too_deep()
        self.depth += 1
        found = _READERS.get(type(node), _Reader.by_signature)(self, node)
        self.depth -= 1
        return found

    # ---- leaves

    def column(self, node: exp.Expression) -> Node:
        self.only(node, "this")
        if not isinstance(node.this, exp.Identifier):
            raise self.refused(node)
        name = node.name
        if name in self.columns:
            return ColumnRef(name, self.columns[name])
        if name in self.lists:
            raise InvalidExpression(
                f"`{name}` is a named list: write `column IN {name}` in {quote(self.sql)}"
            )
        spelled = [known for known in self.columns if known.casefold() == name.casefold()]
        advice = did_you_mean(spelled[0] if spelled else name, self.columns)
        if not advice and node.this.quoted:
            is_number = _NUMBER.fullmatch(name) is not None
            advice = (
                f": write the number {name} without quotes"
                if is_number
                else ": a text is written in single quotes"
            )
        raise UnknownColumn(f"unknown column {quote(name)} in {quote(self.sql)}{advice}")

    def literal(self, node: exp.Expression) -> Node:
        if node.is_string:
            return Constant(node.name, "text")
        number = float(node.name)
        if math.isinf(number):
            raise InvalidExpression(f"the number {quote_node(node)} is too large for a float64")
        return Constant(number, "number")

    def boolean(self, node: exp.Expression) -> Node:
        return Constant(bool(node.this), "boolean")

    def null(self, node: exp.Expression) -> Node:
        return _NULL

    # ---- operators and functions with a signature

    def by_signature(self, node: exp.Expression) -> Node:
        named = isinstance(node, exp.Anonymous)
        signature = NAMED.get(node.name.upper()) if named else SIGNATURES.get(type(node))
        if signature is None:
            raise self.refused(node)
        self.only(node, *_NOTES)
        given = _chain(node) if isinstance(node, CHAINS) else _arguments(node)
        if len(given) < signature.fewest or (
            signature.most is not None and len(given) > signature.most
        ):
            raise InvalidExpression(
                f"wrong number of arguments in {quote_node(node)}: got {len(given)}"
            )
        args, kind = self.alike(node, signature, given)
        return _folded(FunctionCall(signature.op, args, signature.gives or kind))

    def alike(
        self, node: exp.Expression, signature: FunctionSignature, given: Sequence[exp.Expression]
    ) -> tuple[tuple[Node, ...], AnyKind]:
        """The checked arguments, all of one kind that the signature takes."""
        args = [self.read(arg) for arg in given]
        known: dict[AnyKind, exp.Expression] = {}
        for source, arg in zip(given, args, strict=True):
            if arg.kind != "null":
                known.setdefault(arg.kind, source)
        wrong = not known.keys() <= set(signature.takes)
        if len(known) > 1 or wrong:
            sides = " and ".join(f"{quote_node(source)} ({kind})" for kind, source in known.items())
            what = " or ".join(signature.takes) if wrong else "values of one kind"
            advice = _written_as(given, args) or advise(signature.takes, set(known))
            raise InvalidExpression(
                f"`{signature.op}` takes {what}, got {sides} in {quote(self.sql)}{advice}"
            )
        if not known and signature.gives is None:
            return (), "null"
        kind = next(iter(known), signature.takes[0])
        args = [_typed(arg, kind) for arg in args]
        if kind == "text" and (signature.gives == "boolean" or signature.op == "NULLIF"):
            args = _canonical_texts(args)
        return tuple(args), kind

    # ---- operators with a grammar of their own

    def is_(self, node: exp.Expression) -> Node:
        self.only(node, "this", "expression")
        match node.expression:
            case exp.Null():
                return FunctionCall("IS NULL", (_typed(self.read(node.this), "number"),), "boolean")
            case exp.Boolean() as wanted:
                op = "IS TRUE" if wanted.this else "IS FALSE"
                args, _ = self.alike(node, FunctionSignature(op, BOOLEAN, "boolean"), [node.this])
                return FunctionCall(op, args, "boolean")
            case _:
                raise self.refused(node)

    def between(self, node: exp.Expression) -> Node:
        self.only(node, "this", "low", "high")
        sides = [node.this, node.args["low"], node.args["high"]]
        (value, low, high), _ = self.alike(
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

    def in_(self, node: exp.Expression) -> Node:
        self.only(node, "this", "expressions", "field")
        name = self.list_name(node)
        if name is not None:
            args, _ = self.alike(
                node, FunctionSignature("IN a named list", TEXT, "boolean"), [node.this]
            )
            return InList(args[0], name)
        given = node.expressions
        if not given:
            raise InvalidExpression(f"{quote_node(node)} needs at least one value in its list")
        (arg, *values), _ = self.alike(
            node, FunctionSignature("IN", PLAIN, "boolean"), [node.this, *given]
        )
        constants = [value for value in values if isinstance(value, Constant)]
        if len(constants) < len(values):
            raise InvalidExpression(
                f"IN takes literals or one named list, got {quote_node(node)} in {quote(self.sql)}"
            )
        kept = dict.fromkeys(c.value for c in constants if c.value is not None)
        return In(arg, tuple(kept), null=any(c.value is None for c in constants))

    def list_name(self, node: exp.Expression) -> str | None:
        """The list of `x IN name` or `x IN (name)`; None for literals."""
        field = node.args.get("field")
        if field is None:
            alone = node.expressions[0] if len(node.expressions) == 1 else None
            return (
                alone.name if isinstance(alone, exp.Column) and alone.name in self.lists else None
            )
        self.only(field, "this")
        if field.name not in self.lists:
            known = f": the named lists are {', '.join(sorted(self.lists)) or 'none'}"
            advice = did_you_mean(field.name, self.lists) or known
            raise InvalidExpression(
                f"unknown named list {quote(field.name)} in {quote(self.sql)}{advice}"
            )
        return str(field.name)

    def like(self, node: exp.Expression, escape: str | None = None) -> Node:
        self.only(node, "this", "expression", "negate")
        args, _ = self.alike(node, FunctionSignature("LIKE", TEXT, "boolean"), [node.this])
        pattern = node.expression
        if not (isinstance(pattern, exp.Literal) and pattern.is_string):
            raise InvalidExpression(
                f"LIKE takes a pattern in single quotes, got {quote_node(pattern)} in "
                f"{quote(self.sql)}"
            )
        found = Like(args[0], read_pattern(pattern.name, escape))
        return FunctionCall("NOT", (found,), "boolean") if node.args.get("negate") else found

    def escape(self, node: exp.Expression) -> Node:
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
        return self.like(node.this, character.name)

    def substring(self, node: exp.Expression) -> Node:
        """`SUBSTR(text, start, length)`: places are literals, so that no engine's rules for odd
        ones matter.
        """
        self.only(node, "this", "start", "length")
        (text,), _ = self.alike(node, FunctionSignature("SUBSTR", TEXT, "text"), [node.this])
        places = [node.args.get("start"), node.args.get("length")]
        if places[0] is None or not all(place is None or _is_place(place) for place in places):
            raise InvalidExpression(
                "SUBSTR takes a text, the place of the first character (1, 2, …) and a number of "
                f"characters, both written as whole numbers from 1 to {MOST_CHARACTERS:,}; got "
                f"{quote_node(node)}"
            )
        start, length = (None if place is None else int(place.name) for place in places)
        return Substring(text, start or 1, length)

    def named(self, node: exp.Expression) -> Node:
        """A function that sqlglot has no class for."""
        return self.date_diff(node) if node.name.upper() == "DATE_DIFF" else self.by_signature(node)

    def date_diff(self, node: exp.Expression) -> Node:
        """`DATE_DIFF('unit', from, to)`, each a time column or a text that is a date."""
        unit, *moments = node.expressions or [exp.Null()]
        if not (isinstance(unit, exp.Literal) and unit.name.lower() in UNITS) or len(moments) != 2:
            raise InvalidExpression(
                f"DATE_DIFF takes a unit ({', '.join(map(repr, UNITS))}) and two moments, from and "
                f"to; got {quote_node(node)} in {quote(self.sql)}"
            )
        ends = [self.moment(one) for one in moments]
        return FunctionCall("DATE_DIFF", (Constant(unit.name.lower(), "text"), *ends), "number")

    def moment(self, node: exp.Expression) -> Node:
        """A moment as a number, microseconds since 1970."""
        (arg,), kind = self.alike(node, NAMED["DATE_DIFF"], [node])
        return FunctionCall("MOMENT" if kind == "text" else "MICROSECONDS", (arg,), "number")

    def regexp_like(self, node: exp.Expression) -> Node:
        """`REGEXP_LIKE(text, pattern)`: the pattern is a literal, which is checked now."""
        self.only(node, "this", "expression")
        (text,), _ = self.alike(
            node, FunctionSignature("REGEXP_LIKE", TEXT, "boolean"), [node.this]
        )
        pattern = node.expression
        if not (isinstance(pattern, exp.Literal) and pattern.is_string):
            raise InvalidExpression(
                f"REGEXP_LIKE takes a text and a pattern in single quotes, got {quote_node(node)} "
                f"in {quote(self.sql)}"
            )
        automaton(pattern.name)
        return FunctionCall("REGEXP_LIKE", (text, Constant(pattern.name, "text")), "boolean")

    def case(self, node: exp.Expression) -> Node:
        self.only(node, "this", "ifs", "default")
        whens: list[exp.Expression] = node.args["ifs"]
        default = node.args.get("default") or exp.Null()
        values, kind = self.alike(
            node,
            FunctionSignature("CASE", PLAIN, None),
            [*(w.args["true"] for w in whens), default],
        )
        if kind == "null":
            return _NULL
        conditions = self.conditions(node, whens)
        pairs = [part for pair in zip(conditions, values, strict=False) for part in pair]
        return FunctionCall("CASE", (*pairs, values[-1]), kind)

    def conditions(self, node: exp.Expression, whens: list[exp.Expression]) -> tuple[Node, ...]:
        """The condition of each WHEN; `CASE x WHEN v` becomes `x = v`."""
        given = [when.this for when in whens]
        if node.this is None:
            return self.alike(node, FunctionSignature("CASE WHEN", BOOLEAN, "boolean"), given)[0]
        (value, *wanted), _ = self.alike(
            node, FunctionSignature("CASE", PLAIN, "boolean"), [node.this, *given]
        )
        return tuple(FunctionCall("=", (value, other), "boolean") for other in wanted)

    # ---- refusals

    def only(self, node: exp.Expression, *known: str) -> None:
        """Refuse a node with more arguments than we read, so that no syntax is ignored."""
        if any(value and name not in known for name, value in node.args.items()):
            raise self.refused(node)

    def refused(self, node: exp.Expression) -> InvalidExpression:
        if isinstance(node, exp.Anonymous):
            advice = did_you_mean(node.name.upper(), FUNCTION_NAMES) or f"; {ALLOWED}"
            return InvalidExpression(
                f"unknown function {quote(node.name)} in {quote(self.sql)}{advice}"
            )
        return InvalidExpression(
            f"{quote_node(node)} is not part of the expression language; {ALLOWED}"
        )


def _is_place(node: exp.Expression) -> bool:
    fits = (
        isinstance(node, exp.Literal)
        and not node.is_string
        and _NUMBER.fullmatch(node.name) is not None
    )
    return (
        fits
        and "." not in node.name
        and len(node.name) < 9
        and 1 <= int(node.name) <= MOST_CHARACTERS
    )


def _chain(node: exp.Expression) -> list[exp.Expression]:
    rest: list[exp.Expression] = []
    link = node
    while type(link) is type(node):
        rest.append(link.expression)
        link = link.this
    return [link, *reversed(rest)]


def _arguments(node: exp.Expression) -> list[exp.Expression]:
    single = [node.args.get("this"), node.args.get("expression")]
    return [arg for arg in [*single, *node.expressions] if isinstance(arg, exp.Expression)]


def _folded(call: FunctionCall) -> Node:
    """The call; `-5` becomes a number, so that IN takes it, and a function of NULLs only becomes
    NULL.
    """
    match call:
        case FunctionCall("NEG", (Constant(float(number)),)):
            return Constant(-number, "number")
        case FunctionCall(_, ()):
            return _NULL
        case _:
            return call


_READERS: Final[dict[type[exp.Expression], Callable[[_Reader, exp.Expression], Node]]] = {
    exp.Column: _Reader.column,
    exp.Literal: _Reader.literal,
    exp.Boolean: _Reader.boolean,
    exp.Null: _Reader.null,
    exp.Is: _Reader.is_,
    exp.Between: _Reader.between,
    exp.In: _Reader.in_,
    exp.Like: _Reader.like,
    exp.Escape: _Reader.escape,
    exp.Anonymous: _Reader.named,
    exp.RegexpLike: _Reader.regexp_like,
    exp.Substring: _Reader.substring,
    exp.Case: _Reader.case,
}
