"""The currencies of a clean table: amounts that are added or compared must be in one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping

import polars as pl

from shroff.collect import money
from shroff.collect.schema import Schema
from shroff.errors import MixedCurrencies


def payments_by_currency(frame: pl.DataFrame, schema: Schema) -> dict[str, int]:
    """The payments of a clean table by currency, most first; empty without a column for it."""
    if schema.currency is None:
        return {}
    counts: Counter[str] = Counter()
    for code, many in frame[schema.currency].value_counts(name="\0count").iter_rows():
        counts[money.ALPHABETIC[code]] += many
    return dict(counts.most_common())


def told(currencies: Mapping[str, int], base: str | None, what: str = "payments") -> str | None:
    """A sentence on conversion by currency, of `what` was counted; None for one currency without
    conversion.

    >>> told({"EUR": 3_000, "JPY": 1_200, "USD": 1}, "EUR")
    '1,201 of 4,201 payments converted to EUR: 1,200 in JPY, 1 in USD.'
    >>> told({"EUR": 2, "JPY": 1}, None)
    'payments in 2 currencies, not converted without exchange rates: 2 in EUR, 1 in JPY.'
    """
    others = {code: many for code, many in currencies.items() if code != base}
    counts = ", ".join(f"{many:,} in {code}" for code, many in others.items())
    if base is not None and others:
        return (
            f"{sum(others.values()):,} of {sum(currencies.values()):,} {what} converted to "
            f"{base}: {counts}."
        )
    if len(others) > 1:
        return (
            f"{what} in {len(others)} currencies, not converted without exchange rates: {counts}."
        )
    return None


def in_major(schema: Schema, read: Collection[str]) -> list[pl.Expr]:
    """The amounts of the given columns of a clean table, in major units."""
    columns = [
        (schema.amount, schema.amounts_in),
        (schema.original, (schema.currency, schema.default_currency)),
    ]
    return [
        money.major(name, *unit).alias(name)
        for name, unit in columns
        if name is not None and name in read
    ]


def one_currency(codes: Iterable[str], schema: Schema) -> str | None:
    """The currency of these codes; the schema's if there are none, None if there are several.

    >>> schema = Schema(id="id", time="t", amount="amount", currency="currency")
    >>> one_currency(["USD", "840"], schema), one_currency(["EUR", "JPY"], schema)
    ('USD', None)
    """
    found = {money.ALPHABETIC[code] for code in codes} or {schema.default_currency}
    return found.pop() if len(found) == 1 else None


def require_one_currency(
    codes: Callable[[], Iterable[str]], schema: Schema, reader: str | None
) -> None:
    """Raise `MixedCurrencies` if payments in several currencies have their amounts read.

    Args:
        codes: gives the table's distinct currency codes; called only if unconverted amounts are
            read.
        reader: what reads amounts, in words; None if nothing does.
    """
    column, _ = schema.amounts_in
    if reader is None or column is None:
        return
    many = len({money.ALPHABETIC[code] for code in codes()})
    if many > 1:
        raise MixedCurrencies(
            f"{reader} adds or compares amounts, and the payments are in {many} currencies (column "
            f"`{column}`): declare exchange rates with Schema(rates=Rates.read('rates.csv', "
            "base='EUR')), or keep one currency."
        )


def require_only(currency: str | None, codes: Iterable[str], schema: Schema, source: str) -> None:
    """Raise `MixedCurrencies` if unconverted amounts are in another currency than the model's.

    Args:
        currency: the model's; None if it reads no amounts.
    """
    column, _ = schema.amounts_in
    if (
        currency is not None
        and column is not None
        and {money.ALPHABETIC[code] for code in codes} - {currency}
    ):
        raise MixedCurrencies(
            f"{source}: expected payments in {currency} only, as the model was trained without "
            f"exchange rates, got some in another currency (column `{column}`): leave them out, or "
            "declare rates and train again."
        )


def codes_of(frame: pl.DataFrame, schema: Schema) -> pl.Series:
    """The distinct currency codes of a clean table."""
    return frame[str(schema.currency)].drop_nulls().unique()
