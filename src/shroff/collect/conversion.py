"""Amounts in the base currency: a payment is converted once, at the door, by the rate valid when it happened.

In whole minor units of the base currency, by exact arithmetic, a half to the even one. After the door there is one
currency.

    >>> from shroff.collect.rates import Rate, Rates
    >>> converter = Converter(Rates("EUR", [Rate("JPY", "0.0065"), Rate("JPY", "0.00625", "2024-01-01")]))
    >>> converter.minor("JPY", 1_704_067_200_000_000, 1198), converter.minor("JPY", 0, 1198)
    (749, 779)
    >>> converter.minor("EUR", 0, 749), converter.minor("USD", 0, 749)
    (749, None)
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from shroff.collect import money
from shroff.collect.rates import Rate, Rates

_PAST: Final = 2**52
"""Microseconds since the epoch, after the time of any payment."""


class _Valid(NamedTuple):
    """A rate as a fraction: minor units of the currency × `times` ÷ `over` are minor units of the base."""

    start: int
    end: int
    times: int
    over: int


class Converter:
    """Converts amounts to the base currency, one payment or a whole column, to the same values."""

    def __init__(self, rates: Rates) -> None:
        self.rates = rates
        self.mark = rates.mark
        self.most = money.most(rates.base)
        valid: dict[str, list[_Valid]] = {rates.base: [_Valid(0, _PAST, 1, 1)]}
        for rate in rates.rates:
            valid.setdefault(rate.currency, []).append(_ready(rate, rates.base))
        self._starts = {
            code: [one.start for one in valid[alphabetic]]
            for code, alphabetic in money.ALPHABETIC.items()
            if alphabetic in valid
        }
        self._valid = {code: valid[money.ALPHABETIC[code]] for code in self._starts}
        self._table = [(place, one) for place, each in enumerate(valid.values()) for one in each]
        self._places = {code: place for place, each in enumerate(valid) for code in (each, money.NUMERIC[each])}

    def minor(self, currency: str, time: int, minor: int) -> int | None:
        """An amount in minor units of the base currency; None without a rate at that time.

        Args:
            time: of the payment, microseconds since the epoch.
            minor: the amount in minor units of its own currency.
        """
        starts = self._starts.get(currency)
        if starts is None:
            return None
        place = bisect_right(starts, time) - 1
        if place < 0:
            return None
        _, end, times, over = self._valid[currency][place]
        return _rounded(minor * times, over) if time < end else None

    def column(self, currencies: pl.Series, times: pl.Series, minors: pl.Series) -> tuple[pl.Series, pl.Series]:
        """`minor` of each row (Int128, null where it would be None), and where there is no rate.

        Args:
            currencies: codes; times: Datetime in microseconds, UTC; minors: Int64. Null in one of them is null.
        """
        known = currencies.is_not_null() & times.is_not_null()
        place = currencies.replace_strict(self._places, default=None, return_dtype=pl.Int64)
        sought = (place * _PAST + times.dt.epoch("us")).fill_null(-1).to_numpy()
        starts = np.array([place * _PAST + one.start for place, one in self._table], np.int64)
        ends = np.array([place * _PAST + one.end for place, one in self._table], np.int64)
        at = np.searchsorted(starts, sought, side="right") - 1
        found = (at >= 0) & (sought < ends[np.maximum(at, 0)])
        row = pl.Series(np.where(found, at, 0))
        factors = pl.DataFrame(
            {
                "minor": minors.set(~pl.Series(found), None).cast(pl.Int128),
                "times": pl.Series([one.times for _, one in self._table], dtype=pl.Int128).gather(row),
                "over": pl.Series([one.over for _, one in self._table], dtype=pl.Int128).gather(row),
            }
        )
        return factors.select(_rounded_column()).to_series(), known & ~pl.Series(found)


def _ready(rate: Rate, base: str) -> _Valid:
    whole, _, decimals = rate.rate.partition(".")
    power = len(decimals) + money.EXPONENT[rate.currency] - money.EXPONENT[base]
    return _Valid(rate.start, rate.end, int(whole + decimals) * 10 ** max(-power, 0), 10 ** max(power, 0))


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
