"""A ledger with payments, results and labels, written as a service writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from hashlib import sha256
from itertools import count
from typing import Any, NamedTuple

import msgspec

from shroff import Schema
from shroff.ledger import Entry, Ledger

SCHEMA = Schema(
    id="id",
    time="at",
    amount="amount",
    currency="currency",
    label="is_fraud",
    result="result",
    keys=["card_id", "host_id"],
    subject="card_id",
    label_sources=["chargeback", "analyst"],
)
MINUTE = 60_000_000
_NUMBERS = count()
ACTIONS = ("approve", "challenge", "review", "decline")


class Paid(NamedTuple):
    """A payment as a test wants it; `minute` is when it arrived."""

    id: str
    minute: int = 0
    cents: int = 1_000
    card: str | None = "c1"
    host: str | None = "h1"
    action: str = "approve"
    probability: float | None = 0.1
    ahead: int = 0

    @property
    def arrived(self) -> int:
        return self.minute * MINUTE + 7

    @property
    def time(self) -> int:
        return self.arrived - self.ahead


class Said(NamedTuple):
    """A label of a payment."""

    id: str
    fraud: bool
    source: str = "analyst"
    minute: int = 0

    @property
    def arrived(self) -> int:
        return self.minute * MINUTE + 9


class Result(NamedTuple):
    """The result of a payment."""

    id: str
    value: str


def payment_entry(paid: Paid, *, sealed: bool) -> Entry:
    values = {"amount": paid.cents / 100, "currency": "EUR"}
    values |= {"card_id": paid.card} if paid.card is not None else {}
    values |= {"host_id": paid.host} if paid.host is not None else {}
    payment = {
        "id": paid.id,
        "time": paid.time,
        "arrived": 0,
        "minor": paid.cents,
        "units": paid.cents * 100,
        "values": values,
    }
    answer = {"payment_id": paid.id, "action": paid.action, "rules": ["known"], "reasons": []}
    body = {
        "payment": payment,
        "features": {},
        "probability": paid.probability,
        "action": paid.action,
        "model": "m1",
        "answer": answer,
    }
    subject = (paid.card or f"\0{paid.id}") if sealed else None
    return _entry("payment", paid.id, paid.arrived, paid.time, body, subject)


def _entry(
    kind: Any, name: str, arrived: int, time: int, body: object, subject: str | None = None
) -> Entry:
    content = msgspec.json.encode(body)
    return Entry(kind, name, arrived, time, sha256(content).digest(), content, subject=subject)


def write(ledger: Ledger, events: Iterable[Paid | Said | Result], *, sealed: bool = False) -> None:
    """Write events to an open ledger; those of a sealed payment are sealed as it is."""
    for event in events:
        if isinstance(event, Paid):
            entry = payment_entry(event, sealed=sealed)
        else:
            kind = "label" if isinstance(event, Said) else "result"
            arrived = event.arrived if isinstance(event, Said) else 1
            value = event.fraud if isinstance(event, Said) else event.value
            source = event.source if isinstance(event, Said) else None
            body = {"value": value, "source": source, "event": next(_NUMBERS), "at": None}
            entry = _entry(kind, event.id, arrived, arrived, body)
            found = ledger.find(event.id)
            assert found is not None
            entry = msgspec.structs.replace(entry, seal=found.seal)
        ledger.write_now(entry)


def write_many(ledger: Ledger, payments: Sequence[Paid]) -> None:
    """Write many payments, a commit for many together."""
    outcomes = [Future[Any]() for _ in payments]
    for paid, outcome in zip(payments, outcomes, strict=True):
        ledger.append(payment_entry(paid, sealed=False), outcome.set_result)
    assert [one.result() for one in outcomes] == [None] * len(payments)
