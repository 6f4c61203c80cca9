"""From SQL text to the parse tree of sqlglot: one expression, or one clear sentence."""

from __future__ import annotations

from typing import Final

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ErrorLevel, ParseError, TokenError

from shroff.errors import InvalidExpression
from shroff.expression.grammar import ALLOWED

# deeper than anybody writes, shallow enough for every engine's recursion
DEEPEST: Final = 50
# longer than anybody writes by hand, and read in a second
LONGEST: Final = 50_000
_QUOTED: Final = 300


def parse_one(sql: str) -> exp.Expression:
    """The parse tree of exactly one expression.

    Raises:
        InvalidExpression: it is something else, or too long.
    """
    if len(sql) > LONGEST:
        raise InvalidExpression(
            f"expected a condition of at most {LONGEST:,} characters, got one of {len(sql):,}: split it, and put "
            "values into a named list"
        )
    try:
        found = Dialect.get_or_raise(None).parse_into(exp.Condition, sql)
    except ParseError as error:
        raise InvalidExpression(f"{_place(sql, error)}; {ALLOWED}") from None
    except TokenError:
        raise InvalidExpression(f"{quoted(sql)} is not a SQL condition: a quote or a comment stays open") from None
    statements = [node for node in found if isinstance(node, exp.Expression)]
    if len(statements) != 1:
        raise InvalidExpression(f"expected one SQL condition, got {len(statements)} in {quoted(sql)}; {ALLOWED}")
    return statements[0]


def _place(sql: str, error: ParseError) -> str:
    where = error.errors[0] if error.errors else {}
    near = where.get("highlight")
    if not near:
        return f"{quoted(sql)} is not a SQL condition"
    # sqlglot counts to the end of the word
    column = where["col"] - len(near) + 1
    return f"{quoted(sql)} is not a SQL condition: it breaks at {quoted(near)}, line {where['line']}, column {column}"


def too_deep() -> InvalidExpression:
    """The refusal of a condition that no engine should have to recurse into."""
    return InvalidExpression(f"the condition is nested deeper than {DEEPEST} levels: split it")


def text(node: exp.Expression) -> str:
    """A part of a condition as a sentence quotes it."""
    return quoted(node.sql(comments=False, unsupported_level=ErrorLevel.IGNORE))


def quoted(sql: str) -> str:
    """A condition, or the beginning of a long one, as a sentence quotes it.

    >>> quoted("amount > 5"), len(quoted("x" * 10_000))
    ('`amount > 5`', 303)
    """
    return f"`{sql}`" if len(sql) <= _QUOTED else f"`{sql[:_QUOTED]}…`"
