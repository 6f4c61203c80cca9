"""The entries that wait for the writer, each with the callback that gets its outcome."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from threading import Condition
from typing import NamedTuple

from shroff.errors import LedgerUnavailable
from shroff.ledger.durable import OnDurable, Outcome
from shroff.ledger.record import Entry

_Calls = list[tuple[OnDurable[None], Outcome]]


class Queued(NamedTuple):
    """An entry and the callback for its outcome, which is called in an event loop, or else in the
    writer's thread.
    """

    entry: Entry
    on_durable: OnDurable[None]
    loop: asyncio.AbstractEventLoop | None = None


class Queue:
    """First in, first out, bounded; closed at the start and at the end."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: deque[Queued] = deque()
        self._changed = Condition()
        self._open = False
        # parties that are still undoing a failed commit
        self._undoing = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def full(self) -> bool:
        """Whether nothing more can wait."""
        return len(self._entries) >= self._limit

    def open(self) -> None:
        """Let entries in."""
        with self._changed:
            self._open = True

    def put(self, entries: Sequence[Queued]) -> None:
        """Add all of them at the end, or none; without waiting.

        Raises:
            LedgerUnavailable: the queue is full, closed, or callers are still undoing a failed
                commit.
        """
        with self._changed:
            if not self._open:
                raise LedgerUnavailable("the ledger is not open for writing: call `open()` first.")
            if self._undoing:
                raise LedgerUnavailable(
                    "the last commit failed and is being undone: send the payment again."
                )
            if len(self._entries) + len(entries) > self._limit:
                raise LedgerUnavailable(
                    f"{len(self._entries):,} entries already wait for the disk: send again later."
                )
            self._entries.extend(entries)
            self._changed.notify()

    def take(self, most: int, *, patience: float | None = None) -> list[Queued] | None:
        """At most `most` waiting entries, oldest first; empty only when closed and drained.

        None when nothing has come for `patience` seconds.
        """
        with self._changed:
            while not self._entries and self._open:
                if not self._changed.wait(patience):
                    return None
            return [self._entries.popleft() for _ in range(min(most, len(self._entries)))]

    def close(self) -> None:
        """Let nothing more in; what waits can still be taken."""
        with self._changed:
            self._open = False
            self._changed.notify()

    def fail(self, group: list[Queued], sentence: str) -> None:
        """Refuse a group and all that waits behind it, and let nothing in until every callback has
        run.

        A caller has computed with what the failed entries before it left in memory. So the queue
        opens again only when every callback has returned and every waiting coroutine has run to its
        next `await`: what comes then was computed after the undoing.
        """
        with self._changed:
            refused = group + list(self._entries)
            self._entries.clear()
            self._undoing += 1
        resolve([(queued, LedgerUnavailable(sentence)) for queued in refused], self)
        self.resume()

    def hold(self) -> None:
        """Keep entries out for one more party that undoes a failed commit."""
        with self._changed:
            self._undoing += 1

    def resume(self) -> None:
        """Let entries in again once every such party has finished."""
        with self._changed:
            self._undoing -= 1


def resolve(outcomes: Iterable[tuple[Queued, Outcome]], failed: Queue | None = None) -> None:
    """Call every callback with its outcome, in order, with one wake-up per event loop.

    Args:
        failed: a queue that takes nothing until all these callbacks have run.
    """
    direct: _Calls = []
    loops: dict[asyncio.AbstractEventLoop, _Calls] = {}
    for (_, on_durable, loop), outcome in outcomes:
        calls = direct if loop is None else loops.setdefault(loop, [])
        calls.append((on_durable, outcome))
    for loop, calls in loops.items():
        if failed is not None:
            failed.hold()
        try:
            loop.call_soon_threadsafe(_call, loop, calls, failed)
        except RuntimeError:
            # the loop is closed, nobody waits there any more
            if failed is not None:
                failed.resume()
    # last: a callback that raises must not keep outcomes from the loops
    for on_durable, outcome in direct:
        on_durable(outcome)


def _call(loop: asyncio.AbstractEventLoop, calls: _Calls, failed: Queue | None) -> None:
    try:
        for on_durable, outcome in calls:
            on_durable(outcome)
    finally:
        if failed is not None:
            # behind the coroutines that have just been woken
            loop.call_soon(failed.resume)
