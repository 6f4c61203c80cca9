"""The page of the expression language, from its grammar and with values worked out."""

from __future__ import annotations

from collections.abc import Sequence

from docs.generate.docstrings import read, rendered, table

import shroff.expression
from shroff.expression import Kind, parse
from shroff.expression.grammar import FUNCTIONS, NAMED, OPERATORS, FunctionSignature

_ROW: dict[str, float | str | bool | None] = {
    "amount": 136.69,
    "items": 3.0,
    "country": "DK",
    "name": "Ada Lovelace",
    "phone": None,
    "is_new": True,
}
_KINDS: dict[str, Kind] = {
    "amount": "number",
    "items": "number",
    "country": "text",
    "name": "text",
    "phone": "text",
    "is_new": "boolean",
}
_SYMBOLS = {"NEG": "- (before a number)", "CONCAT": "||"}
_LISTS = {"nordic": ["DK", "NO", "SE"]}
_EXAMPLES = (
    *(
        "amount > 100 AND country = 'DK'",
        "NOT is_new",
        "phone = '1'",
        "phone IS NULL",
        "amount BETWEEN 100 AND 200",
    ),
    *(
        "country IN ('DK', 'SE')",
        "country IN nordic",
        "name LIKE 'Ada%'",
        "amount / items",
        "amount % items",
    ),
    *(
        "amount / 0",
        "-amount + 2 * items",
        "ABS(items - 5)",
        "SQRT(16)",
        "LN(1)",
        "ROUND(amount)",
        "LEAST(amount, items)",
    ),
    *("EXP(1)", "POWER(items, 2)", "FLOOR(amount)", "CEIL(amount)"),
    *(
        "DISTANCE_KM(48.8566, 2.3522, 40.7128, -74.006)",
        "SIMILARITY(name, 'Ada Lovelac')",
        "SUBSTR(name, 1, 3)",
    ),
    "DATE_DIFF('day', '2024-02-28', '2024-03-01T12:00:00+02:00')",
    "REGEXP_LIKE(name, '^[A-Z][a-z]+ L')",
    *("GREATEST(amount, items)", "LOWER(country)", "UPPER(name)", "LENGTH(name)"),
    *(
        "CONCAT(country, ':', name)",
        "country || phone",
        "COALESCE(phone, 'none')",
        "NULLIF(items, 3)",
    ),
    "CASE WHEN amount > 100 THEN 'large' ELSE 'small' END",
)


def pages() -> dict[str, str]:
    """One page: what there is, what it takes and gives, and what it means."""
    parts = [
        "# SQL: operators and functions",
        rendered(read(shroff.expression).prose),
        "## Operators",
        _signatures(
            [
                signature._replace(op=_SYMBOLS.get(signature.op, signature.op))
                for signature in OPERATORS.values()
            ]
        ),
        "## Functions",
        _signatures(sorted([*FUNCTIONS.values(), *NAMED.values()])),
        "## Examples",
        f"For a payment with {_said(_ROW)}, and the list `nordic` of DK, NO and SE:",
        table(["expression", "value"], [[f"`{text}`", _value(text)] for text in _EXAMPLES]),
        "## Errors",
        table(
            ["error", "when"],
            [
                [
                    "`InvalidExpression`",
                    "it does not parse, uses more than the language, or mixes kinds",
                ],
                ["`UnknownColumn`", "it names a column or feature that there is not"],
            ],
        ),
    ]
    return {"sql_language.md": "\n\n".join(parts) + "\n"}


def _signatures(signatures: Sequence[FunctionSignature]) -> str:
    rows = [
        [f"`{one.op}`", " or ".join(one.takes), one.gives or "what it takes", _how_many(one)]
        for one in signatures
    ]
    return table(["", "takes", "gives", "arguments"], rows)


def _how_many(signature: FunctionSignature) -> str:
    if signature.most == signature.fewest:
        return str(signature.fewest)
    return (
        f"{signature.fewest} or more"
        if signature.most is None
        else f"{signature.fewest} to {signature.most}"
    )


def _said(row: dict[str, float | str | bool | None]) -> str:
    return ", ".join(f"`{name}` {_written(value)}" for name, value in row.items())


def _value(text: str) -> str:
    return _written(parse(text, _KINDS, list(_LISTS)).closure(_LISTS)(_ROW))


def _written(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "NULL", True: "TRUE", False: "FALSE"}[value]
    return f"`{value!r}`" if isinstance(value, str) else f"{value:.12g}"
