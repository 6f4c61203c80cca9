"""The scorer: payments in, durable decisions out. There is no HTTP in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Literal

import polars as pl

from shroff.collect import Payment, PaymentReader, Schema
from shroff.collect.wire import live_scales
from shroff.errors import BadPayment, BundleError, LedgerUnavailable, NotFound, ShroffError
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
from shroff.serve.control import LiveLists
from shroff.serve.decider import Decider
from shroff.serve.events import Events
from shroff.serve.ledger import Commits, Ledger, StoredEntry
from shroff.serve.pending import PendingEvent, PendingPayment, Told, telling
from shroff.serve.sequencer import Sequencer
from shroff.serve.shadow import Shadow
from shroff.serve.telemetry.meter import Journey, Meter
from shroff.serve.telemetry.tracing import CURRENT


@dataclass(frozen=True)
class Figures:
    """Keys and payments that await a result or label in the state, payments in flight, entries that wait for disk."""

    keys: int
    pending: int
    in_flight: int
    queued: int


class Scorer:
    """Decides payments by a bundle and keeps every decision in a ledger.

    Args:
        key: of the HMAC over personal columns.
        lateness: how much older than the newest payment one may be when it arrives.
        lists: edits of the lists that the bundle's rules read.
        clock: microseconds since the epoch.

    `start` it first, in any thread; everything else belongs to one event loop.

    Raises:
        BundleError: the parts of the bundle do not fit together.
        ConfigurationError: `lateness` is no duration.
    """

    def __init__(
        self,
        bundle: Bundle,
        ledger: Ledger,
        *,
        key: bytes,
        lateness: str = "1d",
        lists: LiveLists | None = None,
        clock: Clock = system_time,
    ) -> None:
        self.bundle = bundle
        self.decider = Decider(bundle)
        self.lists = lists
        self.meter = Meter()
        self._lateness = lateness
        self._oldest = micros(lateness)
        self._ledger = ledger
        self._clock = clock
        self._arrivals = Arrivals(clock)
        self._forget()
        self._key = key
        self.reader = PaymentReader(self._engine.plan.schema, key=key)
        self._missing: str | None = "its state is being rebuilt from the ledger"
        self._opening = Lock()
        self.closed = False

    def _forget(self) -> None:
        """Empty the state."""
        self._engine = self._empty_engine(self.bundle)
        self._sequencer = Sequencer(
            self._engine, self.decider, self._ledger, self._arrivals, model=_name(self.bundle), meter=self.meter
        )
        self._events = Events(self._sequencer, self._ledger)

    def _empty_engine(self, bundle: Bundle) -> OnlineEngine:
        return OnlineEngine(bundle.groups, bundle.schema, lateness=self._lateness)

    @property
    def shadow(self) -> Shadow | None:
        """The candidate that is compared with what decides."""
        return self._sequencer.shadow

    @property
    def list_values(self) -> Mapping[str, Sequence[str]]:
        """The lists that payments are decided by now."""
        return self.decider.lists

    def follow_lists(self) -> None:
        """Decide by the lists as they are now: edits take effect, and end."""
        if self.lists is not None:
            for decider in (self.decider, *([self.shadow.decider] if self.shadow else [])):
                decider.use_lists(self.lists.now(decider.policy.lists))

    @property
    def figures(self) -> Figures:
        """How much of everything there is now."""
        engine = self._engine
        return Figures(
            keys=engine.keys,
            pending=engine.pending,
            in_flight=len(self._sequencer.in_flight),
            queued=self._ledger.queued,
        )

    @property
    def commits(self) -> Commits:
        """What became of the ledger's groups."""
        return self._ledger.commits

    def census(self) -> Iterator[int]:
        """The events of the state, counted in parts."""
        return self._engine.census()

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
                last = self._fill(self._engine, history, self._read_ledger())
            except Exception as error:
                self._ledger.close()
                self._forget()
                self._missing = str(error) if isinstance(error, ShroffError) else f"{type(error).__name__} at its start"
                raise
            self._arrivals.after(last)
            self._missing = None

    async def adopt(self, bundle: Bundle, *, history: Callable[[], pl.DataFrame] | None = None) -> None:
        """Decide by another bundle from the next payment on; nothing is refused meanwhile.

        When its features are others, they are first computed over history and ledger beside those in use; payments
        then wait only while the few that came during the last step are added.

        Args:
            history: what `start` was given, if it was.

        Raises:
            BundleError: its parts do not fit together, or it expects other fields of a payment.
            LedgerUnavailable: the ledger cannot be read.
        """
        self._require_ready()
        decider = await asyncio.to_thread(Decider, bundle)
        if (bundle.groups, bundle.schema) == (self.bundle.groups, self.bundle.schema):
            self._use(bundle, decider, self._engine)
            return
        engine = self._empty_engine(bundle)
        self._require_same_payments(engine.plan.schema)
        table = None if history is None else await asyncio.to_thread(history)
        last = await asyncio.to_thread(self._fill, engine, table, self._read_ledger())
        last = await asyncio.to_thread(self._catch_up, engine, last)
        async with self._sequencer.paused():
            self._catch_up(engine, last)
            self._use(bundle, decider, engine)

    async def compare(self, candidate: Bundle | None) -> None:
        """Let a candidate score in the shadow what is decided from now on; None ends it.

        Raises:
            BundleError: it reads what is not computed.
        """
        shadow = None if candidate is None else await asyncio.to_thread(Shadow, candidate, self.bundle)
        self._sequencer.shadow = shadow
        self.follow_lists()

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
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._take(body, telling(answer))
        return await answer

    def accept(self, body: bytes, told: Told[bytes]) -> None:
        """`decide` without a coroutine: `told` gets the answer or the error, perhaps before this returns."""
        try:
            self._take(body, told)
        except Exception as error:  # noqa: BLE001  # an error is an outcome too
            told(error)

    async def judge(self, payment: Payment) -> bytes:
        """`decide` for a payment that was read already."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._submit(payment, telling(answer), Journey(CURRENT.get()))
        return await answer

    def _take(self, body: bytes, told: Told[bytes]) -> None:
        journey = Journey(CURRENT.get())
        self._require_ready()
        self._submit(self.reader.read(body, arrived=0), told, journey)

    def _submit(self, payment: Payment, told: Told[bytes], journey: Journey) -> None:
        self._require_ready()
        encoded = encode(payment)
        digest = fingerprint(encoded)
        pending = self._sequencer.in_flight.get(payment.id)
        if pending is not None:
            require_same(pending.digest, digest)
            self.meter.repeated += 1
            pending.callers.add(told)
            return
        stored = self._ledger.find(payment.id)
        if stored is not None:
            require_same(stored.digest, digest)
            self.meter.repeated += 1
            told(stored_answer(stored))
            return
        self._check_time(payment.time)
        self.meter.parsed(journey)
        pending = PendingPayment(payment, encoded, digest, journey)
        pending.callers.add(told)
        self._sequencer.submit(pending)

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
        # and where no feature looks back, no payment is too late
        if self._engine.plan.streams and time < self._engine.newest - self._oldest:
            raise BadPayment(f"expected a time at most {self._lateness} before the newest payment's - at `$.{column}`")

    def _use(self, bundle: Bundle, decider: Decider, engine: OnlineEngine) -> None:
        self.bundle, self.decider, self._engine = bundle, decider, engine
        self.reader = PaymentReader(engine.plan.schema, key=self._key)
        self._sequencer.use(engine, decider, _name(bundle))
        # it was compared with what does not decide any more
        self._sequencer.shadow = None
        self.follow_lists()

    def _require_same_payments(self, schema: Schema) -> None:
        """Raise `BundleError` unless payments of a schema have the fields of those that are answered now."""
        current = self.reader.schema
        if live_scales(schema) != live_scales(current) or schema.timezone != current.timezone:
            raise BundleError("the bundle expects other fields of a payment: start the service anew with it.")

    def _fill(self, engine: OnlineEngine, history: pl.DataFrame | None, entries: Iterable[StoredEntry]) -> int:
        """Bring an engine up to date; when the ledger's last record arrived (0: it has none)."""
        column = self.bundle.schema.id
        ids = frozenset[str]() if history is None else frozenset(history[column])
        known, newest = rebuild.survey(self._read_ledger(), ids)
        if history is not None:
            unknown = history.filter(~pl.col(column).is_in(known))
            for _ in rebuild.warm(engine, unknown, known=self._clock()):
                self._require_open()
        # how much older than the newest payment one can be that features still see
        reach = self._oldest + max((stream.horizon for stream in engine.plan.streams), default=0)
        return rebuild.replay(engine, entries, since=newest - reach)

    def _catch_up(self, engine: OnlineEngine, last: int) -> int:
        """Add what came since; arrivals only grow, so they tell what that is."""
        return rebuild.replay(engine, self._read_ledger(since=last + 1), since=0) or last

    def _read_ledger(self, *, since: int | None = None) -> Iterator[StoredEntry]:
        for entry in self._ledger.entries(since=since):
            self._require_open()
            yield entry

    def _require_open(self) -> None:
        if self.closed:
            raise LedgerUnavailable("the service is shutting down.")


def _name(bundle: Bundle) -> ModelName:
    return ModelName(bundle.name, bundle.version)
