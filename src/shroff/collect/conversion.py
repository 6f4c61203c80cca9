"""Amounts in the base currency: a payment is converted once, at the door, by the rate valid when it
happened.

In whole minor units of the base currency, by exact arithmetic, a half to the even one. After the
door there is one currency.

    >>> from shroff.collect.rates import Rate, Rates
    >>> converter = Converter(
    ...     Rates("EUR", [Rate("JPY", "0.0065"), Rate("JPY", "0.00625", "2024-01-01")])
    ... )
    >>> converter.minor("JPY", 1_704_067_200_000_000, 1198), converter.minor("JPY", 0, 1198)
    (749, 779)
    >>> converter.minor("EUR", 0, 749), converter.minor("USD", 0, 749)
    (749, None)
"""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from shroff.collect import money
from shroff.collect.rates import Rate, Rates
from shroff.collect.validity import Validity


class _Factor(NamedTuple):
    """A rate as a fraction: minor units of the currency × `times` ÷ `over` are minor units of the
    base.
    """

    times: int
    over: int


class Converter:
    """Converts amounts to the base currency, one payment or a whole column, to the same values."""

    def __init__(self, rates: Rates) -> None:
        self.rates = rates
        self.mark = rates.mark
        self.most = money.most(rates.base)
        held: dict[str, list[Rate]] = {rates.base: [Rate(rates.base, "1")]}
        for rate in rates.rates:
            held.setdefault(rate.currency, []).append(rate)
        rows = [
            (code, rate)
            for currency, each in held.items()
            for code in (currency, money.NUMERIC[currency])
            for rate in each
        ]
        self._factors = [_factor(rate, rates.base) for _, rate in rows]
        self._validity = Validity(
            [code for code, _ in rows],
            [rate.start for _, rate in rows],
            [rate.end for _, rate in rows],
        )

    def minor(self, currency: str, time: int, minor: int) -> int | None:
        """An amount in minor units of the base currency; None without a rate at that time.

        Args:
            time: of the payment, microseconds since the epoch.
            minor: the amount in minor units of its own currency.
        """
        row = self._validity.row(currency, time)
        if row < 0:
            return None
        times, over = self._factors[row]
        return _rounded(minor * times, over)

    def column(
        self, currencies: pl.Series, times: pl.Series, minors: pl.Series
    ) -> tuple[pl.Series, pl.Series]:
        """`minor` of each row (Int128, null where it would be None), and where there is no rate.

        Args:
            currencies: codes; times: Datetime in microseconds, UTC; minors: Int64. Null in one of
                them is null.
        """
        known = currencies.is_not_null() & times.is_not_null()
        rows = pl.Series(self._validity.rows(currencies, times))
        found, row = rows >= 0, rows.clip(0)
        factors = pl.DataFrame(
            {
                "minor": minors.set(~found, None).cast(pl.Int128),
                "times": pl.Series([one.times for one in self._factors], dtype=pl.Int128).gather(
                    row
                ),
                "over": pl.Series([one.over for one in self._factors], dtype=pl.Int128).gather(row),
            }
        )
        return factors.select(_rounded_column()).to_series(), known & ~found


def _factor(rate: Rate, base: str) -> _Factor:
    whole, _, decimals = rate.rate.partition(".")
    power = len(decimals) + money.EXPONENT[rate.currency] - money.EXPONENT[base]
    return _Factor(int(whole + decimals) * 10 ** max(-power, 0), 10 ** max(power, 0))


def _rounded(number: int, over: int) -> int:
    """A quotient as the nearest whole number, a half as the even one.

    >>> [_rounded(number, 2) for number in (1, 3, 4, 5)]
    [0, 2, 2, 2]
    """
    quotient, rest = divmod(number, over)
    return quotient + (2 * rest > over or (2 * rest == over and quotient % 2 == 1))


def _rounded_column() -> pl.Expr:
    product, over = pl.col("minor") * pl.col("times"), pl.col("over")
    quotient, twice = product // over, product % over * 2
    return quotient + ((twice > over) | ((twice == over) & (quotient % 2 == 1))).cast(pl.Int128)
