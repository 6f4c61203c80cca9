"""What rules compare personal columns with: clean payments have keyed hashes there, which no text
that somebody types equals.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from shroff.collect.personal import is_token
from shroff.errors import ConfigurationError, InvalidExpression
from shroff.expression import Expression, InList
from shroff.expression.tree import (
    ColumnRef,
    Constant,
    FunctionCall,
    In,
    Like,
    Node,
    Substring,
    walk,
)

_SPELLING: Final = {"LOWER", "UPPER", "CONCAT"}


def require_hashed(condition: Expression, personal: Collection[str]) -> None:
    """Raise `InvalidExpression` where a personal column is compared with a text that is no hash.

    >>> from shroff.expression import parse
    >>> kinds, token = {"email": "text", "mcc": "text"}, "0f" * 32
    >>> case = "CASE WHEN email IS NULL THEN 'none' ELSE mcc END = 'none'"
    >>> for text in ("email IN blocked", f"email = '{token}'", case):
    ...     require_hashed(parse(text, kinds, ["blocked"]), ["email"])
    >>> require_hashed(parse("LOWER(email) LIKE '%@evil.example'", kinds), ["email"])
    Traceback (most recent call last):
    shroff.errors.InvalidExpression: the personal column `email` holds keyed hashes, which no text \
in `LOWER(email) LIKE '%@evil.example'` equals: keep values in a list with `--personal`, and write \
`email IN name_of_list`
    """
    for node in walk(condition.tree):
        for column in _compared_with_texts(node, personal):
            raise InvalidExpression(
                f"the personal column `{column}` holds keyed hashes, which no text in "
                f"`{condition.sql}` equals: keep values in a list with `--personal`, and write "
                f"`{column} IN name_of_list`"
            )


def readers(name: str, conditions: Iterable[Expression], columns: Collection[str]) -> list[str]:
    """Those of the columns that conditions compare a list with.

    >>> from shroff.expression import parse
    >>> kinds, lists = {"email": "text", "host": "text"}, ["bad"]
    >>> read = [parse(f"{column} IN bad", kinds, lists) for column in kinds]
    >>> readers("bad", read, ["email"]), readers("good", read, ["email"])
    (['email'], [])
    """
    return [
        column
        for column in columns
        if any(
            isinstance(one, InList) and one.name == name
            for condition in conditions
            for one in condition.compared_with(column)
        )
    ]


def require_hashed_value(value: str, readers: Collection[str]) -> None:
    """Raise `ConfigurationError` for a value in the open of a list that personal columns are
    compared with.

    Args:
        readers: those columns, of `readers`.
    """
    if readers and not is_token(value):
        raise ConfigurationError(
            f"expected a value of the personal column {', '.join(readers)}, which rules compare "
            "this list with: say that its keyed hash is kept (`--personal`, over HTTP "
            '`"personal": true`, in the console a tick), or it would equal no payment\'s; keep '
            "values of other columns in a list of their own."
        )


def _compared_with_texts(node: Node, personal: Collection[str]) -> list[str]:
    """The personal columns that a node compares with a text in the open."""
    match node:
        case Like(arg):
            compared, texts = [arg], True
        case In(arg, values):
            compared, texts = [arg], any(map(_is_open, values))
        case FunctionCall(op, args, kind) if kind == "boolean" or op == "SIMILARITY":
            compared = [*args]
            texts = any(map(_says, args))
        case _:
            return []
    read = [column for one in compared for column in _spelled(one)]
    return [one for one in read if one in personal] if texts else []


def _spelled(node: Node) -> Iterator[str]:
    """The columns whose characters a text has."""
    match node:
        case ColumnRef(name):
            yield name
        case Substring(arg):
            yield from _spelled(arg)
        case FunctionCall(op, args) if op in _SPELLING:
            for arg in args:
                yield from _spelled(arg)


def _says(node: Node) -> bool:
    """Whether a text in the open is all that a node depends on, such as `LOWER('ADA')`."""
    parts = [*walk(node)]
    return not any(isinstance(one, ColumnRef) for one in parts) and any(
        isinstance(one, Constant) and _is_open(one.value) for one in parts
    )


def _is_open(value: object) -> bool:
    # a blank text asks whether there is a value at all
    return isinstance(value, str) and bool(value) and not is_token(value)
