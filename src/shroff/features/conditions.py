"""Checks of conditions over clean payments, beyond grammar and kinds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from shroff.collect import Schema, money
from shroff.errors import InvalidExpression
from shroff.expression import Expression
from shroff.expression.tree import InList

_NO_LISTS: Final[Mapping[str, Collection[str]]] = MappingProxyType({})


def require_alphabetic(
    condition: Expression, schema: Schema, lists: Mapping[str, Collection[str]] = _NO_LISTS
) -> None:
    """Raise `InvalidExpression` where a condition compares a currency with a numeric code: clean
    payments have none.

    >>> from shroff.expression import parse
    >>> schema = Schema(id="id", time="t", amount="amount", currency="currency")
    >>> require_alphabetic(parse("currency <> '392'", schema.kinds), schema)
    Traceback (most recent call last):
    shroff.errors.InvalidExpression: `currency` holds alphabetic currency codes, whichever were
    sent: write 'JPY' \
instead of '392' in `currency <> '392'`
    """
    if schema.currency is None:
        return
    for asked in condition.compared_with(schema.currency):
        codes = lists.get(asked.name, ()) if isinstance(asked, InList) else (asked,)
        where = f"the list `{asked.name}`" if isinstance(asked, InList) else f"`{condition.sql}`"
        for code in codes:
            found = money.alphabetic(code) if isinstance(code, str) and code.isdecimal() else None
            if found is not None:
                raise InvalidExpression(
                    f"`{schema.currency}` holds alphabetic currency codes, whichever were sent: "
                    f"write '{found}' instead of '{code}' in {where}"
                )
