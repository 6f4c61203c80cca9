"""Amounts in the base currency: a payment is converted once, by the rate of its time.

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

from collections.abc import Iterator
from functools import lru_cache
from mmap import mmap
from typing import Final, NamedTuple

import msgspec
import polars as pl

from shroff.collect import money
from shroff.collect.packed import PackedTexts, pack, texts, unpack
from shroff.collect.rates import Rate, Rates
from shroff.collect.validity import OPEN_US, Validity, periods, text_of_micros

_REMEMBERED_RATES: Final = 4_096


class _Factor(NamedTuple):
    """A rate as a fraction: minor units × `times` ÷ `over` are minor units of the base."""

    times: int
    over: int


class _RatesFacts(msgspec.Struct, frozen=True):
    base: str
    mark: str


class PackedRates:
    """Exchange rates in bytes, as `pack_rates` packs them, with no object a rate.

    >>> packed = PackedRates(b"".join(pack_rates(Rates("EUR", [Rate("JPY", "0.01")]))))
    >>> packed.base, packed.rows, [*packed.fields(0, 9)][0]["rate"]
    ('EUR', 1, '0.01')
    """

    def __init__(self, content: bytes | mmap) -> None:
        facts, arrays = unpack(content, _RatesFacts)
        self.base, self.mark = facts.base, facts.mark
        self.validity = Validity(arrays)
        self.texts = PackedTexts(arrays, "rate")
        self._all = len(arrays["starts"])
        # that of the base currency itself is among them
        self.rows = self._all - 1

    def fields(self, begin: int, end: int) -> Iterator[dict[str, str | None]]:
        """The fields of each `Rate` in some of the rows, the base currency's left out."""
        for row in range(begin, min(end, self._all)):
            currency, since, until = self.validity.period(row)
            if currency != self.base:
                closed = None if until == OPEN_US else text_of_micros(until)
                yield {
                    "currency": currency,
                    "rate": self.texts[row],
                    "since": text_of_micros(since),
                    "until": closed,
                }


def pack_rates(rates: Rates) -> Iterator[bytes]:
    """Exchange rates as bytes, in parts."""
    rows = sorted((*rates.rates, Rate(rates.base, "1")), key=lambda rate: rate.currency)
    ends = [None if rate.until is None else rate.end for rate in rows]
    arrays = periods([rate.currency for rate in rows], [rate.start for rate in rows], ends)
    return pack(
        _RatesFacts(rates.base, rates.mark), arrays | texts("rate", (rate.rate for rate in rows))
    )


class Converter:
    """Converts amounts to the base currency, one payment or a whole column, to the same values."""

    def __init__(self, rates: Rates | PackedRates) -> None:
        packed = PackedRates(b"".join(pack_rates(rates))) if isinstance(rates, Rates) else rates
        self.rates = packed
        self.base, self.mark = packed.base, packed.mark
        self.most = money.most(packed.base)
        self._factor = lru_cache(maxsize=_REMEMBERED_RATES)(self._factor_in)

    def minor(self, currency: str, time: int, minor: int) -> int | None:
        """An amount in minor units of the base currency; None without a rate at that time.

        Args:
            time: of the payment, microseconds since the epoch.
            minor: the amount in minor units of its own currency.
        """
        code = money.ALPHABETIC.get(currency, currency)
        row = self.rates.validity.row(code, time)
        if row < 0:
            return None
        times, over = self._factor(row)
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
        codes = currencies.cast(pl.String).replace(money.ALPHABETIC)
        rows = pl.Series("row", self.rates.validity.rows(codes, times))
        found = rows >= 0
        used = rows.filter(found).unique()
        each = [self._factor_in(row) for row in used]
        factors = pl.DataFrame(
            {
                "row": used,
                "times": pl.Series([one.times for one in each], dtype=pl.Int128),
                "over": pl.Series([one.over for one in each], dtype=pl.Int128),
            }
        )
        amounts = pl.DataFrame([rows, minors.cast(pl.Int128).alias("minor")])
        joined = amounts.join(factors, on="row", how="left", maintain_order="left")
        return joined.select(_rounded_column()).to_series(), known & ~found

    def _factor_in(self, row: int) -> _Factor:
        currency, _, _ = self.rates.validity.period(row)
        whole, _, decimals = str(self.rates.texts[row]).partition(".")
        power = len(decimals) + money.EXPONENT[currency] - money.EXPONENT[self.base]
        return _Factor(int(whole + decimals) * 10 ** max(-power, 0), 10 ** max(power, 0))


def _rounded(number: int, over: int) -> int:
    """A quotient rounded to the nearest integer, halves to even.

    >>> [_rounded(number, 2) for number in (1, 3, 4, 5)]
    [0, 2, 2, 2]
    """
    quotient, rest = divmod(number, over)
    return quotient + (2 * rest > over or (2 * rest == over and quotient % 2 == 1))


def _rounded_column() -> pl.Expr:
    product, over = pl.col("minor") * pl.col("times"), pl.col("over")
    quotient, twice = product // over, product % over * 2
    return quotient + ((twice > over) | ((twice == over) & (quotient % 2 == 1))).cast(pl.Int128)
