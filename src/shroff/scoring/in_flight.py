"""Payments and events in flight: on their way to the ledger, with the callers that wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from shroff.collect import Payment
from shroff.features.plan import Later
from shroff.ledger.answer import LaterRecord
from shroff.telemetry.meter import Journey

T = TypeVar("T")
Told = Callable[[T | Exception], None]
"""Is told an outcome once, or why there is none; in the event loop, and without raising."""


def telling(future: asyncio.Future[T]) -> Told[T]:
    """Who waits in a coroutine; it can give up meanwhile."""

    def told(outcome: T | Exception) -> None:
        if future.done():
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    return told


class Callers(Generic[T]):
    """Those who wait for one outcome; each can give up without the others noticing."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[Told[T]] = []

    def add(self, told: Told[T]) -> None:
        """One more who is told."""
        self._waiting.append(told)

    def join(self) -> asyncio.Future[T]:
        """One more who waits."""
        caller: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.add(telling(caller))
        return caller

    def tell(self, outcome: T | Exception) -> None:
        """It is done, or came to nothing."""
        for told in self._waiting:
            told(outcome)


@dataclass(slots=True, eq=False)
class PendingPayment:
    """A payment between its arrival and its durable decision.

    `encoded` is its canonical JSON and `digest` the SHA-256 of that, before its amount was converted; `journey` is
    measured.
    """

    payment: Payment
    encoded: bytes
    digest: bytes
    journey: Journey = field(default_factory=Journey)
    answer: bytes = b""
    refused: bool = False
    callers: Callers[bytes] = field(default_factory=Callers)


@dataclass(slots=True, eq=False)
class PendingEvent:
    """A result or a label between its arrival and the ledger.

    `arrived` is set when it has its place in the order of things; `stands` says whether the payment is fraud by then.
    """

    kind: Later
    payment_id: str
    record: LaterRecord
    digest: bytes
    arrived: int = 0
    stands: bool = False
    refused: bool = False
    callers: Callers[None] = field(default_factory=Callers)
