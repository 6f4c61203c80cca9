"""The words for "durable or not": what becomes of an entry or a payment, the callback that gets it,
those who wait.

The ledger calls back when an entry is durable; the scorer passes the outcome on to everybody who
waits for that payment or event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
Outcome = Exception | None
"""What becomes of an entry of the ledger: None once it is durable, else `PaymentConflict` or
`LedgerUnavailable`.
"""
OnDurable = Callable[[T | Exception], None]
"""A callback that is called once: with what is durable, or with the error; it must be quick and
must not raise.
"""


def resolving(future: asyncio.Future[T]) -> OnDurable[T]:
    """The callback for a coroutine that awaits a future; the coroutine may be cancelled
    meanwhile.
    """

    def on_durable(outcome: T | Exception) -> None:
        if future.done():
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    return on_durable


class Waiters(Generic[T]):
    """Everybody who waits for one outcome; each can give up without the others noticing."""

    __slots__ = ("_callbacks",)

    def __init__(self) -> None:
        self._callbacks: list[OnDurable[T]] = []

    def add(self, on_durable: OnDurable[T]) -> None:
        """Add a callback."""
        self._callbacks.append(on_durable)

    def join(self) -> asyncio.Future[T]:
        """Add a future, to be awaited."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.add(resolving(future))
        return future

    def resolve(self, outcome: T | Exception) -> None:
        """Give everybody the outcome, in the order in which they came."""
        for on_durable in self._callbacks:
            on_durable(outcome)
