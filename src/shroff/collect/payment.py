"""One payment: read from JSON by the schema, with the rules and to the values `clean` gives a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import isfinite
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import polars as pl

from shroff.collect import money
from shroff.collect.personal import token
from shroff.collect.schema import UNDEFINED, Scale, Schema
from shroff.collect.times import parse_time
from shroff.errors import BadPayment, did_you_mean

Value = str | float | int | bool | None


class Payment(msgspec.Struct):
    """A clean payment.

    `time` and `arrived` are microseconds since the epoch; `minor` is the amount in minor units, `units` in
    ten-thousandths of a major unit (the scale of sums); `values` holds what expressions and models read:
    the amount in major units, nominal and numeric values, keys and tokens, by column name.
    """

    id: str
    time: int
    arrived: int
    minor: int
    units: int
    values: dict[str, Value]


class PaymentReader:
    """Reads payments as JSON objects whose fields are the schema's columns.

    Result and label are not fields of a payment: they come later, as events of their own.
    """

    def __init__(self, schema: Schema, *, key: bytes) -> None:
        self.schema = schema
        self._key = key
        self._zone = ZoneInfo(schema.timezone) if schema.timezone else None
        scales = {name: scale for name, scale in schema.scales.items() if name not in schema.later}
        if schema.arrived_at is not None:
            # the system itself knows when a live payment arrived
            del scales[schema.arrived_at]
        self.fields = tuple(scales)
        needed = {schema.id, schema.time, schema.amount, schema.currency, *schema.required}
        self._decoder = msgspec.json.Decoder(_wire(scales, frozenset(needed - {None}), schema.ignored))
        self._copy = [(name, f"f{at}", self._converter(scale)) for at, (name, scale) in enumerate(scales.items())]
        self._fixed = money.EXPONENT[schema.default_currency]

    def read(self, body: bytes, *, arrived: int) -> Payment:
        """One payment from its JSON text, seen by the system at `arrived` (microseconds since the epoch).

        Raises:
            BadPayment: not JSON, an unknown or missing field, a value of the wrong type, an unknown currency.
        """
        try:
            wire = self._decoder.decode(body)
        except msgspec.ValidationError as error:
            raise BadPayment(self._explain(str(error))) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadPayment(f"expected one JSON object, got something else: {_reason(error)}.") from None
        values: dict[str, Value] = {}
        for name, attribute, convert in self._copy:
            value = getattr(wire, attribute)
            try:
                values[name] = value if convert is None else convert(value)
            except ValueError as error:
                raise BadPayment(f"{error} - at `$.{name}`") from None
        return self._payment(values, arrived)

    def _payment(self, values: dict[str, Value], arrived: int) -> Payment:
        schema = self.schema
        for name in schema.required:
            if values.get(name) is None or values[name] == UNDEFINED:
                raise BadPayment(f"expected a value, got none - at `$.{name}`")
        amount: float = values[schema.amount]  # type: ignore[assignment]  # the wire type says so
        exponent = self._fixed if schema.currency is None else money.EXPONENT[str(values[schema.currency])]
        minor = money.minor_units(amount, exponent)
        if minor is None:
            raise BadPayment(f"expected at most {exponent} decimals, as its currency has - at `$.{schema.amount}`")
        amount = minor / 10**exponent
        values[schema.amount] = amount
        return Payment(
            id=str(values.pop(schema.id)),
            time=int(values[schema.time]),  # type: ignore[arg-type]  # converted above
            arrived=arrived,
            minor=minor,
            units=minor * 10 ** (4 - exponent),
            values=values,
        )

    def _converter(self, scale: Scale) -> Callable[[Any], Value] | None:
        zone, key = self._zone, self._key

        def moment(value: str) -> int:
            try:
                return parse_time(value, zone)
            except ValueError:
                wanted = "" if zone else " that names its zone, such as `…Z`"
                raise ValueError(f"expected an ISO 8601 date and time{wanted}") from None

        def amount(value: float) -> float:
            if not (isfinite(value) and 0 <= value < 1e14):
                raise ValueError("expected a number from 0 to 100,000,000,000,000")
            return value

        def currency(value: str | int) -> str:
            code = str(value)
            if code not in money.EXPONENT:
                raise ValueError("expected an ISO 4217 currency code")
            return code

        converters: dict[Scale, Callable[[Any], Value]] = {
            "id": _identifier,
            "time": moment,
            "amount": amount,
            "currency": currency,
            "key": lambda value: None if value is None or value == "" else str(value),
            "nominal": _nominal,
            "personal": lambda value: None if value is None or value == "" else token(str(value), key),
        }
        return converters.get(scale)

    def _explain(self, message: str) -> str:
        """msgspec's own sentence, with the closest field where a name is unknown."""
        if "unknown field" in message:
            name = message.split("`")[1][:80]
            if name in self.schema.later:
                return f"field `{name}` is not known when a payment is judged: send it later, as an event of its own"
            hint = did_you_mean(name, self.fields) or f"; expected: {', '.join(self.fields)}."
            return f"unknown field `{name}`{hint}"
        if "missing required field" in message:
            return message.replace("Object missing", "missing") + f"; a payment has: {', '.join(self.fields)}."
        position = message.rfind("`$.f")
        if position >= 0 and message[position + 4 : -1].isdigit():
            return message
        return message


