"""The vocabulary of durability: the outcome of an entry, its callback, and the waiters.

The ledger calls back once an entry is durable; the scorer passes the outcome on to all waiters of
that payment or event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")
Outcome = Exception | None
"""What becomes of an entry: None once it is durable, else the error.

The error is `PaymentConflict` or `LedgerUnavailable`.
"""
OnDurable = Callable[[T | Exception], None]
"""Called once, with what is durable or with the error; must be quick and must not raise."""


def resolving(future: asyncio.Future[T]) -> OnDurable[T]:
    """The callback for a coroutine that awaits a future, and may be cancelled meanwhile."""

    def on_durable(outcome: T | Exception) -> None:
        if future.done():
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    return on_durable


class Waiters(msgspec.Struct, Generic[T], eq=False):
    """All waiters for one outcome; each can give up without affecting the others."""

    callbacks: list[OnDurable[T]] = []

    def add(self, on_durable: OnDurable[T]) -> None:
        """Add a callback."""
        self.callbacks.append(on_durable)

    def join(self) -> asyncio.Future[T]:
        """Add a future to await."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.add(resolving(future))
        return future

    def resolve(self, outcome: T | Exception) -> None:
        """Give all waiters the outcome, in the order in which they joined."""
        for on_durable in self.callbacks:
            on_durable(outcome)
