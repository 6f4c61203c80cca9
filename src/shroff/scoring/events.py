"""Results and labels: the first result counts; labels are a history without repetitions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from shroff.errors import LedgerUnavailable, PaymentConflict, ShroffError
from shroff.ledger import Kind, Ledger
from shroff.ledger.answer import LaterRecord, encode, fingerprint
from shroff.ledger.labels import Labelled, Rank, history, next_label, standing
from shroff.scoring.in_flight import PendingEvent
from shroff.scoring.sequencer import Sequencer

_WAITS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
"""Seconds between looks for a result that another process records: a commit takes milliseconds,
and a client that is told to try again waits a second.
"""


@dataclass
class _Turn:
    """The lock on the labels of one payment, and how many hold it or wait for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Events:
    """Records results and labels, each once: in this process, and in all that share the ledger."""

    def __init__(self, sequencer: Sequencer, ledger: Ledger) -> None:
        self._sequencer = sequencer
        self._find = ledger.find
        self._labels = ledger.labels
        self._in_flight: dict[tuple[Kind, str], PendingEvent] = {}
        self._turns: dict[str, _Turn] = {}

    @property
    def rank(self) -> Rank:
        """How much a source of labels is trusted."""
        return self._sequencer.active.bundle.schema.label_rank

    async def result(self, payment_id: str, record: LaterRecord, *, seal: bytes) -> None:
        """Make a result durable and let features see it; ignore a repetition.

        Args:
            seal: that of the payment's record.

        Raises:
            PaymentConflict: the payment has another result.
            LedgerUnavailable: it cannot be made durable.
        """
        event = PendingEvent("result", payment_id, record, fingerprint(encode(record)), seal)
        while (
            pending := self._in_flight.get(("result", payment_id))
        ) is not None and pending.digest != event.digest:
            # another process may have recorded a result first: the ledger says which one counts
            with suppress(ShroffError):
                await pending.waiters.join()
        if pending is None:
            if self._recorded(event):
                return
            pending = self._submit(event)
        try:
            await pending.waiters.join()
        except PaymentConflict:
            # another process was faster
            if not await self._recorded_soon(event):
                raise LedgerUnavailable(
                    "another result of this payment is being recorded: send this one again."
                ) from None

    async def label(
        self,
        payment_id: str,
        fraud: bool,
        source: str,
        *,
        at: int | None,
        note: str | None,
        event: str | None,
        seal: bytes,
    ) -> None:
        """Make what a source says of a payment durable and let features see it; ignore a
        repetition.

        Args:
            seal: that of the payment's record.

        Raises:
            PaymentConflict: its `event` came before with another label.
            BadPayment: the source has sent its maximum of labels for the payment.
            LedgerUnavailable: it cannot be made durable.
        """
        # a label depends on those before it
        async with self._turn(payment_id):
            while (pending := self._in_flight.get(("label", payment_id))) is not None:
                # its client gave up meanwhile
                with suppress(ShroffError):
                    await pending.waiters.join()
            labels = self.labels(payment_id)
            record = next_label(labels, fraud, source, at=at, note=note, event=event)
            if record is None:
                return
            stands = standing([*labels, Labelled(record, 0)], self.rank)
            said = PendingEvent("label", payment_id, record, record.digest(), seal)
            said.stands = stands is not None and stands.record.value is True
            # a conflict means that another process recorded this very label first
            with suppress(PaymentConflict):
                await self._submit(said).waiters.join()

    @asynccontextmanager
    async def _turn(self, payment_id: str) -> AsyncIterator[None]:
        """Hold the lock on a payment's labels; waiters get it in order, each woken once."""
        turn = self._turns.setdefault(payment_id, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[payment_id]

    def labels(self, payment_id: str) -> list[Labelled]:
        """The labels of a payment, in order of arrival.

        Raises:
            LedgerUnavailable: the database does not answer.
        """
        return history(self._labels(payment_id))

    def _recorded(self, event: PendingEvent) -> bool:
        """Whether the ledger has this result; raises `PaymentConflict` when it has another one."""
        stored = self._find(event.payment_id, event.kind, presume_new=True)
        if stored is not None:
            _require_same(event, stored.digest)
        return stored is not None

    async def _recorded_soon(self, event: PendingEvent) -> bool:
        """`_recorded`, asked again while the result of another process is on its way."""
        for wait in _WAITS:
            if self._recorded(event):
                return True
            await asyncio.sleep(wait)
        return self._recorded(event)

    def _submit(self, event: PendingEvent) -> PendingEvent:
        key = (event.kind, event.payment_id)

        def settled(_: object) -> None:
            del self._in_flight[key]

        self._in_flight[key] = event
        # at once, not in the next turn of the loop: who joined meanwhile would wait for ever
        event.waiters.add(settled)
        self._sequencer.record(event)
        return event


def _require_same(event: PendingEvent, digest: bytes) -> None:
    if event.digest != digest:
        raise PaymentConflict("this payment has another result already, and the first one counts.")
