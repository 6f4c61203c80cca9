"""Which SQL the expression language takes: operators and functions, the kinds they take and give."""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlglot import exp

from shroff.expression.tree import AnyKind, Kind

NUMBER: Final[tuple[Kind, ...]] = ("number",)
TEXT: Final[tuple[Kind, ...]] = ("text",)
BOOLEAN: Final[tuple[Kind, ...]] = ("boolean",)
ORDERED: Final[tuple[Kind, ...]] = ("number", "text")
PLAIN: Final[tuple[Kind, ...]] = ("number", "text", "boolean")
COMPARED: Final[tuple[Kind, ...]] = ("number", "text", "time")
ANY: Final[tuple[Kind, ...]] = ("number", "text", "boolean", "time")


class Rule(NamedTuple):
    """An operator or function: its name in our tree, what it takes, what it gives, how many arguments.

    All arguments are of one kind; `gives=None` says that the result is of that kind too.
    """

    op: str
    takes: tuple[Kind, ...]
    gives: Kind | None
    fewest: int = 1
    most: int | None = 1


OPERATORS: Final[dict[type[exp.Expression], Rule]] = {
    exp.And: Rule("AND", BOOLEAN, "boolean", 2, None),
    exp.Or: Rule("OR", BOOLEAN, "boolean", 2, None),
    exp.Not: Rule("NOT", BOOLEAN, "boolean"),
    exp.EQ: Rule("=", ANY, "boolean", 2, 2),
    exp.NEQ: Rule("<>", ANY, "boolean", 2, 2),
    exp.LT: Rule("<", COMPARED, "boolean", 2, 2),
    exp.LTE: Rule("<=", COMPARED, "boolean", 2, 2),
    exp.GT: Rule(">", COMPARED, "boolean", 2, 2),
    exp.GTE: Rule(">=", COMPARED, "boolean", 2, 2),
    exp.Add: Rule("+", NUMBER, "number", 2, 500),
    exp.Sub: Rule("-", NUMBER, "number", 2, 2),
    exp.Mul: Rule("*", NUMBER, "number", 2, 500),
    exp.Div: Rule("/", NUMBER, "number", 2, 2),
    exp.Mod: Rule("%", NUMBER, "number", 2, 2),
    exp.Neg: Rule("NEG", NUMBER, "number"),
    exp.DPipe: Rule("CONCAT", TEXT, "text", 2, None),
}

FUNCTIONS: Final[dict[type[exp.Expression], Rule]] = {
    exp.Abs: Rule("ABS", NUMBER, "number"),
    exp.Coalesce: Rule("COALESCE", PLAIN, None, 1, None),
    exp.Concat: Rule("CONCAT", TEXT, "text", 1, None),
    exp.Greatest: Rule("GREATEST", ORDERED, None, 2, None),
    exp.Least: Rule("LEAST", ORDERED, None, 2, None),
    exp.Length: Rule("LENGTH", TEXT, "number"),
    exp.Ln: Rule("LN", NUMBER, "number"),
    exp.Lower: Rule("LOWER", TEXT, "text"),
    exp.Nullif: Rule("NULLIF", PLAIN, None, 2, 2),
    exp.Round: Rule("ROUND", NUMBER, "number"),
    exp.Sqrt: Rule("SQRT", NUMBER, "number"),
    exp.Upper: Rule("UPPER", TEXT, "text"),
}

RULES: Final = OPERATORS | FUNCTIONS

# `a AND b AND c` comes nested to the left, and is one call with three arguments for us; a sum may be too:
# once it has left the finite numbers it never comes back, so it is enough to look at its end
CHAINS: Final = (exp.And, exp.Or, exp.DPipe, exp.Add, exp.Mul)

FUNCTION_NAMES: Final = sorted(rule.op for rule in FUNCTIONS.values())

ALLOWED: Final = (
    "use columns, numbers, 'text', TRUE, FALSE, NULL, = <> < <= > >=, AND, OR, NOT, IN, BETWEEN, IS, LIKE, "
    f"+ - * / %, ||, CASE WHEN, {', '.join(FUNCTION_NAMES)}"
)


def hint(takes: tuple[Kind, ...], kinds: set[AnyKind]) -> str:
    """What to do about kinds that do not fit, as the end of a sentence."""
    if "time" in kinds:
        return ": a time only compares with another time column, or IS NULL"
    if "boolean" in kinds and len(kinds) > 1:
        return ": a boolean only compares with TRUE, FALSE or another boolean"
    if len(kinds) > 1:
        return ": write a number without quotes, and a text in single quotes"
    if takes == BOOLEAN:
        return ": compare it first, as in `amount > 0`"
    if kinds == {"boolean"} and takes == COMPARED:
        return ": booleans compare with = and <>"
    return ""