def _reason(error: Exception) -> str:
    return str(error)[:160].rstrip(".")


def _identifier(value: str | int) -> str:
    text = str(value)
    if not 0 < len(text) <= 200:
        raise ValueError("expected an id of 1 to 200 characters")
    return text


def _nominal(value: str | int | bool | None) -> str:
    if value is None or value == "":
        return UNDEFINED
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


_WIRE: dict[Scale, Any] = {
    "id": str | int,
    "time": str,
    "amount": float,
    "currency": str | int,
    "numeric": float | None,
    "nominal": str | int | bool | None,
    "key": str | int | None,
    "personal": str | None,
}


def _wire(scales: dict[str, Scale], needed: frozenset[str | None], ignored: Sequence[str]) -> type[msgspec.Struct]:
    """The wire type of a payment: unknown fields refused, ignored ones accepted and dropped."""
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    names: dict[str, str] = {}
    for at, (name, scale) in enumerate(scales.items()):
        names[f"f{at}"] = name
        fields.append((f"f{at}", _WIRE[scale]) if name in needed else (f"f{at}", _WIRE[scale], None))
    for at, name in enumerate(ignored):
        names[f"i{at}"] = name
        fields.append((f"i{at}", msgspec.Raw, msgspec.Raw()))
    return msgspec.defstruct(
        "Payment", fields, rename=names, forbid_unknown_fields=True, kw_only=True, frozen=True, gc=False
    )


def payments(frame: pl.DataFrame, schema: Schema) -> Iterator[Payment]:
    """The rows of a clean table as payments, in its order."""
    arrival = schema.arrived_at or schema.time
    scale = (schema.currency, schema.default_currency)
    kept = [name for name in schema.scales if name not in schema.later and name not in (schema.id, schema.arrived_at)]
    table = frame.select(
        pl.col(schema.id).alias("\0id"),
        pl.col(arrival).dt.epoch("us").alias("\0arrived"),
        pl.col(schema.amount).alias("\0minor"),
        money.units(schema.amount, *scale).alias("\0units"),
        *(pl.col(name).dt.epoch("us") for name in kept if name == schema.time),
        *(pl.col(name) for name in kept if name not in (schema.time, schema.amount)),
        money.major(schema.amount, *scale).alias(schema.amount),
    )
    names = table.columns[4:]
    for identifier, arrived, minor, units, *values in table.iter_rows():
        row = dict(zip(names, values, strict=True))
        yield Payment(
            id=identifier,
            time=row[schema.time],
            arrived=arrived,
            minor=minor,
            units=units,
            values=row,
        )
