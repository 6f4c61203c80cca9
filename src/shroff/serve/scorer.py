"""The scorer: payments in, durable decisions out. There is no HTTP in it."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock
from typing import Literal

import polars as pl

from shroff.collect import Payment, PaymentReader
from shroff.errors import BadPayment, LedgerUnavailable, NotFound, ShroffError
from shroff.features.engines.online import OnlineEngine
from shroff.features.window import micros
from shroff.package import Bundle
from shroff.serve import rebuild
from shroff.serve.answer import (
    LaterRecord,
    ModelName,
    encode,
    fingerprint,
    require_same,
    stored_answer,
)
from shroff.serve.clock import AHEAD, Arrivals, Clock, system_time
from shroff.serve.decider import Decider
from shroff.serve.events import Events
from shroff.serve.ledger import Ledger, StoredEntry
from shroff.serve.pending import PendingEvent, PendingPayment
from shroff.serve.sequencer import Sequencer


class Scorer:
    """Decides payments by a bundle and keeps every decision in a ledger.

    Args:
        key: of the HMAC over personal columns.
        lateness: how much older than the newest payment one may be when it arrives.
        clock: microseconds since the epoch.

    `start` it first, in any thread; everything else belongs to one event loop.

    Raises:
        BundleError: the parts of the bundle do not fit together.
        ConfigurationError: `lateness` is no duration.
    """

    def __init__(
        self, bundle: Bundle, ledger: Ledger, *, key: bytes, lateness: str = "1d", clock: Clock = system_time
    ) -> None:
        self.bundle = bundle
        self.decider = Decider(bundle)
        self._lateness = lateness
        self._oldest = micros(lateness)
        self._ledger = ledger
        self._clock = clock
        self._arrivals = Arrivals(clock)
        self._forget()
        plan = self._engine.plan
        self.reader = PaymentReader(plan.schema, key=key)
        # how much older than the newest payment one can be that features still see
        self._reach = self._oldest + max((stream.horizon for stream in plan.streams), default=0)
        self._missing: str | None = "its state is being rebuilt from the ledger"
        self._opening = Lock()
        self.closed = False

    def _forget(self) -> None:
        """Empty the state."""
        self._engine = OnlineEngine(self.bundle.groups, self.bundle.schema, lateness=self._lateness)
        model = ModelName(self.bundle.name, self.bundle.version)
        self._sequencer = Sequencer(self._engine, self.decider, self._ledger, self._arrivals, model=model)
        self._events = Events(self._sequencer)

    @property
    def unready(self) -> str | None:
        """Why payments are refused or decided without a model now; None when all is well."""
        return self._missing or self.decider.failure

    def start(self, *, history: pl.DataFrame | None = None) -> None:
        """Open the ledger and rebuild the state: history first, then the ledger's records in their order.

        Args:
            history: a clean table to start from; payments that the ledger has too are not counted twice.

        Raises:
            LedgerUnavailable: the ledger does not open or cannot be read, or `close` was called; can be tried again.
            DataError: the ledger was changed.
        """
        with self._opening:
            self._require_open()
            try:
                self._ledger.open()
                last = self._rebuild(history)
            except Exception as error:
                self._ledger.close()
                self._forget()
                self._missing = str(error) if isinstance(error, ShroffError) else f"{type(error).__name__} at its start"
                raise
            self._arrivals.after(last)
            self._missing = None

    def close(self) -> None:
        """Write what waits and close the ledger, for good; in any thread, when no caller waits any more."""
        self.closed = True
        with self._opening:
            self._missing = "it is shutting down"
            self._ledger.close()

    async def decide(self, body: bytes) -> bytes:
        """The answer to one payment, both JSON; durable when it is returned.

        Raises:
            BadPayment: it is no payment of this schema, or its time is out of bounds.
            PaymentConflict: its id came before with another payload.
            LedgerUnavailable: the decision cannot be made durable: send it again later.
        """
        self._require_ready()
        return await self.judge(self.reader.read(body, arrived=0))

    async def judge(self, payment: Payment) -> bytes:
        """`decide` for a payment that was read already."""
        self._require_ready()
        encoded = encode(payment)
        digest = fingerprint(encoded)
        pending = self._sequencer.in_flight.get(payment.id)
        if pending is not None:
            require_same(pending.digest, digest)
            return await pending.callers.join()
        stored = self._ledger.find(payment.id)
        if stored is not None:
            require_same(stored.digest, digest)
            return stored_answer(stored)
        self._check_time(payment.time)
        pending = PendingPayment(payment, encoded, digest)
        answer = pending.callers.join()
        self._sequencer.submit(pending)
        return await answer

    async def decision(self, payment_id: str) -> bytes:
        """The stored answer to a payment.

        Raises:
            NotFound: there is none.
        """
        return stored_answer(await self._stored(payment_id))

    async def learn(
        self,
        kind: Literal["result", "label"],
        payment_id: str,
        value: str | bool,
        *,
        at: int | None = None,
        source: str | None = None,
    ) -> None:
        """Record a payment's result (its name) or label (whether it was fraud); the same one again is ignored.

        Args:
            at: when it happened, microseconds since the epoch.

        Raises:
            NotFound: there is no such payment.
            PaymentConflict: the payment has a different one already.
            BadPayment: `at` lies in the future.
            LedgerUnavailable: it cannot be made durable: send it again later.
        """
        self._require_ready()
        if at is not None and at > self._clock() + AHEAD:
            raise BadPayment("expected a time at most 5 minutes ahead of the service's clock - at `$.at`")
        await self._stored(payment_id)
        record = LaterRecord(value, at, source)
        await self._events.record(PendingEvent(kind, payment_id, record, fingerprint(encode(record))))

    async def _stored(self, payment_id: str) -> StoredEntry:
        self._require_ready()
        pending = self._sequencer.in_flight.get(payment_id)
        if pending is not None:
            await pending.callers.join()
        stored = self._ledger.find(payment_id)
        if stored is None:
            raise NotFound("there is no payment with this id.")
        return stored

    def _require_ready(self) -> None:
        if self._missing is not None:
            raise LedgerUnavailable(f"the service is not ready: {self._missing}. Send it again later.")

    def _check_time(self, time: int) -> None:
        now, column = self._clock(), self.bundle.schema.time
        if time > now + AHEAD:
            raise BadPayment(f"expected a time at most 5 minutes ahead of the service's clock - at `$.{column}`")
        # late is late against the newest payment seen, not the clock: a log can be played to the service as it was
        if time < self._engine.newest - self._oldest:
            raise BadPayment(f"expected a time at most {self._lateness} before the newest payment's - at `$.{column}`")

    def _rebuild(self, history: pl.DataFrame | None) -> int:
        """Bring the engine up to date; when the ledger's last record arrived (0: it has none)."""
        column = self.bundle.schema.id
        ids = frozenset[str]() if history is None else frozenset(history[column])
        known, newest = rebuild.survey(self._read_ledger(), ids)
        if history is not None:
            unknown = history.filter(~pl.col(column).is_in(known))
            for _ in rebuild.warm(self._engine, unknown, known=self._clock()):
                self._require_open()
        entries = self._events.reading(self._read_ledger())
        return rebuild.replay(self._engine, entries, since=newest - self._reach)

    def _read_ledger(self) -> Iterator[StoredEntry]:
        for entry in self._ledger.entries():
            self._require_open()
            yield entry

    def _require_open(self) -> None:
        if self.closed:
            raise LedgerUnavailable("the service is shutting down.")
