"""The entries that wait for the writer, each with its callback."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from threading import Condition

import msgspec

from shroff.errors import LedgerUnavailable
from shroff.ledger.durable import OnDurable, Outcome
from shroff.ledger.record import Entry

_Calls = list[tuple[OnDurable[None], Outcome]]


class Queued(msgspec.Struct, frozen=True, gc=False):
    """An entry and its callback, called in an event loop or else in the writer's thread."""

    entry: Entry
    on_durable: OnDurable[None]
    loop: asyncio.AbstractEventLoop | None = None


class Queue:
    """A bounded FIFO queue; closed before the first `open` and after `close`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: deque[Queued] = deque()
        self._changed = Condition()
        self._open = False
        # how many parties are still undoing a failed commit
        self._undoing = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def full(self) -> bool:
        """Whether there is no room."""
        return len(self._entries) >= self._limit

    def open(self) -> None:
        """Accept entries."""
        with self._changed:
            self._open = True

    @property
    def ended(self) -> bool:
        """Whether it is closed and drained."""
        return not (self._open or self._entries)

    def put(self, entries: Sequence[Queued], *, notify: bool = True) -> None:
        """Add all entries at the end, or none; never waits.

        Args:
            notify: wake who waits for entries; without it, the caller sees to it that they are
                taken.

        Raises:
            LedgerUnavailable: the queue is full or closed, or callers are undoing a failed commit.
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
            if notify:
                self._changed.notify()

    def notify(self) -> None:
        """Wake who waits for entries."""
        with self._changed:
            self._changed.notify()

    def wait(self, patience: float) -> bool:
        """Wait until there are entries or it has ended; False if neither within so many seconds."""
        with self._changed:
            if not self._entries and self._open:
                self._changed.wait(patience)
            return bool(self._entries) or not self._open

    def take(self, most: int) -> list[Queued]:
        """At most `most` entries, oldest first; never waits."""
        with self._changed:
            return [self._entries.popleft() for _ in range(min(most, len(self._entries)))]

    def put_back(self, group: Sequence[Queued]) -> None:
        """Put a group that was taken last before all that waits, even into a closed queue."""
        with self._changed:
            self._entries.extendleft(reversed(group))

    def close(self) -> None:
        """Accept no more entries; those that wait can still be taken."""
        with self._changed:
            self._open = False
            self._changed.notify()

    def fail(self, group: list[Queued], sentence: str) -> None:
        """Refuse a group and all entries after it, and accept none until every callback has run.

        Callers have computed with what earlier failed entries left in memory. So the queue reopens
        only once every callback has returned and every waiting coroutine has run to its next
        `await`: later entries were computed after the undoing.
        """
        with self._changed:
            refused = group + list(self._entries)
            self._entries.clear()
            self._undoing += 1
        resolve([(queued, LedgerUnavailable(sentence)) for queued in refused], self)
        self.resume()

    def hold(self) -> None:
        """Refuse entries for one more party that undoes a failed commit."""
        with self._changed:
            self._undoing += 1

    def resume(self) -> None:
        """Accept entries again once every such party has finished."""
        with self._changed:
            self._undoing -= 1


def resolve(outcomes: Iterable[tuple[Queued, Outcome]], failed: Queue | None = None) -> None:
    """Call all callbacks with their outcomes, in order, with one wake-up per event loop.

    Args:
        failed: a queue that accepts nothing until all these callbacks have run.
    """
    direct: _Calls = []
    calls, last = direct, None
    loops: dict[asyncio.AbstractEventLoop, _Calls] = {}
    for queued, outcome in outcomes:
        if queued.loop is not last:
            last = queued.loop
            calls = direct if last is None else loops.setdefault(last, [])
        calls.append((queued.on_durable, outcome))
    for loop, calls in loops.items():
        if failed is not None:
            failed.hold()
        try:
            loop.call_soon_threadsafe(_call, loop, calls, failed)
        except RuntimeError:
            # the loop is closed: nobody waits there any more
            if failed is not None:
                failed.resume()
    # last: a callback that raises must not withhold outcomes from the loops
    for on_durable, outcome in direct:
        on_durable(outcome)


def _call(loop: asyncio.AbstractEventLoop, calls: _Calls, failed: Queue | None) -> None:
    try:
        for on_durable, outcome in calls:
            on_durable(outcome)
    finally:
        if failed is not None:
            # after the coroutines that have just been woken
            loop.call_soon(failed.resume)
