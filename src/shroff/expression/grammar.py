"""The grammar: operators and functions, the kinds they take and give."""

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


class FunctionSignature(NamedTuple):
    """An operator or function: its name in our tree, kinds taken and given, number of arguments.

    All arguments are of one kind; with `gives=None` the result is of that kind too.
    """

    op: str
    takes: tuple[Kind, ...]
    gives: Kind | None
    fewest: int = 1
    most: int | None = 1


OPERATORS: Final[dict[type[exp.Expression], FunctionSignature]] = {
    exp.And: FunctionSignature("AND", BOOLEAN, "boolean", 2, None),
    exp.Or: FunctionSignature("OR", BOOLEAN, "boolean", 2, None),
    exp.Not: FunctionSignature("NOT", BOOLEAN, "boolean"),
    exp.EQ: FunctionSignature("=", ANY, "boolean", 2, 2),
    exp.NEQ: FunctionSignature("<>", ANY, "boolean", 2, 2),
    exp.LT: FunctionSignature("<", COMPARED, "boolean", 2, 2),
    exp.LTE: FunctionSignature("<=", COMPARED, "boolean", 2, 2),
    exp.GT: FunctionSignature(">", COMPARED, "boolean", 2, 2),
    exp.GTE: FunctionSignature(">=", COMPARED, "boolean", 2, 2),
    exp.Add: FunctionSignature("+", NUMBER, "number", 2, 500),
    exp.Sub: FunctionSignature("-", NUMBER, "number", 2, 2),
    exp.Mul: FunctionSignature("*", NUMBER, "number", 2, 500),
    exp.Div: FunctionSignature("/", NUMBER, "number", 2, 2),
    exp.Mod: FunctionSignature("%", NUMBER, "number", 2, 2),
    exp.Neg: FunctionSignature("NEG", NUMBER, "number"),
    exp.DPipe: FunctionSignature("CONCAT", TEXT, "text", 2, None),
}

FUNCTIONS: Final[dict[type[exp.Expression], FunctionSignature]] = {
    exp.Abs: FunctionSignature("ABS", NUMBER, "number"),
    exp.Ceil: FunctionSignature("CEIL", NUMBER, "number"),
    exp.Coalesce: FunctionSignature("COALESCE", PLAIN, None, 1, None),
    exp.Concat: FunctionSignature("CONCAT", TEXT, "text", 1, None),
    exp.Exp: FunctionSignature("EXP", NUMBER, "number"),
    exp.Floor: FunctionSignature("FLOOR", NUMBER, "number"),
    exp.Greatest: FunctionSignature("GREATEST", ORDERED, None, 2, None),
    exp.Least: FunctionSignature("LEAST", ORDERED, None, 2, None),
    exp.Length: FunctionSignature("LENGTH", TEXT, "number"),
    exp.Ln: FunctionSignature("LN", NUMBER, "number"),
    exp.Lower: FunctionSignature("LOWER", TEXT, "text"),
    exp.Nullif: FunctionSignature("NULLIF", PLAIN, None, 2, 2),
    exp.RegexpLike: FunctionSignature("REGEXP_LIKE", TEXT, "boolean", 2, 2),
    exp.Pow: FunctionSignature("POWER", NUMBER, "number", 2, 2),
    exp.Round: FunctionSignature("ROUND", NUMBER, "number"),
    exp.Sqrt: FunctionSignature("SQRT", NUMBER, "number"),
    exp.Substring: FunctionSignature("SUBSTR", TEXT, "text", 2, 3),
    exp.Upper: FunctionSignature("UPPER", TEXT, "text"),
}

# functions that sqlglot has no class for
NAMED: Final[dict[str, FunctionSignature]] = {
    "DATE_DIFF": FunctionSignature("DATE_DIFF", ("time", "text"), "number", 3, 3),
    "DISTANCE_KM": FunctionSignature("DISTANCE_KM", NUMBER, "number", 4, 4),
    "SIMILARITY": FunctionSignature("SIMILARITY", TEXT, "number", 2, 2),
}

SIGNATURES: Final = OPERATORS | FUNCTIONS

# sqlglot nests `a AND b AND c` to the left; we flatten it to one call with three arguments. Sums
# may be flattened, too: a sum that is infinite or NaN stays so, so checking the final value
# suffices
CHAINS: Final = (exp.And, exp.Or, exp.DPipe, exp.Add, exp.Mul)

FUNCTION_NAMES: Final = sorted(signature.op for signature in [*FUNCTIONS.values(), *NAMED.values()])

ALLOWED: Final = (
    "use columns, numbers, 'text', TRUE, FALSE, NULL, = <> < <= > >=, AND, OR, NOT, IN, BETWEEN, "
    f"IS, LIKE, + - * / %, ||, CASE WHEN, {', '.join(FUNCTION_NAMES)}"
)


def advise(takes: tuple[Kind, ...], kinds: set[AnyKind]) -> str:
    """Advice on kinds that do not fit, which ends a message."""
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
