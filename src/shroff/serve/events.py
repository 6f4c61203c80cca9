"""Results and labels: the first of each kind counts for a payment, and the same one again is ignored."""

from __future__ import annotations

import asyncio

from shroff.errors import LedgerUnavailable, PaymentConflict
from shroff.serve.ledger import Kind, Ledger
from shroff.serve.pending import PendingEvent
from shroff.serve.sequencer import Sequencer


class Events:
    """Records results and labels, each once: in this process, and in all that share the ledger."""

    def __init__(self, sequencer: Sequencer, ledger: Ledger) -> None:
        self._submit_later = sequencer.record
        self._find = ledger.find
        self._on_their_way: dict[tuple[Kind, str], PendingEvent] = {}

    async def record(self, event: PendingEvent) -> None:
        """Make an event durable and let features see it; nothing happens when it is there already.

        Raises:
            PaymentConflict: the payment has another result or label.
            LedgerUnavailable: it cannot be made durable.
        """
        pending = self._on_their_way.get((event.kind, event.payment_id))
        if pending is not None:
            _require_same(event, pending.digest)
        elif self._recorded(event):
            return
        else:
            pending = self._submit(event)
        try:
            await pending.callers.join()
        except PaymentConflict:
            # another process was faster
            if not self._recorded(event):
                raise LedgerUnavailable(
                    f"the ledger refused a {event.kind} that it does not have: send it again."
                ) from None

    def _recorded(self, event: PendingEvent) -> bool:
        """Whether the ledger has this event; raises `PaymentConflict` when it has another one."""
        stored = self._find(event.payment_id, event.kind, presume_new=True)
        if stored is not None:
            _require_same(event, stored.digest)
        return stored is not None

    def _submit(self, event: PendingEvent) -> PendingEvent:
        key = (event.kind, event.payment_id)

        def settled(outcome: asyncio.Future[None]) -> None:
            del self._on_their_way[key]
            outcome.exception()  # looked at: others are told too

        self._on_their_way[key] = event
        # a caller of its own: the one who sent the event may give up
        event.callers.join().add_done_callback(settled)
        self._submit_later(event)
        return event


def _require_same(event: PendingEvent, digest: bytes) -> None:
    if event.digest != digest:
        raise PaymentConflict(f"this payment has another {event.kind} already, and the first one counts.")
