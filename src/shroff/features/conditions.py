"""Checks of conditions over clean payments, beyond grammar and kinds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from shroff.collect import Schema, money
from shroff.errors import InvalidExpression
from shroff.expression import Expression, InList

_NO_LISTS: Final[Mapping[str, Collection[str]]] = MappingProxyType({})


def require_currencies(
    condition: Expression, schema: Schema, lists: Mapping[str, Collection[str]] = _NO_LISTS
) -> None:
    """Raise `InvalidExpression` where a condition compares the currency with a text that no clean
    payment has there, or matches it with a pattern that fits no code: asked when a condition is
    written, not of one that is in use.

    >>> from shroff.expression import parse
    >>> schema = Schema(id="id", time="t", amount="amount", currency="ccy")
    >>> require_currencies(parse("ccy = 'usd'", schema.kinds), schema)
    Traceback (most recent call last):
    shroff.errors.InvalidExpression: `ccy` holds alphabetic currency codes, whichever were sent: \
write 'USD' instead of 'usd' in `ccy = 'usd'`
    """
    if schema.currency is None:
        return
    for asked in condition.compared_with(schema.currency):
        codes = lists.get(asked.name, ()) if isinstance(asked, InList) else (asked,)
        where = f"the list `{asked.name}`" if isinstance(asked, InList) else f"`{condition.sql}`"
        for code in codes:
            # a blank text asks whether there is a value at all
            if isinstance(code, str) and code.strip() and code not in money.NUMERIC:
                right = money.alphabetic(code)
                advice = f"write '{right}'" if right else "write one of ISO 4217, such as 'EUR',"
                raise InvalidExpression(
                    f"`{schema.currency}` holds alphabetic currency codes, whichever were sent: "
                    f"{advice} instead of '{code}' in {where}"
                )
    if condition.matches_none(schema.currency, money.NUMERIC):
        raise InvalidExpression(
            f"`{schema.currency}` holds alphabetic currency codes in upper case, such as 'EUR', "
            f"and a pattern in `{condition.sql}` fits no code of ISO 4217: correct it"
        )
