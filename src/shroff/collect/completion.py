"""What a schema adds to a payment: the amount in the base currency, and columns from tables."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Self

from shroff.collect.conversion import Converter
from shroff.collect.lookup import LookupReader
from shroff.collect.payment import Payment, set_amount
from shroff.collect.schema import Schema
from shroff.collect.tables import LookupTable
from shroff.collect.values import (
    NO_RATE,
    fits_in,
)
from shroff.errors import BadPayment, ConfigurationError, OutOfBounds


class Completer:
    """Completes payments by the exchange rates and reference tables in use."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._own = self._converter = None if schema.rates is None else Converter(schema.rates)
        self._lookups = LookupReader(schema.lookups, schema.tables, time=schema.time)

    @property
    def converter(self) -> Converter | None:
        """The converter in use."""
        return self._converter

    @property
    def tables(self) -> tuple[LookupTable, ...]:
        """The reference tables in use."""
        return self._lookups.tables

    @property
    def completes(self) -> bool:
        """Whether payments get anything that they are sent without."""
        return self._converter is not None or bool(self._lookups.marks)

    def converting(self, converter: Converter | None) -> Self:
        """The same, with other exchange rates to the schema's base currency; None for its own.

        Raises:
            ConfigurationError: the rates are to another currency.
        """
        chosen = self._own if converter is None else converter
        if chosen is None or chosen.base != self.schema.base:
            raise ConfigurationError(f"expected exchange rates to {self.schema.base}, got others.")
        if self._converter is not None and chosen.mark == self._converter.mark:
            return self
        other = copy(self)
        other._converter = chosen
        return other

    def looking_in(self, tables: Sequence[LookupTable]) -> Self:
        """The same, with these reference tables in place of those of their names."""
        used = self.tables
        if len(tables) == len(used) and all(
            one is before or one.mark == before.mark
            for one, before in zip(tables, used, strict=True)
        ):
            return self
        other = copy(self)
        other._lookups = LookupReader(self.schema.lookups, tables, time=self.schema.time)
        return other

    def complete(self, payment: Payment) -> None:
        """Add to a payment the amount in the base currency, and the columns that are looked up.

        Raises:
            BadPayment: its currency has no rate at its time, or the amount is too large in the base
                currency.
        """
        self._convert(payment)
        if not payment.tables:
            self._lookups.add(payment.values, payment.time)
            payment.tables = self._lookups.marks

    def _convert(self, payment: Payment) -> None:
        converter, schema = self._converter, self.schema
        if converter is None or payment.rates:
            return
        values = payment.values
        minor = converter.minor(str(values[str(schema.currency)]), payment.time, payment.minor)
        if minor is None:
            raise OutOfBounds(f"Expected {NO_RATE}, got one without - at `$.{schema.currency}`")
        base = converter.base
        if minor > converter.most:
            raise BadPayment(f"Expected {fits_in(base)}, got a larger one - at `$.{schema.amount}`")
        values[str(schema.original)] = values[schema.amount]
        set_amount(payment, schema, minor, base)
        payment.rates = converter.mark
