"""The intake reads, checks and looks up payments, results and labels before they are queued.

It answers known payments from the ledger at once and hands new ones to the sequencer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Literal

from msgspec.structs import replace

from shroff.canonical import canonical
from shroff.clock import MAX_AHEAD_US, Clock
from shroff.collect import Payment
from shroff.collect.cards import holds_card_number
from shroff.collect.fields import card_number, require_readable_field
from shroff.control.rate_limit import Bucket
from shroff.errors import LedgerUnavailable, NotFound, OutOfBounds
from shroff.features.window import micros
from shroff.ledger import Ledger, StoredEntry
from shroff.ledger.answer import (
    LaterRecord,
    encode,
    fingerprint,
    forgotten_on,
    require_same,
    stored_answer,
)
from shroff.ledger.durable import OnDurable, Waiters, resolving
from shroff.ledger.labels import UNKEYED, with_labels
from shroff.ledger.record import check_id
from shroff.scoring.active import Active
from shroff.scoring.events import Events
from shroff.scoring.in_flight import PendingPayment
from shroff.scoring.sequencer import Sequencer
from shroff.telemetry.meter import Journey, Meter
from shroff.telemetry.tracing import CURRENT

_REFUSALS_AT_ONCE: Final = 100
"""Payments a second that are refused at once while the intake is closed."""
_HELD_SECONDS: Final = 1.0
"""Seconds after which others are refused: what `Retry-After` asks for."""


class Intake:
    """The requests to a scorer, on one event loop.

    Args:
        lateness: how much older than the newest payment one may be when it arrives.
        clock: microseconds since the epoch.
        closed_because: why it refuses payments until it is opened.

    Raises:
        ConfigurationError: `lateness` is no duration.
    """

    def __init__(
        self,
        sequencer: Sequencer,
        ledger: Ledger,
        *,
        meter: Meter,
        lateness: str,
        clock: Clock,
        closed_because: str,
    ) -> None:
        self._sequencer = sequencer
        self._events = Events(sequencer, ledger)
        self.ledger = ledger
        """Where decisions are kept."""
        self.meter = meter
        self._oldest = micros(lateness)
        self._clock = clock
        self._closed_because: str | None = closed_because
        self._at_once = Bucket(_REFUSALS_AT_ONCE, clock())
        # those that the ledger's server is asked about next
        self._asked: list[PendingPayment] = []

    @property
    def active(self) -> Active:
        """What decides the next payment."""
        return self._sequencer.active

    @property
    def deciding(self) -> bool:
        """Whether payments are taken."""
        return self._closed_because is None

    def _open_intake(self) -> None:
        self._closed_because = None

    def _close_intake(self, reason: str) -> None:
        self._closed_because = reason

    async def decide(self, body: bytes) -> bytes:
        """The answer to one payment, both JSON; durable when it is returned.

        Raises:
            BadPayment: it is no payment of this schema.
            OutOfBounds: its time is out of bounds, or its currency has no rate.
            PaymentConflict: its id came before with another payload.
            LedgerUnavailable: the decision cannot be made durable: send it again later.
        """
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._take(body, resolving(answer))
        return await answer

    def accept(self, body: bytes, on_durable: OnDurable[bytes]) -> None:
        """`decide` without a coroutine: `on_durable` may be called before this returns."""
        try:
            self._take(body, on_durable)
        except Exception as error:  # noqa: BLE001  # an error is an outcome too
            if self._closed_because is None or self._at_once.take(self._clock()):
                on_durable(error)
            else:
                # who does not wait before asking again would take the processor from the start
                loop = asyncio.get_running_loop()
                loop.call_later(_HELD_SECONDS, on_durable, error)

    async def judge(self, payment: Payment) -> bytes:
        """`decide` for a parsed payment, which stays unchanged, so that it can be tried again."""
        self._require_ready()
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        # deciding writes the arrival and what the schema adds into a payment
        mine = replace(payment, values=dict(payment.values))
        self._submit(mine, resolving(answer), Journey(CURRENT.get()))
        return await answer

    def _take(self, body: bytes, on_durable: OnDurable[bytes]) -> None:
        journey = Journey(CURRENT.get())
        if self._closed_because is not None:
            self._require_ready()
        self._submit(self._sequencer.active.reader.parse(body, arrived=0), on_durable, journey)

    def _submit(self, payment: Payment, on_durable: OnDurable[bytes], journey: Journey) -> None:
        encoded = encode(payment)
        digest = fingerprint(encoded)
        pending = self._sequencer.in_flight.get(payment.id)
        if pending is not None:
            if pending.digest != digest:
                # another process may have decided this payment first: the ledger says which
                # decision counts
                pending.waiters.add(lambda _: self._submit_behind(payment, on_durable, journey))
                return
            self.meter.repeated += 1
            pending.waiters.add(on_durable)
            return
        pending = PendingPayment(payment, encoded, digest, journey, waiters=Waiters([on_durable]))
        if self.ledger.known is not None:
            self._go_on(pending, self.ledger.find(payment.id, presume_new=True))
            return
        check_id(payment.id)
        # those that come while it waits find it here
        self._sequencer.in_flight[payment.id] = pending
        self._asked.append(pending)
        if len(self._asked) == 1:
            asyncio.get_running_loop().call_soon(self._ask)

    def _ask(self) -> None:
        """Look up all payments of a turn of the event loop: a round trip for each would take as
        long as deciding it.
        """
        asked, self._asked = self._asked, []
        found: Sequence[StoredEntry | Exception | None]
        try:
            found = self.ledger.find_all([pending.payment.id for pending in asked])
        except Exception as error:  # noqa: BLE001  # whatever it is, no caller may wait for ever
            found = [error] * len(asked)
        for pending, stored in zip(asked, found, strict=True):
            del self._sequencer.in_flight[pending.payment.id]
            try:
                if isinstance(stored, Exception):
                    raise stored
                self._go_on(pending, stored)
            except Exception as error:  # noqa: BLE001  # an error is an outcome too
                pending.waiters.resolve(error)

    def _go_on(self, pending: PendingPayment, stored: StoredEntry | None) -> None:
        """Answer a payment that the ledger has, or submit it."""
        if stored is not None:
            require_same(stored, pending.digest)
            self.meter.repeated += 1
            pending.waiters.resolve(stored_answer(stored))
            return
        payment = pending.payment
        self._check_time(payment.time)
        reader = self._sequencer.active.reader
        if reader.completes:
            # after the look-up: rates and tables change, so a repetition is recognised by its
            # payload as sent
            reader.complete(payment)
            pending.encoded = encode(payment)
        self.meter.parsed(pending.journey)
        self._sequencer.submit(pending)

    def _submit_behind(
        self, payment: Payment, on_durable: OnDurable[bytes], journey: Journey
    ) -> None:
        """Submit a payment once the one in flight with its id and another payload is settled."""
        try:
            self._submit(payment, on_durable, journey)
        except Exception as error:  # noqa: BLE001  # an error is an outcome too
            on_durable(error)

    async def decision(self, payment_id: str) -> bytes:
        """The stored answer to a payment, with the labels it has by now.

        Raises:
            NotFound: there is none, or it was forgotten.
        """
        payment_id = canonical(payment_id)
        answer = stored_answer(await self._stored(payment_id))
        return with_labels(answer, self._events.labels(payment_id), self._events.rank)

    async def learn(
        self,
        kind: Literal["result", "label"],
        payment_id: str,
        value: str | bool,
        *,
        at: int | None = None,
        source: str = UNKEYED,
        note: str | None = None,
        event: str | None = None,
    ) -> None:
        """Record a payment's result (its name) or label (whether it was fraud); ignore repetitions.

        The first result counts. A label that differs from its source's last one is added to the
        history.

        Args:
            at: when it happened, microseconds since the epoch.
            source: who says whether it was fraud; `note` is what the client calls itself.
            event: the client's id of a label, under which it is recorded once, whatever came in
                between.

        Raises:
            NotFound: there is no such payment, or it was forgotten.
            PaymentConflict: the payment has a different result already, or the event was another
                label.
            OutOfBounds: `at` lies in the future.
            BadPayment: the source has sent its maximum of labels for the payment.
            LedgerUnavailable: it cannot be made durable: send it again later.
        """
        self._require_ready()
        if at is not None and at > self._clock() + MAX_AHEAD_US:
            raise OutOfBounds(
                "expected a time at most 5 minutes ahead of the service's clock - at `$.at`"
            )
        payment_id = canonical(payment_id)
        seal = (await self._stored(payment_id)).seal
        for field, text in (("source", note), ("event_id", event)):
            if text is None:
                continue
            if holds_card_number(text):
                raise card_number(field)
            require_readable_field(text, field)
        if isinstance(value, str):
            result = self._sequencer.active.reader.name(value, field="result")
            await self._events.result(payment_id, LaterRecord(result, at), seal=seal)
        else:
            await self._events.label(
                payment_id, value, source, at=at, note=note, event=event, seal=seal
            )

    async def _stored(self, payment_id: str) -> StoredEntry:
        self._require_ready()
        pending = self._sequencer.in_flight.get(payment_id)
        if pending is not None:
            await pending.waiters.join()
        stored = self.ledger.find(payment_id)
        if stored is None:
            raise NotFound("there is no payment with this id.")
        if stored.forgotten is not None:
            raise NotFound(forgotten_on(stored))
        return stored

    def _require_ready(self) -> None:
        """Raise `LedgerUnavailable` while the intake is closed."""
        if self._closed_because is not None:
            raise LedgerUnavailable(
                f"the service is not ready: {self._closed_because.rstrip('.')}. Send it again "
                "later."
            )

    def in_time(self, time: int) -> bool:
        """Whether a payment of that time would be accepted now."""
        try:
            self._check_time(time)
        except OutOfBounds:
            return False
        return True

    def _check_time(self, time: int) -> None:
        now, active = self._clock(), self._sequencer.active
        if time > now + MAX_AHEAD_US:
            column = active.reader.schema.time
            raise OutOfBounds(
                f"expected a time at most 5 minutes ahead of the service's clock - at `$.{column}`"
            )
        # lateness is measured from the newest payment, not from the clock, so that an old log can
        # be replayed; where no feature looks back, no payment is too late
        state = active.state
        engine = state.engine
        if engine.plan.streams and time < engine.newest - self._oldest and state.late(now):
            raise OutOfBounds(engine.too_late)
