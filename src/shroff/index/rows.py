"""What an index keeps of a payment, read from the ledger's records."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from shroff.collect import Payment, Schema
from shroff.collect.payment import counted_in
from shroff.collect.times import MINUTE_US
from shroff.evaluate.cost import ACTIONS, Action
from shroff.ledger import StoredEntry, unreadable
from shroff.ledger.keyring import parts_of
from shroff.package import Bundle

DAY_MINUTES: Final = 1_440
UNITS: Final = 10_000
"""Units of a major unit of money, as in `Payment.units`."""
COLUMNS: Final = (
    "seq, id, time, arrived, units, currency, action, probability, rules, keys, result, fraud"
)
"""The columns of the table `payment` that `indexed` reads."""
_LEAST: Final = -(2**63)
_FORMAT: Final = 1

Row = Sequence[Any]


class IndexedPayment(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a recorded payment without its record.

    Attributes:
        seq: the number of its record.
        time, arrived: when it was paid, and when the system saw it.
        units: its amount; `currency` is the one it is counted in, empty where that is unknown.
        keys: the values that it is found by, tokens where they are personal.
        rules: of the policy, whose condition held.
        result: such as `failed`; None before it came.
        fraud: by the label that stands; None without one.
    """

    seq: int
    payment_id: str
    time: int
    arrived: int
    units: int
    currency: str
    action: Action
    probability: float | None
    rules: tuple[str, ...]
    keys: dict[str, str]
    result: str | None = None
    fraud: bool | None = None

    @property
    def amount(self) -> float:
        """In major units."""
        return self.units / UNITS


class _Answered(msgspec.Struct):
    rules: tuple[str, ...] = ()


class _Decided(msgspec.Struct):
    """What is read of a payment's record."""

    payment: Payment
    answer: _Answered
    probability: float | None
    action: Action


_decode: Final = msgspec.json.Decoder(_Decided).decode
_keys: Final = msgspec.json.Decoder(dict[str, str]).decode
_rules: Final = msgspec.json.Decoder(tuple[str, ...]).decode
_json: Final = msgspec.json.Encoder().encode


def keys_of(bundle: Bundle) -> tuple[str, ...]:
    """The columns that payments are shown with: the keys of the schema, and what else identifies
    somebody and is a key of an entity or compared, such as a host or an e-mail.
    """
    named = (name for group in bundle.groups for name in group.key_columns)
    identifying = bundle.schema.identifying
    known = (name for name in named if name in identifying)
    return tuple(dict.fromkeys((*bundle.schema.keys, *known)))


def found_by(bundle: Bundle) -> tuple[str, ...]:
    """The columns whose values payments are found by: the keys, and all personal columns."""
    return tuple(dict.fromkeys((*keys_of(bundle), *bundle.schema.personal)))


def shape_of(schema: Schema, keys: Sequence[str]) -> str:
    """A name for what rows depend on besides the ledger: another one needs another index."""
    read = (
        _FORMAT,
        list(keys),
        schema.currency,
        schema.default_currency,
        list(schema.label_sources),
    )
    return blake2b(_json(read), digest_size=12).hexdigest()


def payment_of(entry: StoredEntry, schema: Schema, keys: Sequence[str]) -> IndexedPayment:
    """What an index keeps of a recorded payment.

    Raises:
        UnreadableRecord: the record holds no decision.
    """
    try:
        record = _decode(entry.body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise unreadable(entry.seq, "holds no decision") from None
    values = record.payment.values
    return IndexedPayment(
        seq=entry.seq,
        payment_id=entry.payment_id,
        time=entry.time,
        arrived=entry.arrived,
        units=record.payment.units,
        currency=counted_in(record.payment, schema) or "",
        action=record.action,
        probability=record.probability,
        rules=record.answer.rules,
        keys={name: str(values[name]) for name in keys if values.get(name) is not None},
    )


def row_of(payment: IndexedPayment, seal: bytes) -> Row:
    """The row of a payment whose record has this seal, as `follow` puts it."""
    return (
        payment.seq,
        payment.payment_id,
        payment.time,
        payment.arrived,
        payment.units,
        payment.currency,
        ACTIONS.index(payment.action),
        payment.probability,
        _json(payment.rules).decode(),
        _json(payment.keys).decode(),
        *(parts_of(seal) if seal else (None, None)),
        payment.arrived // MINUTE_US,
    )


def link_rows(payment: IndexedPayment, names: Sequence[str]) -> list[Row]:
    """The rows of `link` of a payment: one for each of its keys."""
    action = ACTIONS.index(payment.action)
    return [
        (hash_of(value), payment.time, payment.seq, place, action, payment.units)
        for place, name in enumerate(names)
        if (value := payment.keys.get(name)) is not None
    ]


def hash_of(value: str) -> int:
    """64 bits of a value, as SQLite keeps a number."""
    return _LEAST + int.from_bytes(blake2b(value.encode(), digest_size=8).digest())


def indexed(row: Row) -> IndexedPayment:
    """The payment in a row of `COLUMNS`."""
    seq, name, time, arrived, units, currency, action, probability, *rest = row
    rules, keys, result, fraud, *_ = rest
    return IndexedPayment(
        seq=seq,
        payment_id=name,
        time=time,
        arrived=arrived,
        units=units,
        currency=currency,
        action=ACTIONS[action],
        probability=probability,
        rules=_rules(rules),
        keys=_keys(keys),
        result=result,
        fraud=None if fraud is None else bool(fraud),
    )
