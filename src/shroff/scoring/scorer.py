"""The scorer: payments in, durable decisions out. There is no HTTP in it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext, suppress
from threading import Lock
from typing import Final

import polars as pl

from shroff.clock import Clock, system_time
from shroff.collect import PaymentReader
from shroff.collect.times import DAY_US
from shroff.control import LiveKeyring, LiveLists, LiveRates, LiveTables, Outage
from shroff.decide.decider import Decider
from shroff.decide.standing import Standing
from shroff.errors import ControlUnavailable, LedgerUnavailable, ShroffError, Unavailable
from shroff.ledger import Ledger
from shroff.ledger.answer import stored_payment
from shroff.ledger.erasure import SubjectErasure, require_own_keys
from shroff.package import Bundle
from shroff.scoring.active import Active, reader_of
from shroff.scoring.check import Check
from shroff.scoring.control_group import ControlGroup
from shroff.scoring.intake import Intake
from shroff.scoring.past import PastNotice, say_start, still_said
from shroff.scoring.saving import StateSaver
from shroff.scoring.sequencer import Sequencer
from shroff.scoring.shadow import Shadow
from shroff.scoring.start import Start, currency_of, require_currency, say_end
from shroff.scoring.switchover import Switchover
from shroff.state import Snapshots, State, States
from shroff.state.arrivals import Arrivals
from shroff.telemetry.meter import Meter

_MAX_UNSCORED_PAYMENTS: Final = 20
"""Payments in a row without a score after which the model counts as failed."""
_FORGETTING: Final = "people were forgotten whom the state still counts: it is filled anew"
_log = logging.getLogger(__name__)


class Scorer(Intake):
    """Decides payments by a bundle and keeps every decision in a ledger.

    Args:
        key: of the HMAC over personal columns.
        lateness: how much older than the newest payment one may be when it arrives.
        standing: the policy that decides; by default the one that the bundle was packaged with.
        lists: edits of the lists that rules read.
        rates: replacements of the bundle's exchange rates; `tables`: of its reference tables.
        keys: of the subjects under which the ledger seals records, if the schema has a subject.
        state: where the state of features is: `memory`, or the URL of a Redis server.
        member: the name of this process among those that share a state; by default one of its own.
        workers: how many processes share the budget of a control lane.
        history: makes a clean table to start from; payments that are also in the ledger count once.
        snapshots: where to keep snapshots of a state in memory; None: nowhere.
        accept_broken_chain: start despite a ledger that was changed, and record that.
        clock: microseconds since the epoch.

    Call `start` first, in any thread; all other methods belong to one event loop.

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
        tables: LiveTables | None = None,
        keys: LiveKeyring | None = None,
        state: str = "memory",
        member: str = "",
        workers: int = 1,
        history: Callable[[], pl.DataFrame] | None = None,
        snapshots: Snapshots | None = None,
        accept_broken_chain: bool = False,
        clock: Clock = system_time,
    ) -> None:
        meter, self._arrivals = Meter(), Arrivals(clock)
        self._states = States(
            state,
            ledger,
            self._arrivals,
            member=member,
            lateness=lateness,
            history=history,
            clock=clock,
            tick=self._require_open,
            destroyed=lambda: "" if keys is None else keys.destroyed,
            snapshots=snapshots,
        )
        empty = self._states.new(bundle)
        reader = reader_of(bundle, empty, key)
        active = Active.of(bundle, Decider(bundle, standing), empty, reader)
        self.control_group = ControlGroup(key, workers)
        """What the control lane took."""
        sequencer = Sequencer(active, ledger, self._arrivals, meter, self.control_group)
        super().__init__(
            sequencer,
            ledger,
            meter=meter,
            lateness=lateness,
            clock=clock,
            closed_because="its state is being built from its history and the ledger",
        )
        self._switchover = Switchover(
            sequencer,
            self._states,
            lists=lists,
            rates=rates,
            tables=tables,
            key=key,
            clock=clock,
            require_open=self._require_open,
        )
        self._saver = StateSaver(sequencer, self._states, ledger)
        self.lists = lists
        self.rates = rates
        self._tables = tables
        self.keys = keys
        self._key = key
        self._outage = Outage()
        self.closed = False
        self.started: Start | None = None
        """What the state was built from."""
        self._accept_broken_chain = accept_broken_chain
        self._wrong_past: list[PastNotice] = []
        self._opening = Lock()

    @property
    def bundle(self) -> Bundle:
        """The bundle that decides."""
        return self.active.bundle

    @property
    def decider(self) -> Decider:
        """What decides: the bundle with its policy and lists."""
        return self.active.decider

    @property
    def reader(self) -> PaymentReader:
        """What reads its payments."""
        return self.active.reader

    @property
    def shadow(self) -> Shadow | None:
        """The candidate that is compared with what decides."""
        return self.active.shadow

    @property
    def state(self) -> State:
        """The state that payments are counted in now; it is replaced when features change."""
        return self.active.state

    @property
    def in_flight(self) -> int:
        """How many payments are in flight to the ledger."""
        return len(self._sequencer.in_flight)

    def census(self) -> Iterator[int]:
        """A count of the state's events, a stretch at a time."""
        return self.state.engine.census()

    @property
    def drops(self) -> int:
        """How often a state was dropped: one of its keys held what no process of ours wrote."""
        return self._switchover.drops

    @property
    def unready(self) -> str | None:
        """Why payments are refused or decided without a model now; None if all is well."""
        return self._closed_because or self.ledger.failure or self.decider.failure

    def require_well(self) -> None:
        """Raise `Unavailable` unless all is well; the health check of every interface."""
        if self.unready is not None:
            raise Unavailable(f"the service is not ready: {self.unready.rstrip('.')}.")

    @property
    def degraded(self) -> str | None:
        """Why payments are decided without features or score now; None if they are not."""
        unscored = self.decider.health.unscored
        if self.state.failure is None and unscored >= _MAX_UNSCORED_PAYMENTS:
            return f"the model gave no number as the score of the last {unscored:,} payments"
        return self.state.failure

    @property
    def notice(self) -> str | None:
        """What an operator should know while payments are decided: a lost ledger, a wrong past."""
        spooled = self.ledger.spooled
        if spooled is None:
            if self._states.outdated(self.state):
                return _FORGETTING
            return still_said(self._wrong_past, self.state.engine.newest)
        return (
            f"the ledger's database is away; entries that wait in the spool: {spooled.entries:,} "
            f"({spooled.bytes:,} bytes)"
        )

    def start(self) -> None:
        """Open the ledger, verify its chain and rebuild the state from history, then from the
        ledger.

        A state that is already in Redis is used as it is. The ledger records what the state was
        built from.

        Raises:
            LedgerUnavailable: the ledger does not open or cannot be read, or `close` was called;
                can be tried again.
            StateUnavailable: the state server does not answer; can be tried again.
            ControlUnavailable: the keys of subjects cannot be read; can be tried again.
            BundleError: the ledger's payments are counted in another currency than the bundle's.
            BrokenChain: the ledger was changed.
            DataError: the key of personal columns is another than the ledger was written with, or
                the table to start from is unusable.
        """
        with self._opening:
            self._require_open()
            try:
                self._read_keys()
                self.ledger.open()
                self._states.detach_restored(self.bundle)
                # the state belongs to this very ledger
                self._switchover.empty()
                if self.keys is not None:
                    require_own_keys(self.ledger)
                self._rebuild()
            except Exception as error:
                self.ledger.close()
                self._switchover.empty()
                why = (
                    str(error)
                    if isinstance(error, ShroffError)
                    else f"{type(error).__name__} at its start"
                )
                self._close_intake(why)
                raise
            self._open_intake()

    def _read_keys(self) -> None:
        """Read the keys of subjects; without a subject the service starts without them too."""
        if self.keys is None:
            return
        try:
            self.keys.refresh()
        except ControlUnavailable as error:
            if self.bundle.schema.subject is not None:
                raise
            _log.warning("%s", error)

    def _rebuild(self) -> None:
        """Fill the state, and record what it was built from."""
        require_currency(self.bundle, currency_of(self.ledger, self.bundle))
        saved = self._states.saved(self.bundle)
        with (
            saved or nullcontext(),
            Check(
                self.ledger,
                accept=self._accept_broken_chain,
                tick=self._require_open,
                vouched=None if saved is None else saved.end.head,
            ) as check,
        ):
            mark = self._states.prepare(self.bundle, self.state, proof=check.proof, saved=saved)
        self.state.join(self._require_open)
        self._arrivals.after(mark.arrived)
        start = Start.of(self.bundle, mark, check.done(), check.before, self._key)
        self.ledger.write_now(start.entry(self._arrivals.next()))
        self.started = start
        self._take_over()
        self._wrong_past = say_start(start, self.bundle, mark, self.state.engine.plan.horizon)

    def _take_over(self) -> None:
        """Count what the control lane put at stake today, before this start."""
        if self.decider.lane is not None:
            now = self._clock()
            self.control_group.take_over(self.ledger.entries(since=now // DAY_US * DAY_US), now)

    async def adopt(self, bundle: Bundle, standing: Standing | None = None) -> None:
        """Decide by another bundle or policy from the next payment on, without refusing any.

        If its features differ, they are first computed over history and ledger, while the old ones
        stay in use; payments wait only while the few that came during the last step are added.
        Processes that share a state switch together: none may serve features of the new state while
        another still decides by the old one.

        Raises:
            BundleError: its parts do not fit together, or it reads payments of other fields or
                another currency.
            ConfigurationError: the policy does not fit the bundle.
            LedgerUnavailable: the ledger cannot be read.
            StateUnavailable: the state server does not answer.
        """
        self._require_ready()
        await self._switchover.adopt(bundle, standing)

    async def compare(self, candidate: Bundle | None, standing: Standing | None = None) -> None:
        """Let a candidate score in the shadow from now on, under a policy; None ends it.

        Raises:
            BundleError: it reads what is not computed.
            ConfigurationError: the policy does not fit it.
        """
        await self._switchover.compare(candidate, standing)

    def follow_lists(self) -> None:
        """Apply the edits of lists that began or ended."""
        self._switchover.follow_lists()

    async def keep_lists(self) -> None:
        """`follow_lists` without blocking payments: a thread prepares long lists."""
        await self._switchover.keep_lists()

    def follow_rates(self) -> None:
        """Convert payments by the exchange rates as they are now."""
        self._switchover.follow_rates()

    async def keep_tables(self) -> None:
        """Look payments up in the reference tables as they are now."""
        await self._switchover.keep_tables()

    async def keep_state(self) -> None:
        """Rebuild the state once it was lost, once people were forgotten whom it counts, or, in
        memory, once the clock was set back behind it.
        """
        if self.deciding:
            await asyncio.to_thread(self.refill)
            await self._switchover.refill()

    def refill(self) -> None:
        """Fill a shared state anew that was lost, or wait until another process has."""
        if self.state.away:
            state = self._states.new(self.bundle)
            # while it is away, the service has already said so
            with closing(state.engine), suppress(ShroffError):
                self._states.prepare(self.bundle, state, only_empty=True)

    async def save_state(self) -> None:
        """Write a snapshot of the state in memory where it is time for one."""
        if self.deciding and self._saver.due:
            await self._saver.save()

    async def forget(self, erasure: SubjectErasure, finish: Callable[[], object]) -> None:
        """Destroy keys of subjects by `finish`, which a thread calls; the state forgets with it.

        Where only this process decides, no payment meets a state that differs from the ledger.
        """
        if self.ledger.sole_writer and self._states.alone:
            await self._switchover.forget(erasure, finish)
        else:
            await asyncio.to_thread(finish)
            await self.keep_state()

    def tend(self) -> None:
        """Reload lists, rates, tables and keys; from any thread, each second."""
        with self._outage.noted():
            for live in (self.lists, self.rates, self._tables, self.keys):
                if live is not None:
                    live.refresh()

    def beat(self) -> None:
        """Send a state that was away what it missed; call it twice a second, between payments."""
        if self.deciding:
            self.state.beat()
            for answered, stands in self.ledger.overruled():
                readable = answered.forgotten is stands.forgotten is None
                if readable and answered.digest != stands.digest and not self._states.alone:
                    self.state.concede(stored_payment(answered), stored_payment(stands))

    def leave(self) -> None:
        """Leave the shared state, so that other processes stop waiting; `close` it then."""
        if self.deciding:
            self.state.leave()

    def abort(self) -> None:
        """Stop filling states, from any thread; `close` it then."""
        self.closed = True

    def close(self) -> None:
        """Write what waits, close the ledger and keep a snapshot of the state, in any thread, once
        no caller waits any more.
        """
        self.abort()
        with self._opening:
            decided = self.deciding
            self._close_intake("it is shutting down")
            self.ledger.close()
            if decided:
                self._saver.save_now()
            say_end(self.ledger.commits.end)

    def _require_open(self) -> None:
        if self.closed:
            raise LedgerUnavailable("the service is shutting down.")
