"""Reads one payment from JSON by the schema, to the same values as `clean` gives a table."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from shroff.canonical import AFTER_DIGITS, BLANK, FLAG_TEXTS, text_of
from shroff.collect import money
from shroff.collect.cards import holds_card_number, is_card_number, may_hold_card_number
from shroff.collect.completion import Completer
from shroff.collect.fields import card_number, require_readable_field
from shroff.collect.json_text import UNREADABLE, lenient, require_few_values, require_keys_once
from shroff.collect.payment import Payment, Value
from shroff.collect.personal import tokenizer
from shroff.collect.schema import Schema
from shroff.collect.time_kinds import kind_of_time
from shroff.collect.times import parse_epoch, parse_time
from shroff.collect.values import (
    FINE,
    LARGEST_AMOUNT,
    LONGEST_ID,
    LONGEST_NAME,
    VALUE,
    expected,
    kind_of,
    null_numbers,
    unseen,
)
from shroff.collect.wire import explain, live_scales, wire_type
from shroff.errors import BadPayment

_log: Final = logging.getLogger(__name__)
_BACKSLASH: Final = ord("\\")
_MAX_SHORT_CHARACTERS: Final = 12
"""A text of so many characters is no card number."""
_ESCAPED_COLON: Final = b"\\u003"


class PaymentReader(Completer):
    """Reads payments as JSON objects whose fields are the schema's columns.

    Result and label are not fields of a payment: they come later, as events of their own.

    Args:
        key: of the HMAC over personal columns.
        currency: the only currency of payments, for a schema without exchange rates; None takes
            any.
        numbers: columns of long numbers that are no card numbers, see `long_numbers`; elsewhere one
            is refused.

    >>> schema = Schema(id="id", time="at", amount="eur", nominal=["mcc"])
    >>> reader = PaymentReader(schema, key=b"k" * 32)
    >>> payment = reader.read(
    ...     b'{"id": "p1", "at": "2024-05-04T10:00:00Z", "eur": 136.69, "mcc": 32}', arrived=0
    ... )
    >>> payment.minor, payment.values["mcc"]
    (13669, '32')
    >>> reader.read(b'{"id": "p1", "at": "2024-05-04T10:00:00Z", "euro": 136.69}', arrived=0)
    Traceback (most recent call last):
    ...
    shroff.errors.BadPayment: unknown field `euro`: did you mean `eur`?
    """

    def __init__(
        self,
        schema: Schema,
        *,
        key: bytes,
        currency: str | None = None,
        numbers: Iterable[str] = (),
    ) -> None:
        super().__init__(schema)
        scales = live_scales(schema)
        self.fields = tuple(scales)
        self._absent: dict[str, Value] = dict.fromkeys(scales)
        self._required = frozenset(scales) & {
            schema.id,
            schema.time,
            schema.amount,
            schema.currency,
            *schema.required,
        }
        exempt = {*numbers}
        judged = [name for name in scales if name not in exempt]
        self._numeric = [name for name in judged if scales[name] == "numeric"]
        # larger numbers are decoded again, and judged
        self._decode, self._decode_any = (
            msgspec.json.Decoder(
                wire_type(scales, self._required, schema.ignored, small=small)
            ).decode
            for small in (self._numeric, ())
        )
        self._ignored = schema.ignored
        # the fields that came; ignored ones are not parsed
        self._fields_of: Callable[[msgspec.Struct], dict[str, Value]] = (
            partial(msgspec.to_builtins, builtin_types=(msgspec.Raw,))
            if schema.ignored
            else msgspec.to_builtins
        )
        self._zone = ZoneInfo(schema.timezone) if schema.timezone else None
        # by column; readers at other rates count in it too
        self._ambiguous: Counter[str] = Counter()
        self._tell_twice = self.count_twice
        self._token = tokenizer(key)
        self._names, self._personal, quantities = (
            tuple(name for name, scale in scales.items() if scale in wanted)
            for wanted in (("nominal", "key"), ("personal",), ("amount", "numeric"))
        )
        open_scales = ("id", "nominal", "key", "currency")
        self._guarded = frozenset(name for name in judged if scales[name] in open_scales)
        self._nulls = frozenset(schema.nulls)
        self._null_numbers = frozenset(null_numbers(schema.nulls))
        self._gapped = quantities if self._null_numbers else ()
        self._odd = self._nulls | FLAG_TEXTS.keys()
        self._fixed = money.EXPONENT[schema.default_currency]
        self._only = currency if schema.rates is None else None
        self._exponents = {
            code: money.EXPONENT[code] for code in money.NUMERIC if self._only in (None, code)
        }

    @property
    def twice(self) -> int:
        """Times of an hour that comes twice, read as the earlier."""
        return self._ambiguous.total()

    def read(self, body: bytes, *, arrived: int) -> Payment:
        """One payment from its JSON text; `arrived` is in microseconds since 1970.

        Raises:
            BadPayment: not JSON, an unknown or missing field, a value of the wrong type, an unknown
                currency, or one without an exchange rate.
        """
        payment = self.parse(body, arrived=arrived)
        self.complete(payment)
        return payment

    def parse(self, body: bytes, *, arrived: int) -> Payment:
        """`read` without `complete`: the payment as it was sent, its amount in its own currency."""
        try:
            given = self._fields_of(self._decode(body))
        except UNREADABLE:
            given = self._decode_again(body)
        # each key has a colon, and the time has some: where there are others, a key may have come
        # twice
        odd = (
            body.count(b":") != len(given) + str(given[self.schema.time]).count(":")
            or _BACKSLASH in body
        )
        if odd:
            self._require_keys_once(body, given)
        guard = odd or not body.isascii() or may_hold_card_number(body)
        for name in self._ignored:
            given.pop(name, None)
        values = self._absent | given
        # most texts are the one text of what they say: only the others cost a call
        for name in self._names:
            value = values[name]
            if value.__class__ is int and not guard and (digits := str(value)) not in self._nulls:
                values[name] = digits
            elif (
                value.__class__ is not str
                or (value < AFTER_DIGITS and not value.isdigit())
                or value in self._odd
                or (guard and len(value) > _MAX_SHORT_CHARACTERS)
            ):
                values[name] = self._text(name, value, guard=guard)
        # a shorter body has no text that is too long
        if len(body) > LONGEST_NAME:
            self._require_short(values)
        for name in self._gapped:
            if values[name] in self._null_numbers:
                self._allow_none(name)
                values[name] = None
        for name in self._personal:
            text = self._text(name, values[name])
            values[name] = None if text is None else self._token(text)
        return self._payment(values, arrived, guard=guard)

    def _require_short(self, values: Mapping[str, Value]) -> None:
        for name in self._names:
            value = values[name]
            if isinstance(value, str) and len(value) > LONGEST_NAME:
                raise self._bad(name, expected(self.schema.scales[name], zoned=True), value)

    def _decode_again(self, body: bytes) -> dict[str, Value]:
        """A payment behind a byte order mark or with large numbers, or what is wrong."""
        require_few_values(body)
        try:
            given = self._fields_of(lenient(self._decode_any, body))
        except UNREADABLE as error:
            raise BadPayment(explain(error, body, self.schema, self.fields)) from None
        for name in self._numeric:
            number = given.get(name)
            if isinstance(number, float) and is_card_number(number):
                raise card_number(name)
        return given

    def _require_keys_once(self, body: bytes, given: Mapping[str, Value]) -> None:
        """Raise `BadPayment` if a key came twice; colons in texts are counted before."""
        colons = sum(
            [value.count(":") for value in given.values() if isinstance(value, str)]
        )  # faster than one by one
        if body.count(b":") != len(given) + colons or _ESCAPED_COLON in body:
            require_keys_once(body)

    def token(self, text: str) -> str:
        """The token that a personal column holds instead of a text."""
        return self._token(text_of(text) or text)

    def name(self, text: str, *, field: str) -> str:
        """The canonical text of a single name, such as a payment's id or its result.

        Raises:
            BadPayment: it is no value.
        """
        found = text_of(text)
        if found is None or found in self._nulls:
            raise BadPayment(f"Expected {VALUE}, got none - at `$.{field}`")
        if holds_card_number(found):
            raise card_number(field)
        require_readable_field(found, field)
        return found

    def _payment(self, values: dict[str, Value], arrived: int, *, guard: bool) -> Payment:
        schema = self.schema
        identifier, time = (
            self._identifier(values.pop(schema.id), guard=guard),
            self._moment(values[schema.time]),
        )
        exponent = (
            self._fixed if schema.currency is None else self._exponent(schema.currency, values)
        )
        minor = self._minor(values[schema.amount], exponent)
        values[schema.time] = time
        values[schema.amount] = minor / 10**exponent
        return Payment(
            id=identifier,
            time=time,
            arrived=arrived,
            minor=minor,
            units=minor * 10 ** (4 - exponent),
            values=values,
        )

    def _text(self, name: str, value: Value, *, guard: bool = False) -> str | None:
        """The one text of a value; `guard`: it may hold a card number."""
        text: str | None
        if (
            value.__class__ is str
            and (value >= AFTER_DIGITS or value.isdigit())
            and value not in self._odd
        ):
            text = value
        else:
            text = None if value is None else text_of(value)
            if text is None or text in self._nulls:
                self._allow_none(name)
                return None
        # a longer text is refused for its length
        judged = guard and name in self._guarded and len(text) <= LONGEST_NAME
        if judged and holds_card_number(text):
            raise card_number(name)
        return text

    def _allow_none(self, name: str) -> None:
        if name in self._required:
            raise self._bad(name, VALUE, None)

    def _identifier(self, value: Value, *, guard: bool) -> str:
        text = str(self._text(self.schema.id, value, guard=guard))
        if len(text) > LONGEST_ID:
            raise self._bad(self.schema.id, expected("id", zoned=True), value)
        # what is printable has no control characters: asking is cheaper than searching
        if not (text.isascii() and text.isprintable()):
            self._require_readable(text)
        return text

    def _require_readable(self, identifier: str) -> None:
        if found := unseen(identifier):
            raise BadPayment(
                f"Expected {expected('id', zoned=True)}, got {found} - at `$.{self.schema.id}`"
            )

    def _moment(self, value: Value) -> int:
        if isinstance(value, str):
            try:
                return parse_time(value, self._zone, twice=self._tell_twice)
            except ValueError:
                pass
        return self._counted(value)

    def _counted(self, value: Value) -> int:
        """A time that is not ISO 8601: a number since 1970, if the schema says so."""
        name, epoch = self.schema.time, self.schema.epoch
        if epoch is not None and value is not None:
            with suppress(ValueError):
                return parse_epoch(value, epoch)
        if str(value).strip(BLANK) in self._nulls or value in self._null_numbers:
            self._allow_none(name)
        wanted, kind = (
            expected("time", zoned=self._zone is not None),
            kind_of_time(value, self._zone, epoch),
        )
        raise BadPayment(f"Expected {wanted}, got {kind} - at `$.{name}`")

    def count_twice(self) -> None:
        """Count a time of a repeated hour; the first is logged."""
        if not self._ambiguous:
            _log.warning(
                "`%s`: a time of the hour that comes twice in %s is read as the earlier; send "
                "times with their offset.",
                self.schema.time,
                self.schema.timezone,
            )
        self._ambiguous[self.schema.time] += 1

    def _exponent(self, name: str, values: dict[str, Value]) -> int:
        code = values[name]
        if code not in self._exponents:
            text = self._text(name, code.strip(BLANK) if isinstance(code, str) else code)
            code = None if text is None else money.alphabetic(text)
            if code is None:
                raise self._bad(name, expected("currency", zoned=True), values[name])
            if code not in self._exponents:
                raise BadPayment(
                    f"Expected a payment in {self._only}, the one currency that the model was "
                    f"trained on without exchange rates, got one in another - at `$.{name}`"
                )
            values[name] = code
        return self._exponents[code]

    def _minor(self, value: Value, exponent: int) -> int:
        amount: float = value  # type: ignore[assignment]  # the wire type says so
        if not 0.0 <= amount <= LARGEST_AMOUNT:
            raise self._bad(self.schema.amount, expected("amount", zoned=True), value)
        minor = money.minor_units(amount, exponent)
        if minor is None:
            raise BadPayment(f"Expected {FINE}, got another number - at `$.{self.schema.amount}`")
        return minor

    def _bad(self, name: str, wanted: str, value: Value) -> BadPayment:
        return BadPayment(
            f"Expected {wanted}, got {kind_of(value, self.schema.scales[name])} - at `$.{name}`"
        )
