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


def parse_one(sql: str) -> exp.Expression:
    """The parse tree of exactly one expression.

    Raises:
        InvalidExpression: it is something else.
    """
    try:
        found = Dialect.get_or_raise(None).parse_into(exp.Condition, sql)
    except ParseError as error:
        raise InvalidExpression(f"{_place(sql, error)}; {ALLOWED}") from None
    except TokenError:
        raise InvalidExpression(f"`{sql}` is not a SQL condition: a quote or a comment stays open") from None
    statements = [node for node in found if isinstance(node, exp.Expression)]
    if len(statements) != 1:
        raise InvalidExpression(f"expected one SQL condition, got {len(statements)} in `{sql}`; {ALLOWED}")
    return statements[0]


def _place(sql: str, error: ParseError) -> str:
    where = error.errors[0] if error.errors else {}
    near = where.get("highlight")
    if not near:
        return f"`{sql}` is not a SQL condition"
    # sqlglot counts to the end of the word
    column = where["col"] - len(near) + 1
    return f"`{sql}` is not a SQL condition: it breaks at `{near}`, line {where['line']}, column {column}"


def too_deep() -> InvalidExpression:
    """The refusal of a condition that no engine should have to recurse into."""
    return InvalidExpression(f"the condition is nested deeper than {DEEPEST} levels: split it")


def text(node: exp.Expression) -> str:
    """A part of a condition as a sentence quotes it."""
    return f"`{node.sql(comments=False, unsupported_level=ErrorLevel.IGNORE)}`"
