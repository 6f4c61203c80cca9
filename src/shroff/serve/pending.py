"""What is on its way to the ledger, and who waits for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from shroff.collect import Payment
from shroff.features.plan import Later
from shroff.serve.answer import LaterRecord

T = TypeVar("T")


class Callers(Generic[T]):
    """Those who wait for one outcome; each can give up without the others noticing."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[T]] = []

    def join(self) -> asyncio.Future[T]:
        """One more who waits."""
        caller: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(caller)
        return caller

    def tell(self, outcome: T) -> None:
        """It is done."""
        for caller in self._waiting:
            if not caller.done():
                caller.set_result(outcome)

    def fail(self, error: Exception) -> None:
        """It came to nothing."""
        for caller in self._waiting:
            if not caller.done():
                caller.set_exception(error)


@dataclass(slots=True, eq=False)
class PendingPayment:
    """A payment between its arrival and its durable decision.

    `encoded` is its canonical JSON and `digest` the SHA-256 of that.
    """

    payment: Payment
    encoded: bytes
    digest: bytes
    answer: bytes = b""
    callers: Callers[bytes] = field(default_factory=Callers)


@dataclass(slots=True, eq=False)
class PendingEvent:
    """A result or a label between its arrival and the ledger."""

    kind: Later
    payment_id: str
    record: LaterRecord
    digest: bytes
    callers: Callers[None] = field(default_factory=Callers)
