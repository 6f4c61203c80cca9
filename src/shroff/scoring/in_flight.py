"""Payments and events in flight to the ledger, each with its waiters."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from shroff.collect import Payment
from shroff.features.streams import Later
from shroff.ledger.answer import LaterRecord
from shroff.ledger.durable import Waiters
from shroff.telemetry.meter import Journey


class PendingPayment(msgspec.Struct, eq=False):
    """A payment between its arrival and its durable decision.

    `encoded` is its canonical JSON and `digest` the SHA-256 of that, before its amount was
    converted; `journey` holds its times.
    """

    payment: Payment
    encoded: bytes
    digest: bytes
    journey: Journey = msgspec.field(default_factory=Journey)
    answer: bytes = b""
    refused: bool = False
    waiters: Waiters[bytes] = msgspec.field(default_factory=Waiters)


@dataclass(slots=True, eq=False)
class PendingEvent:
    """A result or a label between its arrival and the ledger.

    `arrived` is set once its place in the order is known; `stands` is the payment's label then;
    `seal` is that of the payment's record.
    """

    kind: Later
    payment_id: str
    record: LaterRecord
    digest: bytes
    seal: bytes = b""
    arrived: int = 0
    stands: bool = False
    refused: bool = False
    waiters: Waiters[None] = field(default_factory=Waiters)
