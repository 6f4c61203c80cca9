"""One clean payment, as every stage after `collect` reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import msgspec
import polars as pl

from shroff.collect import money
from shroff.collect.currencies import in_major
from shroff.collect.lookup import tables_read
from shroff.collect.schema import Schema
from shroff.collect.wire import live_scales

Value = str | float | int | bool | None


class Payment(msgspec.Struct, omit_defaults=True):
    """A clean payment.

    `time` and `arrived` are microseconds since the epoch; `minor` is the amount in minor units,
    `units` in ten-thousandths of a major unit (the scale of sums); `values` holds what expressions
    and models read: the amount in major units, nominal and numeric values, keys and tokens, by
    column name. `rates` says by which exchange rates all amounts were converted to the base
    currency (`Rates.mark`); then `Schema.original` among the values is the amount in the payment's
    own currency. `tables` says in which reference tables it was looked up (`ReferenceTable.mark`).
    Both are empty for a payment as it was sent.
    """

    id: str
    time: int
    arrived: int
    minor: int
    units: int
    values: dict[str, Value]
    rates: str = ""
    tables: tuple[str, ...] = ()


def counted_in(payment: Payment, schema: Schema) -> str | None:
    """The currency in which a payment's amount is summed: that of its rates, or its own.

    None if that is no currency of ISO 4217.
    """
    if payment.rates:
        return payment.rates.partition(" ")[0]
    # the ledger may be older than the schema's column of currencies
    return money.ALPHABETIC.get(
        str(payment.values.get(str(schema.currency)) or schema.default_currency)
    )


def as_sent(payment: Payment, schema: Schema) -> Payment:
    """A payment as it was sent, its amount in its own currency: `PaymentReader.complete` undone."""
    looked_up = schema.looked_up if payment.tables else ()
    values = {name: value for name, value in payment.values.items() if name not in looked_up}
    if not payment.rates:
        return msgspec.structs.replace(payment, values=values, tables=())
    paid = cast(float, values.pop(str(schema.original)))
    currency = str(values[str(schema.currency)])
    sent = msgspec.structs.replace(payment, values=values, rates="", tables=())
    set_amount(sent, schema, cast(int, money.minor_units(paid, money.EXPONENT[currency])), currency)
    return sent


def set_amount(payment: Payment, schema: Schema, minor: int, currency: str) -> None:
    """Give a payment an amount in minor units of a currency."""
    exponent = money.EXPONENT[currency]
    payment.minor, payment.units = minor, minor * 10 ** (4 - exponent)
    payment.values[schema.amount] = minor / 10**exponent


def rows_of(frame: pl.DataFrame, names: Sequence[str]) -> Iterator[dict[str, Value]]:
    """The values of these columns in each row; nothing in each row where there are no columns.

    >>> list(rows_of(pl.DataFrame({"id": ["a", "b"]}), []))
    [{}, {}]
    """
    if not names:
        return ({} for _ in range(len(frame)))
    return frame.select(names).iter_rows(named=True)


def payments(frame: pl.DataFrame, schema: Schema) -> Iterator[Payment]:
    """The rows of a clean table as payments, in its order."""
    arrival = schema.arrived_at or schema.time
    kept = [name for name in (*live_scales(schema), *schema.looked_up) if name != schema.id]
    table = frame.select(
        pl.col(schema.id).alias("\0id"),
        pl.col(arrival).dt.epoch("us").alias("\0arrived"),
        pl.col(schema.amount).alias("\0minor"),
        money.units(schema.amount, *schema.amounts_in).alias("\0units"),
        *(pl.col(name).dt.epoch("us") for name in kept if name == schema.time),
        *(pl.col(name) for name in kept if name not in (schema.time, schema.amount)),
        *in_major(schema, schema.scales),
    )
    names = table.columns[4:]
    mark = "" if schema.rates is None else schema.rates.mark
    marks = tuple(table.mark for table in tables_read(schema.lookups, schema.tables))
    for identifier, arrived, minor, units, *values in table.iter_rows():
        row = dict(zip(names, values, strict=True))
        yield Payment(identifier, row[schema.time], arrived, minor, units, row, mark, marks)
