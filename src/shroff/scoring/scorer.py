"""The scorer: payments in, durable decisions out. There is no HTTP in it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import Final

import polars as pl

from shroff.clock import Clock, system_time
from shroff.collect import PaymentReader, Schema
from shroff.collect.payment import counted_in
from shroff.collect.wire import live_scales
from shroff.control import LiveLists, LiveRates
from shroff.decide.decider import Decider
from shroff.decide.standing import Standing, own
from shroff.errors import BundleError, ControlUnavailable, LedgerUnavailable, ShroffError, Unavailable
from shroff.ledger import Commits, Ledger
from shroff.ledger.answer import ModelName, stored_payment
from shroff.package import Bundle
from shroff.scoring.events import Events
from shroff.scoring.intake import Intake
from shroff.scoring.sequencer import Sequencer
from shroff.scoring.shadow import Shadow
from shroff.scoring.start import Check, Start, require_currency, say_end, wrong_past
from shroff.state import LocalState, Mark, State, States
from shroff.state.arrivals import Arrivals

_SWITCHOVER_TIMEOUT_US: Final = 10_000_000
"""Microseconds that processes that share a state wait for each other before they change over to another."""
_UNSCORED: Final = 20
"""Payments in a row without a score that are no chance."""
_LOOK: Final = 0.02
"""Seconds between two looks whether others are there."""
_log = logging.getLogger(__name__)


class Scorer(Intake):
    """Decides payments by a bundle and keeps every decision in a ledger.

    Args:
        key: of the HMAC over personal columns.
        lateness: how much older than the newest payment one may be when it arrives.
        standing: the policy by which it decides; by default the one that the bundle was packaged with.
        lists: edits of the lists that rules read.
        rates: what was put in the place of the bundle's exchange rates.
        state: where what features are computed from is: `memory`, or the URL of a Redis server.
        member: the name of this process among those that share a state; by default one of its own.
        history: makes a clean table to start from; payments that the ledger has too are not counted twice.
        accept_broken_chain: start also with a ledger that was changed, and keep a record of that.
        clock: microseconds since the epoch.

    `start` it first, in any thread; everything else belongs to one event loop.

    Raises:
        BundleError: the parts of the bundle do not fit together.
        ConfigurationError: the policy does not fit the bundle, or `lateness` is no duration.
    """

    def __init__(
        self,
        bundle: Bundle,
        ledger: Ledger,
        *,
        key: bytes,
        lateness: str = "1d",
        standing: Standing | None = None,
        lists: LiveLists | None = None,
        rates: LiveRates | None = None,
        state: str = "memory",
        member: str = "",
        history: Callable[[], pl.DataFrame] | None = None,
        accept_broken_chain: bool = False,
        clock: Clock = system_time,
    ) -> None:
        super().__init__(ledger, lateness=lateness, clock=clock, missing="its state is being rebuilt from the ledger")
        self.bundle = bundle
        self.decider = Decider(bundle, standing)
        self.lists = lists
        self.rates = rates
        self._arrivals = Arrivals(clock)
        self._states = States(
            state,
            ledger,
            self._arrivals,
            member=member,
            lateness=lateness,
            history=history,
            clock=clock,
            tick=self._require_open,
        )
        self.closed = False
        self.started: Start | None = None
        """What the state was built from."""
        self._accept = accept_broken_chain
        self._past: str | None = None
        self._unfilled: str | None = None
        self._ruined = 0
        self._forget()
        self._key = key
        self.reader = self._reader(bundle)
        self._opening = Lock()
        self._listing = asyncio.Lock()

    def _forget(self) -> None:
        """Begin without a state."""
        self._state = self._states.new(self.bundle)
        self._sequencer = Sequencer(
            self._state, self.decider, self._ledger, self._arrivals, model=ModelName.of(self.bundle), meter=self.meter
        )
        self._events = Events(self._sequencer, self._ledger, self.bundle.schema.label_rank)

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
            for decider in self._deciders:
                decider.use_lists(self.lists.now(decider.policy.lists))

    async def keep_lists(self) -> None:
        """`follow_lists` beside payments: long lists are made ready in a thread."""
        lists = self.lists
        if lists is None:
            return
        async with self._listing:
            for decider in self._deciders:
                if decider.followed is None or not lists.hold(decider.followed):
                    now = await asyncio.to_thread(lists.now, decider.policy.lists)
                    decider.take_lists(now, await asyncio.to_thread(decider.listed, now))

    @property
    def _deciders(self) -> list[Decider]:
        return [self.decider, *([self.shadow.decider] if self.shadow else [])]

    def follow_rates(self) -> None:
        """Convert payments by the exchange rates as they are now."""
        own, used = self.bundle.schema.rates, self.reader.rates
        if self.rates is not None and own is not None:
            self.reader.use_rates(self.rates.now(own), self.rates.converter)
            if self.reader.rates != used:
                _log.info("payments are converted by other exchange rates from now on.", extra={"event": "rates"})

    @property
    def ledger(self) -> Ledger:
        """Where decisions are kept."""
        return self._ledger

    @property
    def state(self) -> State:
        """What payments are counted in now; another one after a change of features."""
        return self._state

    @property
    def in_flight(self) -> int:
        """How many payments are on their way to the ledger."""
        return len(self._sequencer.in_flight)

    @property
    def commits(self) -> Commits:
        """What became of the ledger's groups, and its last record."""
        return self._ledger.commits

    def census(self) -> Iterator[int]:
        """The events of the state, counted in parts."""
        return self._state.engine.census()

    @property
    def ruined(self) -> int:
        """How often a state was dropped because a key of it held what no process of ours has put there."""
        return self._ruined + self._state.ruined

    @property
    def unready(self) -> str | None:
        """Why payments are refused or decided without a model now; None when all is well."""
        return self._missing or self._ledger.failure or self.decider.failure

    def require_well(self) -> None:
        """Raise `Unavailable` unless all is well; what health checks of all interfaces ask."""
        if self.unready is not None:
            raise Unavailable(f"the service is not ready: {self.unready.rstrip('.')}.")

    @property
    def degraded(self) -> str | None:
        """Why payments are decided without features or without a score now; None when they are not."""
        unscored = self.decider.unscored
        if self._state.failure is None and unscored >= _UNSCORED:
            return f"the model gave no number as the score of the last {unscored:,} payments"
        return self._state.failure

    @property
    def notice(self) -> str | None:
        """What an operator should know although payments are decided: the ledger is away, or the past is not right."""
        spooled = self._ledger.spooled
        if spooled is None:
            return self._past
        return f"the ledger's database is away; {spooled.entries:,} entries ({spooled.bytes:,} bytes) wait in the spool"

    def start(self) -> None:
        """Open the ledger, prove its chain and rebuild the state: history first, then the ledger's records in order.

        A state in Redis that is there already is taken as it is. What the state was built from is recorded.

        Raises:
            LedgerUnavailable: the ledger does not open or cannot be read, or `close` was called; can be tried again.
            StateUnavailable: the state server does not answer; can be tried again.
            BundleError: the ledger's payments are counted in another currency than the bundle's.
            BrokenChain: the ledger was changed.
        """
        with self._opening:
            self._require_open()
            try:
                self._ledger.open()
                self._states.part(self.bundle)
                # of the ledger's own name
                self._forget()
                require_currency(self.bundle, self._recorded_in())
                with Check(self._ledger, accept=self._accept) as check:
                    mark = self._states.prepare(self.bundle, self._state, proof=check.proof)
                self._state.join(self._require_open)
                self._arrivals.after(mark.arrived)
                self._record(Start.of(self.bundle, mark, check.done(), check.before), mark)
            except Exception as error:
                self._ledger.close()
                self._forget()
                self._missing = str(error) if isinstance(error, ShroffError) else f"{type(error).__name__} at its start"
                raise
            self._missing = None

    def _record(self, start: Start, mark: Mark) -> None:
        """Keep in the ledger what the service starts from, and say it."""
        self._ledger.write_now(start.entry(self._arrivals.next()))
        self.started = start
        _log.info("%s.", start.sentence(), extra={"event": "started", "fields": start.said()})
        wrong = wrong_past(self.bundle, mark, self._state.engine.plan.horizon, start)
        for event, sentence in wrong.items():
            _log.warning("%s", sentence, extra={"event": event})
        self._past = " ".join(wrong.values()) or None

    def tend(self) -> None:
        """What has to be done every second or so, in any thread: read lists and rates anew, fill a lost state."""
        try:
            for live in (self.lists, self.rates):
                if live is not None:
                    live.refresh()
        except ControlUnavailable as error:
            _log.warning("%s", error)
        if self._missing is None and self._state.failure is not None and not isinstance(self._state, LocalState):
            # while it still is away the service has said so already
            with suppress(ShroffError):
                self._states.prepare(self.bundle, self._states.new(self.bundle), only_empty=True)

    def beat(self) -> None:
        """What has to be done twice a second, between payments: tell a state that was away what it was not told."""
        if self._missing is None:
            self._state.beat()

    def leave(self) -> None:
        """Leave the shared state, so that other processes stop waiting for this one; `close` it then."""
        if self._missing is None:
            self._state.leave()

    async def adopt(self, bundle: Bundle, standing: Standing | None = None) -> None:
        """Decide by another bundle or policy from the next payment on; nothing is refused meanwhile.

        When its features are others, they are first computed over history and ledger beside those in use; payments
        then wait only while the few that came during the last step are added. Processes that share a state change over
        together: none may give features of the new one while another still decides by the one before.

        Raises:
            BundleError: its parts do not fit together, or it expects other fields of a payment or another currency.
            ConfigurationError: the policy does not fit the bundle.
            LedgerUnavailable: the ledger cannot be read.
            StateUnavailable: the state server does not answer.
        """
        self._require_ready()
        if bundle is self.bundle:
            policy = standing or own(bundle)
            self._use(self.bundle, await asyncio.to_thread(self.decider.under, policy), self._state)
            return
        require_currency(bundle, self.bundle.currency)
        decider = await asyncio.to_thread(Decider, bundle, standing)
        if decider.failure is not None:
            # the model that decides can score
            raise BundleError(decider.failure)
        if (bundle.groups, bundle.schema) == (self.bundle.groups, self.bundle.schema):
            self._use(bundle, decider, self._state)
            return
        state = self._states.new(bundle)
        self._require_same_payments(state.engine.plan.schema)
        await self._change_over(bundle, decider, state)

    async def keep_time(self) -> None:
        """Fill a state in memory anew that is ahead of the clock, which was set back; Redis finds that out itself."""
        state, failed = self._state, self._unfilled
        if self._missing is not None or not isinstance(state, LocalState) or not state.engine.overtaken:
            return
        shadow, self._unfilled = self.shadow, None
        try:
            await self._change_over(self.bundle, self.decider, self._states.new(self.bundle))
            said = "the state was filled anew from history and ledger."
        except ShroffError as error:
            # the next look tries again, and says nothing twice
            self._unfilled = said = f"the state cannot be filled anew: {error}"
        else:
            self._sequencer.shadow = shadow
        if said != failed:
            _log.warning("the clock was set back: %s", said, extra={"event": "clock_back"})

    async def _change_over(self, bundle: Bundle, decider: Decider, state: State) -> None:
        """Decide by a state that is filled beside the one in use."""
        mark = await asyncio.to_thread(self._states.prepare, bundle, state)
        last = await asyncio.to_thread(self._states.catch_up, state, mark.seq)
        patience = self._clock() + _SWITCHOVER_TIMEOUT_US
        while not state.assembled(self._state) and self._clock() < patience:
            last = await asyncio.to_thread(self._states.catch_up, state, last)
            await self._look_again()
        last = await asyncio.to_thread(self._states.catch_up, state, last)
        async with self._sequencer.paused():
            await asyncio.to_thread(self._states.catch_up, state, last)
            while not state.entered():
                await self._look_again()
            self._use(bundle, decider, state)

    async def _look_again(self) -> None:
        self._require_open()
        await asyncio.sleep(_LOOK)

    async def compare(self, candidate: Bundle | None, standing: Standing | None = None) -> None:
        """Let a candidate score in the shadow what is decided from now on, under a policy; None ends it.

        Raises:
            BundleError: it reads what is not computed.
            ConfigurationError: the policy does not fit it.
        """
        shadow = None if candidate is None else await asyncio.to_thread(Shadow, candidate, self.bundle, standing)
        self._sequencer.shadow = shadow
        self.follow_lists()

    def close(self) -> None:
        """Write what waits and close the ledger, for good; in any thread, when no caller waits any more."""
        self.closed = True
        with self._opening:
            self._missing = "it is shutting down"
            self._ledger.close()
            say_end(self.commits.end)

    def _use(self, bundle: Bundle, decider: Decider, state: State) -> None:
        if state is not self._state:
            self._state.leave()
            self._ruined += self._state.ruined
        self.bundle, self.decider, self._state = bundle, decider, state
        self.reader = self._reader(bundle)
        self.follow_rates()
        self._sequencer.use(state, decider, ModelName.of(bundle))
        self._events.rank = bundle.schema.label_rank
        # it was compared with what does not decide any more
        self._sequencer.shadow = None
        self.follow_lists()

    def _reader(self, bundle: Bundle) -> PaymentReader:
        return PaymentReader(
            self._state.engine.plan.schema, key=self._key, currency=bundle.currency, numbers=bundle.numbers
        )

    def _require_same_payments(self, schema: Schema) -> None:
        """Raise `BundleError` unless payments of a schema have the fields of those that are answered now."""
        current = self.reader.schema
        times = (schema.timezone, schema.epoch) == (current.timezone, current.epoch)
        if not times or live_scales(schema) != live_scales(current):
            raise BundleError("the bundle expects other fields of a payment: start the service anew with it.")

    def _recorded_in(self) -> str | None:
        """The currency in which the ledger has amounts; the bundle's where it has no payment yet."""
        first = next((entry for entry in self._ledger.entries() if entry.kind == "payment"), None)
        return self.bundle.currency if first is None else counted_in(stored_payment(first), self.bundle.schema)

    def _require_open(self) -> None:
        if self.closed:
            raise LedgerUnavailable("the service is shutting down.")
