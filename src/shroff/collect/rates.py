"""Exchange rates: the worth of one unit of a currency in the base currency, by period.

>>> rates = Rates(
...     "EUR", [Rate("JPY", "0.0065", "2023-01-01"), Rate("JPY", "0.00625", "2024-01-01")]
... )
>>> rates.currencies, rates.mark
(('JPY',), 'EUR 013bf8ed825f6f14')
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import force_setattr

from shroff.collect import money
from shroff.collect.dated_file import Cell, read_dated
from shroff.collect.numbers import PLAIN_NUMBER
from shroff.collect.validity import ALWAYS, NEVER_US, micros_of, moment, require_one_at_a_time
from shroff.errors import BadFile, ConfigurationError, did_you_mean

_COLUMNS: Final = ("currency", "rate", "since")
_MAX_DIGITS: Final = 18
"""The most digits and decimals of a rate: so an amount times a rate fits into 128 bits."""


class Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The worth of a currency's unit in the base currency, from `since` until before `until`.

    The rate is a decimal number written as text, of at most 18 digits. The moments are ISO 8601: a
    date means midnight UTC. Without `until` a rate is valid until the currency's next one.

    Raises:
        ConfigurationError: no ISO 4217 code, no such number, no such moment.

    >>> Rate("jpy", "6.25e-3", "2024-01-01")
    Rate(currency='JPY', rate='0.00625', since='2024-01-01T00:00:00Z', until=None)
    """

    currency: str
    rate: str
    since: str = ALWAYS
    until: str | None = None

    def __post_init__(self) -> None:
        force_setattr(self, "currency", currency_of(self.currency, "a rate"))
        force_setattr(self, "rate", _plain(self.rate, self.currency))
        what = f"the rate of {self.currency}"
        force_setattr(self, "since", moment(self.since, what))
        if self.until is not None:
            force_setattr(self, "until", moment(self.until, what))
            if self.end <= self.start:
                raise ConfigurationError(f"{what}: expected `until` after `since`.")

    @property
    def start(self) -> int:
        """The first microsecond since the epoch at which it is valid."""
        return micros_of(self.since)

    @property
    def end(self) -> int:
        """The first microsecond at which it is not valid any more."""
        return NEVER_US if self.until is None else micros_of(self.until)


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reference table of exchange rates to one base currency.

    Raises:
        ConfigurationError: an unknown currency, a rate of the base currency, or two rates valid at
            one moment.

    >>> Rates.constant("EUR", {"USD": "0.91", "JPY": "0.00625"}).currencies
    ('JPY', 'USD')
    """

    base: str
    rates: Sequence[Rate]

    def __post_init__(self) -> None:
        force_setattr(self, "base", currency_of(self.base, "the base currency"))
        ordered = tuple(sorted(self.rates, key=lambda rate: (rate.currency, rate.start)))
        force_setattr(self, "rates", ordered)
        for rate in ordered:
            if rate.currency == self.base:
                raise ConfigurationError(
                    f"expected rates of other currencies than the base, {self.base}, got one."
                )
        require_one_at_a_time(
            [rate.currency for rate in ordered],
            [rate.start for rate in ordered],
            [None if rate.until is None else rate.end for rate in ordered],
            lambda place: f"the rates of {ordered[place].currency}",
        )

    @classmethod
    def constant(cls, base: str, rates: Mapping[str, str]) -> Rates:
        """Rates that never change, by currency."""
        return cls(base, [Rate(currency, rate) for currency, rate in rates.items()])

    @classmethod
    def read(cls, path: str | Path, *, base: str = "EUR") -> Rates:
        """Rates from a CSV or Parquet file with the columns `currency`, `rate`, `since` and, if
        need be, `until`; in a project's file, and in modules that it imports, the path is relative
        to the project's file.

        Raises:
            BadFile: the file cannot be read, lacks a column, has no rows, or one that is no rate.
        """
        file = read_dated(path, "exchange rates", _COLUMNS)
        if not file.places:
            raise BadFile(f"{path}: expected at least one exchange rate, got a table without rows.")
        cells = zip(
            file.columns["currency"], file.columns["rate"], file.since, file.until, strict=True
        )
        found = [_of_row(path, place, row) for place, row in zip(file.places, cells, strict=True)]
        try:
            return cls(base, found)
        except ConfigurationError as error:
            raise BadFile(f"{path}: {error}") from None

    @property
    def currencies(self) -> tuple[str, ...]:
        """The currencies that have a rate at some time, without the base."""
        return tuple(dict.fromkeys(rate.currency for rate in self.rates))

    @property
    def rows(self) -> int:
        """The number of rates."""
        return len(self.rates)

    @property
    def mark(self) -> str:
        """The identity of the table: its base currency and the first digits of its SHA-256."""
        return f"{self.base} {sha256(msgspec.json.encode(self)).hexdigest()[:16]}"


def currency_of(code: str, what: str) -> str:
    """The alphabetic ISO 4217 code of a currency from any of its codes.

    >>> currency_of("392", "it"), currency_of("usd", "it")
    ('JPY', 'USD')
    """
    found = money.alphabetic(str(code))
    if found is None:
        hint = did_you_mean(str(code).strip().upper(), money.NUMERIC) or ", got another text."
        raise ConfigurationError(
            f"expected {what} with an ISO 4217 currency code such as `EUR`{hint}"
        )
    return found


def _plain(rate: str, currency: str) -> str:
    """A rate as its shortest decimal text."""
    # Decimal reads more: `1_0` is 10, and digits are those of every script
    known = isinstance(rate, str) and PLAIN_NUMBER.fullmatch(rate.strip())
    try:
        number = Decimal(rate if known else "NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number <= 0:
        raise ConfigurationError(
            f"the rate of {currency}: expected a number above 0 written as text, such as "
            '"0.00625", got another value.'
        )
    if abs(number.adjusted()) > _MAX_DIGITS:
        # written out, a rate such as 1e999999999 would fill memory
        raise ConfigurationError(
            f"the rate of {currency}: expected at most {_MAX_DIGITS} digits, got more."
        )
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    whole, _, decimals = text.partition(".")
    if len((whole + decimals).lstrip("0")) > _MAX_DIGITS or len(decimals) > _MAX_DIGITS:
        raise ConfigurationError(
            f"the rate of {currency}: expected at most {_MAX_DIGITS} digits, got more."
        )
    return text


def _of_row(path: str | Path, place: str, row: tuple[Cell, Cell, str, str | None]) -> Rate:
    currency, rate, since, until = row
    try:
        return Rate(str(currency or ""), str(rate or ""), since, until)
    except ConfigurationError as error:
        raise BadFile(f"{path}, {place}: {error}") from None
