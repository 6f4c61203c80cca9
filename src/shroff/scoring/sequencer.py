"""The sequencer keeps one order: the engine observes payments in the order in which the ledger
records them.

The engine observes a batch of payments and queues its decisions for the ledger without yielding to
the event loop. If the ledger then fails, the engine forgets exactly these payments before the
ledger takes new ones. A result or label is durable before an engine in memory counts it, and
payments wait meanwhile: so a payment sees it if and only if the payment is later in the ledger. A
state that several processes share gets it first, because only that state knows its place in the
order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import accumulate
from time import perf_counter_ns
from typing import Final

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.decide import LaneDecision
from shroff.decide.decider import Assessment
from shroff.errors import LedgerUnavailable, PaymentConflict, ShroffError
from shroff.ledger import Ledger, Outcome
from shroff.ledger.answer import require_same, stored_answer, stored_payment
from shroff.scoring.active import Active
from shroff.scoring.control_group import ControlGroup, carried_out
from shroff.scoring.entries import event_entry, payment_entry
from shroff.scoring.in_flight import PendingEvent, PendingPayment
from shroff.state import News
from shroff.state.arrivals import Arrivals
from shroff.telemetry.meter import Meter, Turn

MAX_BATCH_PAYMENTS: Final = 64
"""Most payments in one batch: more would block the event loop for too long."""
MAX_BATCH_STEPS: Final = 1_000_000
"""Most steps of automata in one batch: each byte of a payment is one for each of their states."""


class Sequencer:
    """Decides payments and records events, in the order in which they were submitted.

    Not thread-safe: all of it happens on one event loop.
    """

    def __init__(
        self,
        active: Active,
        ledger: Ledger,
        arrivals: Arrivals,
        meter: Meter,
        group: ControlGroup,
    ) -> None:
        self.active = active
        """What decides the next payment; `use` replaces it as a whole."""
        self.in_flight: dict[str, PendingPayment] = {}
        """Submitted payments that are not durable yet, by id, in order."""
        self._append = ledger.append_all
        self._find = ledger.find
        self._arrivals = arrivals
        self._meter = meter
        self._group = group
        self._payments: list[PendingPayment] = []
        self._events: list[PendingEvent] = []
        self._holding = 0
        self._unsettled = 0
        self._settled = asyncio.Event()
        self._scheduled = False
        # how many payments waited in the last turn of the event loop; 0: none yet
        self._looked = 0

    @property
    def settled(self) -> bool:
        """Whether the ledger has all that was decided."""
        return not self._unsettled

    def use(self, active: Active) -> None:
        """Decide by this from the next batch on; change the state only at the start or `paused`."""
        self.active = active

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Stop deciding, drain what is in flight, and hold new arrivals until the end."""
        self._holding += 1
        try:
            while self._unsettled:
                self._settled.clear()
                await self._settled.wait()
            yield
        finally:
            self._holding -= 1
            if self._payments or self._events:
                self._schedule()

    def submit(self, pending: PendingPayment) -> None:
        """Decide a payment with all that wait, once a turn of the event loop brings no more."""
        self.in_flight[pending.payment.id] = pending
        self._payments.append(pending)
        self._schedule()

    def record(self, event: PendingEvent) -> None:
        """Record a result or label behind the payments that were submitted before it."""
        self._events.append(event)
        self._schedule()

    def _schedule(self) -> None:
        if not (self._scheduled or self._holding):
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if self._holding:
            return
        waiting = len(self._payments)
        if self._looked < waiting < MAX_BATCH_PAYMENTS:
            # wait while more arrive: a batch shares one commit, which costs as much as deciding
            # several
            self._looked = waiting
            self._schedule()
            return
        self._looked = 0
        most = self._most()
        batch, self._payments = self._payments[:most], self._payments[most:]
        events, self._events = self._events, []
        if batch:
            self._decide(batch)
        for event in events:
            self._put_event(event)
        if self._payments:
            self._schedule()

    def _most(self) -> int:
        """How many of the payments that wait are decided in one batch: at least one."""
        states = self.active.decider.states
        if not states:
            return MAX_BATCH_PAYMENTS
        first = self._payments[:MAX_BATCH_PAYMENTS]
        steps = accumulate([states * len(pending.encoded) for pending in first])
        return max(1, sum([all_ <= MAX_BATCH_STEPS for all_ in steps]))

    def _decide(self, batch: Sequence[PendingPayment]) -> None:
        began, active = perf_counter_ns(), self.active
        try:
            observed = self._observe(active, batch)
        except Exception as error:  # noqa: BLE001  # whatever it is, no caller may wait for ever
            self._withdraw([(pending, error) for pending in batch])
            return
        if not observed:
            return
        seen = perf_counter_ns()
        blind = observed[0][1] is None
        # features first: to make room for the many would cost more than copying them
        values = [(features or {}) | pending.payment.values for pending, features in observed]
        try:
            decider = active.decider
            assessments = decider.assess_blindly(values) if blind else decider.assess(values)
            if decider.failure is not None:
                self._meter.failures["model"] += len(observed)
            lanes = self._drawn(active, observed, values, assessments)
            entries = [
                (
                    payment_entry(
                        active, pending, features or {}, carried_out(assessment, lane), lane
                    ),
                    partial(self._settle, pending),
                )
                for (pending, features), assessment, lane in zip(
                    observed, assessments, lanes, strict=True
                )
            ]
            self._append(entries, asyncio.get_running_loop())
        except Exception as error:  # noqa: BLE001  # whatever it is, no payment may stay counted and unanswered
            self._withdraw([(pending, error) for pending, _ in observed])
            return
        self._unsettled += len(entries)
        turn = Turn(began, seen, decider.health.scored_at, perf_counter_ns(), len(observed))
        for pending, _ in observed:
            pending.journey.turn = turn
        self._meter.took(turn)
        if active.shadow is not None and not blind:
            active.shadow.watch(
                [pending.payment.id for pending, _ in observed], values, assessments
            )

    def _drawn(
        self,
        active: Active,
        observed: Sequence[tuple[PendingPayment, dict[str, Value] | None]],
        values: Sequence[Mapping[str, Value]],
        assessments: Sequence[Assessment],
    ) -> Sequence[LaneDecision | None]:
        """What the control lane does with payments; without one nothing."""
        lane = active.decider.lane
        if lane is None:
            return [None] * len(observed)
        payments = [
            (pending.payment.id, pending.payment.arrived, known)
            for (pending, _), known in zip(observed, values, strict=True)
        ]
        return self._group.draw(active.decider, lane, payments, assessments)

    def _observe(
        self, active: Active, batch: Sequence[PendingPayment]
    ) -> list[tuple[PendingPayment, dict[str, Value] | None]]:
        """The payments that the state accepts, and their features (None without a state)."""
        observed: list[tuple[PendingPayment, dict[str, Value] | None]] = []
        for pending, seen in zip(
            batch, active.state.observe([one.payment for one in batch]), strict=True
        ):
            if isinstance(seen, Exception):
                del self.in_flight[pending.payment.id]
                pending.waiters.resolve(seen)
            else:
                observed.append((pending, seen))
        return observed

    def _settle(self, pending: PendingPayment, outcome: Outcome) -> None:
        """Handle the ledger's outcome for one payment; outcomes come in ledger order."""
        if pending.refused:
            # the ledger had it after all
            self.active.state.recount(pending.payment)
            return
        self._one_settled()
        if outcome is None:
            del self.in_flight[pending.payment.id]
            # before the answer, which ends the trace
            self._meter.settled(pending.journey)
            pending.waiters.resolve(pending.answer)
        elif isinstance(outcome, PaymentConflict):
            self._concede(pending)
        else:
            # the ledger takes nothing new until all callbacks of refused entries have run
            self._withdraw([(pending, outcome)])

    def _withdraw(self, refused: Sequence[tuple[PendingPayment, Exception]]) -> None:
        """Let the engine forget payments, last first, and give all waiters the error."""
        for pending, error in refused:
            pending.refused = True
            del self.in_flight[pending.payment.id]
            pending.waiters.resolve(error)
        for pending, _ in reversed(refused):
            self.active.state.forget(pending.payment)

    def _concede(self, pending: PendingPayment) -> None:
        """Answer with the decision of the other process that decided this payment first."""
        del self.in_flight[pending.payment.id]
        standing: Payment | None = None
        outcome: bytes | Exception
        try:
            stored = self._find(pending.payment.id)
            if stored is None:
                raise LedgerUnavailable(
                    "the ledger refused a payment that it does not have: send it again."
                )
            if stored.digest != pending.digest and stored.forgotten is None:
                standing = stored_payment(stored)
            require_same(stored, pending.digest)
            outcome = stored_answer(stored)
        except ShroffError as error:
            outcome = error
        self.active.state.concede(pending.payment, standing)
        pending.waiters.resolve(outcome)

    def _put_event(self, event: PendingEvent) -> None:
        try:
            given = self.active.state.announce(event.payment_id, self._news(event))
        except PaymentConflict as error:
            event.waiters.resolve(error)
            return
        event.arrived = given or self._arrivals.next()
        # payments that come after an event that features read wait until it is durable
        awaited = event.kind in self.active.state.engine.plan.later
        try:
            self._append(
                [(event_entry(event), partial(self._settle_event, event, awaited))],
                asyncio.get_running_loop(),
            )
        except ShroffError as error:
            event.waiters.resolve(error)
            return
        self._unsettled += 1
        self._holding += awaited

    def _settle_event(self, event: PendingEvent, awaited: bool, outcome: Outcome) -> None:
        if event.refused:
            self.active.state.later(event.payment_id, self._news(event))
            return
        self._one_settled()
        if outcome is None:
            self.active.state.later(event.payment_id, self._news(event))
            if event.kind == "label":
                self._meter.labels[event.record.source or "", event.record.value is True] += 1
                if self.active.shadow is not None:
                    self.active.shadow.label(event.payment_id, event.stands)
            event.waiters.resolve(None)
        else:
            event.refused = True
            event.waiters.resolve(outcome)
        self._holding -= awaited
        if self._payments or self._events:
            self._schedule()

    def _news(self, event: PendingEvent) -> News:
        rank = (
            self.active.state.engine.plan.schema.label_rank(event.record.source)
            if event.kind == "label"
            else 0
        )
        return News(event.kind, event.record.value, rank, event.arrived, event.digest)

    def _one_settled(self) -> None:
        self._unsettled -= 1
        if not self._unsettled:
            self._settled.set()
