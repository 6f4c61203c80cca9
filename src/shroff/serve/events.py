"""Results and labels: the first of each kind counts for a payment, and the same one again is ignored."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from hashlib import sha256

from shroff.errors import PaymentConflict
from shroff.serve.ledger import Kind, StoredEntry
from shroff.serve.pending import PendingEvent
from shroff.serve.sequencer import Sequencer

_KEY = 12  # bytes of a hash: no two events share them by chance
_VALUE = 8


class Events:
    """Records results and labels, each once.

    The ledger looks up payments only, so a short hash of every other event is kept here, about 200 bytes each.
    """

    def __init__(self, sequencer: Sequencer) -> None:
        self._submit_later = sequencer.record
        self._known: dict[bytes, bytes] = {}
        self._on_their_way: dict[bytes, PendingEvent] = {}

    def reading(self, entries: Iterable[StoredEntry]) -> Iterator[StoredEntry]:
        """The entries of the ledger; those that are no payments are remembered as they pass."""
        for entry in entries:
            if entry.kind != "payment":
                self._known.setdefault(_key(entry.kind, entry.payment_id), entry.digest[:_VALUE])
            yield entry

    async def record(self, event: PendingEvent) -> None:
        """Make an event durable and let features see it; nothing happens when it is there already.

        Raises:
            PaymentConflict: the payment has another result or label.
            LedgerUnavailable: it cannot be made durable.
        """
        key = _key(event.kind, event.payment_id)
        pending = self._on_their_way.get(key)
        known = self._known.get(key) if pending is None else pending.digest[:_VALUE]
        if known is not None and known != event.digest[:_VALUE]:
            raise PaymentConflict(f"this payment has another {event.kind} already, and the first one counts.")
        if pending is None and known is not None:
            return
        if pending is None:
            pending = self._submit(key, event)
        await pending.callers.join()

    def _submit(self, key: bytes, event: PendingEvent) -> PendingEvent:
        def settled(outcome: asyncio.Future[None]) -> None:
            del self._on_their_way[key]
            if outcome.exception() is None:
                self._known[key] = event.digest[:_VALUE]

        self._on_their_way[key] = event
        # a caller of its own: the one who sent the event may give up
        event.callers.join().add_done_callback(settled)
        self._submit_later(event)
        return event


def _key(kind: Kind, payment_id: str) -> bytes:
    return sha256(f"{kind} {payment_id}".encode()).digest()[:_KEY]
