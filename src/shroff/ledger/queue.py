"""The entries that wait for the writer, and the callers that wait for their answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from threading import Condition
from typing import NamedTuple

from shroff.errors import LedgerUnavailable, PaymentConflict
from shroff.ledger.record import Entry

Outcome = LedgerUnavailable | PaymentConflict | None
Done = Callable[[Outcome], None]
_Told = list[tuple[Done, Outcome]]


class Waiting(NamedTuple):
    """An entry and whom to tell what became of it: in an event loop, or else in the writer's thread."""

    entry: Entry
    done: Done
    loop: asyncio.AbstractEventLoop | None = None


class Queue:
    """First in, first out, bounded; closed at the start and at the end."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: deque[Waiting] = deque()
        self._changed = Condition()
        self._open = False
        # how many parties have yet to undo what a failed commit left behind
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

    def put(self, waiting: Sequence[Waiting]) -> None:
        """Add all of them at the end, or none; without waiting.

        Raises:
            LedgerUnavailable: the queue is full, closed, or callers are still undoing a failed commit.
        """
        with self._changed:
            if not self._open:
                raise LedgerUnavailable("the ledger is not open for writing: call `open()` first.")
            if self._undoing:
                raise LedgerUnavailable("the last commit failed and is being undone: send the payment again.")
            if len(self._entries) + len(waiting) > self._limit:
                raise LedgerUnavailable(f"{len(self._entries):,} entries already wait for the disk: send again later.")
            self._entries.extend(waiting)
            self._changed.notify()

    def take(self, most: int, *, patience: float | None = None) -> list[Waiting] | None:
        """Whatever waits, oldest first, at most `most`; empty only when closed and drained.

        None where nothing has come for `patience` seconds.
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

    def fail(self, group: list[Waiting], sentence: str) -> None:
        """Refuse a group and all that waits behind it, and let nothing in until all were told.

        A caller has computed with what the failed entries before it left in memory. So the queue opens
        again only when every callback has returned and every waiting coroutine has run to its next
        `await`: what comes then was computed after the undoing.
        """
        with self._changed:
            refused = group + list(self._entries)
            self._entries.clear()
            self._undoing += 1
        tell([(waiting, LedgerUnavailable(sentence)) for waiting in refused], self)
        self.resume()

    def hold(self) -> None:
        """One more party has something to undo."""
        with self._changed:
            self._undoing += 1

    def resume(self) -> None:
        """One party has undone."""
        with self._changed:
            self._undoing -= 1


def tell(told: Iterable[tuple[Waiting, Outcome]], failed: Queue | None = None) -> None:
    """Tell every caller its outcome, in order, with one wake-up per event loop."""
    callbacks: _Told = []
    loops: dict[asyncio.AbstractEventLoop, _Told] = {}
    for (_, done, loop), outcome in told:
        group = callbacks if loop is None else loops.setdefault(loop, [])
        group.append((done, outcome))
    for loop, group in loops.items():
        if failed is not None:
            failed.hold()
        try:
            loop.call_soon_threadsafe(_deliver, loop, group, failed)
        except RuntimeError:
            # the loop is closed, nobody waits there any more
            if failed is not None:
                failed.resume()
    # last: a callback that raises must not keep the news from the loops
    for done, outcome in callbacks:
        done(outcome)


def _deliver(loop: asyncio.AbstractEventLoop, group: _Told, failed: Queue | None) -> None:
    try:
        for done, outcome in group:
            done(outcome)
    finally:
        if failed is not None:
            # behind the coroutines that have just been woken
            loop.call_soon(failed.resume)
