"""Reads sqlglot's nodes into our tree: columns, literals, and whatever has a signature."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from sqlglot import exp

from shroff.canonical import canonical
from shroff.errors import InvalidExpression, UnknownColumn, did_you_mean
from shroff.expression.grammar import (
    ALLOWED,
    CHAINS,
    FUNCTION_NAMES,
    NAMED,
    SIGNATURES,
    FunctionSignature,
    advise,
)
from shroff.expression.parsing import (
    MAX_LEVELS,
    quote,
    quote_node,
    span_of,
    too_deep,
)
from shroff.expression.tree import (
    AnyKind,
    ColumnRef,
    Constant,
    FunctionCall,
    Kind,
    Node,
)

# arguments of sqlglot's nodes that do not change our semantics
_NOTES: Final = frozenset({"this", "expression", "expressions", "safe", "ignore_nulls"})

NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")

NULL: Final = Constant(None, "null")


def typed(node: Node, kind: AnyKind) -> Node:
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
    """Advice on the literal that a column of another kind is compared with; may be empty."""
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
    is_number = NUMBER.fullmatch(literal.name) is not None
    return (
        f": `{column.name}` holds numbers, so write {literal.name} without quotes"
        if is_number
        else ""
    )


class Reader:
    """Reads one condition; `depth` bounds the recursion of all engines.

    Args:
        forms: the functions that read nodes with a grammar of their own, by the type of the node.
    """

    def __init__(
        self, sql: str, columns: Mapping[str, Kind], lists: Collection[str], forms: Forms
    ) -> None:
        self.sql = sql
        self.columns = columns
        self.lists = lists
        self._forms = forms
        self.depth = 0

    def read(self, node: exp.Expression) -> Node:
        while isinstance(node, exp.Paren):
            node = node.this
        if self.depth > MAX_LEVELS:
            raise too_deep()
        self.depth += 1
        form = self._forms.get(type(node), _LEAVES.get(type(node), Reader.by_signature))
        try:
            found = form(self, node)
        except (InvalidExpression, UnknownColumn) as error:
            error.span = error.span or span_of(node)
            raise
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
            is_number = NUMBER.fullmatch(name) is not None
            advice = (
                f": write the number {name} without quotes"
                if is_number
                else ": a text is written in single quotes"
            )
        raise UnknownColumn(f"unknown column {quote(name)} in {quote(self.sql)}{advice}")

    def literal(self, node: exp.Expression) -> Node:
        if node.is_string:
            return Constant(node.name, "text")
        try:
            number = float(node.name)
        except ValueError:  # sqlglot takes `.5.` and `5.e` for numbers
            raise InvalidExpression(
                f"expected a number such as 1234.56 or 1e6, got {quote_node(node)}"
            ) from None
        if math.isinf(number):
            raise InvalidExpression(f"the number {quote_node(node)} is too large for a float64")
        return Constant(number, "number")

    def boolean(self, node: exp.Expression) -> Node:
        return Constant(bool(node.this), "boolean")

    def null(self, node: exp.Expression) -> Node:
        return NULL

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
        args = [typed(arg, kind) for arg in args]
        if kind == "text" and (signature.gives == "boolean" or signature.op == "NULLIF"):
            args = _canonical_texts(args)
        return tuple(args), kind

    # ---- errors

    def only(self, node: exp.Expression, *known: str) -> None:
        """Refuse a node with arguments that we do not read, so that no syntax is ignored."""
        if any(value and name not in known for name, value in node.args.items()):
            raise self.refused(node)

    def refused(self, node: exp.Expression) -> InvalidExpression:
        if isinstance(node, exp.Anonymous):
            advice = did_you_mean(node.name.upper(), FUNCTION_NAMES) or f"; {ALLOWED}"
            unknown = InvalidExpression(
                f"unknown function {quote(node.name)} in {quote(self.sql)}{advice}"
            )
            if "start" in node.meta:  # of its name alone, which the advice may replace
                unknown.span = node.meta["start"], node.meta["end"] + 1
            return unknown
        return InvalidExpression(
            f"{quote_node(node)} is not part of the expression language; {ALLOWED}"
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
    """The call; `-5` becomes a number, which IN takes, and a function of NULLs alone NULL."""
    match call:
        case FunctionCall("NEG", (Constant(float(number)),)):
            return Constant(-number, "number")
        case FunctionCall(_, ()):
            return NULL
        case _:
            return call


Form = Callable[[Reader, exp.Expression], Node]
Forms = Mapping[type[exp.Expression], Form]

_LEAVES: Final[Forms] = {
    exp.Column: Reader.column,
    exp.Literal: Reader.literal,
    exp.Boolean: Reader.boolean,
    exp.Null: Reader.null,
}
