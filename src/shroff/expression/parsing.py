"""From SQL text to sqlglot's parse tree of one expression; anything else is refused."""

from __future__ import annotations

import logging
from typing import ClassVar, Final

from sqlglot import exp, parser
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ErrorLevel, ParseError, TokenError

from shroff.errors import InvalidExpression
from shroff.expression.grammar import ALLOWED

# deeper than anyone writes, shallow enough for every engine's recursion
MAX_LEVELS: Final = 50
# longer than anyone writes by hand, and parsed within a second
MAX_CHARACTERS: Final = 50_000
_QUOTED_CHARACTERS: Final = 300
# it writes conditions that it cannot read into the log, and on the terminal before our sentence
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)


class _Language(Dialect):
    """sqlglot's dialect without its DATE_DIFF, which takes the last argument for the unit."""

    class Parser(parser.Parser):
        FUNCTIONS: ClassVar = {
            name: made for name, made in parser.Parser.FUNCTIONS.items() if name != "DATE_DIFF"
        }


def parse_one(sql: str) -> exp.Expression:
    """The parse tree of exactly one expression.

    Raises:
        InvalidExpression: the text is no single expression, or too long.
    """
    if len(sql) > MAX_CHARACTERS:
        raise InvalidExpression(
            f"expected a condition of at most {MAX_CHARACTERS:,} characters, got one of "
            f"{len(sql):,}: split it, and put values into a named list"
        )
    try:
        found = _Language().parse_into(exp.Condition, sql)
    except ParseError as error:
        refused = InvalidExpression(f"{_place(sql, error)}; {ALLOWED}")
        refused.span = _span(sql, error)
        raise refused from None
    except TokenError:
        raise InvalidExpression(
            f"{quote(sql)} is not a SQL condition: a quote or a comment stays open"
        ) from None
    statements = [node for node in found if isinstance(node, exp.Expression)]
    if len(statements) != 1:
        raise InvalidExpression(
            f"expected one SQL condition, got {len(statements)} in {quote(sql)}; {ALLOWED}"
        )
    return statements[0]


def _place(sql: str, error: ParseError) -> str:
    where = error.errors[0] if error.errors else {}
    near = where.get("highlight")
    if not near:
        return f"{quote(sql)} is not a SQL condition"
    # sqlglot reports the column of the word's end
    column = where["col"] - len(near) + 1
    return (
        f"{quote(sql)} is not a SQL condition: it breaks at {quote(near)}, line "
        f"{where['line']}, column {column}"
    )


def _span(sql: str, error: ParseError) -> tuple[int, int] | None:
    where = error.errors[0] if error.errors else {}
    near = where.get("highlight")
    if not near:
        return None
    end = sum(len(line) for line in sql.splitlines(keepends=True)[: where["line"] - 1])
    end += where["col"]
    return end - len(near), end


def span_of(node: exp.Expression) -> tuple[int, int] | None:
    """Where a node is in its text: the first character, and the one after the last."""
    places = [each.meta for each in node.walk() if "start" in each.meta]
    if not places:
        return None
    return min(one["start"] for one in places), max(one["end"] for one in places) + 1


def too_deep() -> InvalidExpression:
    """The error for a condition that is nested too deep for the engines' recursion."""
    return InvalidExpression(f"the condition is nested deeper than {MAX_LEVELS} levels: split it")


def quote_node(node: exp.Expression) -> str:
    """A node's SQL, quoted for a message."""
    return quote(node.sql(comments=False, unsupported_level=ErrorLevel.IGNORE))


def quote(sql: str) -> str:
    """A condition, or the beginning of a long one, quoted for a message.

    >>> quote("amount > 5"), len(quote("x" * 10_000))
    ('`amount > 5`', 303)
    """
    return f"`{sql}`" if len(sql) <= _QUOTED_CHARACTERS else f"`{sql[:_QUOTED_CHARACTERS]}…`"
