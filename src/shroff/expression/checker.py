"""From a SQL text to a checked tree: names and kinds are verified, no syntax is ignored."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from shroff.errors import InvalidExpression
from shroff.expression.forms import FORMS
from shroff.expression.parsing import (
    parse_one,
    quote,
    too_deep,
)
from shroff.expression.reader import Reader
from shroff.expression.tree import (
    Kind,
    Node,
)


def read(sql: str, columns: Mapping[str, Kind], lists: Collection[str]) -> tuple[Node, Kind]:
    """The checked tree of one condition, and the kind of its result.

    Raises:
        InvalidExpression: it does not parse, or names, kinds or numbers of arguments do not fit.
        UnknownColumn: it names a column that `columns` does not have.
    """
    try:
        root = Reader(sql, columns, lists, FORMS).read(parse_one(sql))
    except RecursionError:
        raise too_deep() from None
    if root.kind == "null" or root.kind == "time":
        raise InvalidExpression(
            f"expected a condition, a number or a text, got {quote(sql)} ({root.kind}): compare it"
        )
    return root, root.kind
