"""The checked tree of a condition: names and kinds are verified.

Three engines read it (`in_polars`, `in_python`, `in_spark`); none of them reads the user's text.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from shroff.errors import ConfigurationError, did_you_mean

Kind = Literal["number", "text", "boolean", "time"]
Value: TypeAlias = float | str | bool | int | None

# NULL fits every kind: it is "null" until it takes the kind of the other arguments
AnyKind = Literal["number", "text", "boolean", "time", "null"]

# a LIKE pattern cut at its `%`; inside a segment None stands for `_`
Segment: TypeAlias = tuple[str | None, ...]
Pattern: TypeAlias = tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class ColumnRef:
    """The row's value of a column."""

    name: str
    kind: AnyKind


@dataclass(frozen=True, slots=True)
class Constant:
    """A value of the condition itself; numbers are floats."""

    value: float | str | bool | None
    kind: AnyKind


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """An operator or a function over its arguments.

    `AND`, `OR`, `+`, `*`, `CONCAT`, `COALESCE`, `LEAST` and `GREATEST` take any number of
    arguments, from left to right; `CASE` takes condition, value, condition, value, …, and the value
    of its ELSE.
    """

    op: str
    args: tuple[Node, ...]
    kind: AnyKind


@dataclass(frozen=True, slots=True)
class In:
    """`arg IN (values)`; `null`: the list also held NULL."""

    arg: Node
    values: tuple[float | str | bool, ...]
    null: bool = False
    kind: AnyKind = "boolean"


@dataclass(frozen=True, slots=True)
class InList:
    """`arg IN name`: a named list, whose values are bound at compile time."""

    arg: Node
    name: str
    kind: AnyKind = "boolean"


@dataclass(frozen=True, slots=True)
class Like:
    """`arg LIKE pattern`."""

    arg: Node
    pattern: Pattern
    kind: AnyKind = "boolean"


@dataclass(frozen=True, slots=True)
class Substring:
    """The characters of `arg` from the place `start` (1 is the first), at most `length` of them."""

    arg: Node
    start: int
    length: int | None
    kind: AnyKind = "text"


Node: TypeAlias = ColumnRef | Constant | FunctionCall | In | InList | Like | Substring


def walk(node: Node) -> Iterator[Node]:
    """The node and everything under it."""
    yield node
    match node:
        case FunctionCall():
            for arg in node.args:
                yield from walk(arg)
        case In() | InList() | Like() | Substring():
            yield from walk(node.arg)


def compared_with(node: Node, column: str) -> list[Value | InList]:
    """The values and named lists that a column is equal to or not in a tree."""
    found: list[Value | InList] = []
    for one in walk(node):
        match one:
            case FunctionCall("=" | "<>", args) if any(
                isinstance(arg, ColumnRef) and arg.name == column for arg in args
            ):
                found += [arg.value for arg in args if isinstance(arg, Constant)]
            case In(ColumnRef(name), values) if name == column:
                found += values
            case InList(ColumnRef(name)) if name == column:
                found.append(one)
    return found


def patterns_of(node: Node, column: str) -> list[Node]:
    """The LIKE and REGEXP_LIKE of a tree that are asked of one column, of no other and no list."""
    return [
        one
        for one in walk(node)
        if isinstance(one, Like) or (isinstance(one, FunctionCall) and one.op == "REGEXP_LIKE")
        if {part.name for part in walk(one) if isinstance(part, ColumnRef | InList)} == {column}
    ]


def bind(node: Node, lists: Mapping[str, Collection[str]]) -> Node:
    """The same tree with every named list replaced by its values.

    `x IN` an empty list is FALSE for every `x`, null included.

    Raises:
        ConfigurationError: a list that `lists` does not have, or whose values are not texts.
    """

    def bound(one: InList) -> Node:
        values = _values(one.name, lists)
        return In(one.arg, values) if values else Constant(False, "boolean")

    return replace_lists(node, bound)


def replace_lists(node: Node, replaced: Callable[[InList], Node]) -> Node:
    """The same tree with every named list replaced, inner ones first."""
    match node:
        case FunctionCall():
            return replace(node, args=tuple(replace_lists(arg, replaced) for arg in node.args))
        case InList():
            return replaced(replace(node, arg=replace_lists(node.arg, replaced)))
        case In() | Like() | Substring():
            return replace(node, arg=replace_lists(node.arg, replaced))
        case ColumnRef() | Constant():
            return node


def _values(name: str, lists: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    if name not in lists:
        hint = did_you_mean(name, lists) or "; give them in `lists`"
        raise ConfigurationError(f"no values for the named list `{name}`{hint}")
    values = lists[name]
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise ConfigurationError(f"expected a collection of texts for the named list `{name}`")
    return tuple(sorted(set(values)))
