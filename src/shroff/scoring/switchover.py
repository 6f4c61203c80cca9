"""Switchovers: another model, policy, list, rate, table or state takes over without a stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from shroff.clock import Clock
from shroff.collect import PaymentReader, Schema
from shroff.collect.wire import live_scales
from shroff.control import LiveLists, LiveRates, LiveTables
from shroff.decide.decider import Decider
from shroff.decide.standing import Standing, own
from shroff.errors import BundleError, ShroffError
from shroff.ledger.erasure import SubjectErasure
from shroff.package import Bundle
from shroff.scoring.active import Active, reader_of
from shroff.scoring.sequencer import Sequencer
from shroff.scoring.shadow import Shadow
from shroff.scoring.start import require_currency
from shroff.state import State, States

_SWITCHOVER_TIMEOUT_US: Final = 10_000_000
"""Microseconds that processes with a shared state wait for each other at a switchover."""
_POLL_SECONDS: Final = 0.02
"""Seconds between two checks whether the other processes have arrived."""
_log = logging.getLogger(__name__)


class Switchover:
    """Makes the next active value while payments go on, and hands it to the sequencer.

    Args:
        lists: edits of the lists that rules read.
        rates: what was put in the place of the bundle's exchange rates; `tables` of its reference
            tables.
        key: of the HMAC over personal columns.
        require_open: raises once the service is closed.
    """

    def __init__(
        self,
        sequencer: Sequencer,
        states: States,
        *,
        lists: LiveLists | None,
        rates: LiveRates | None,
        tables: LiveTables | None,
        key: bytes,
        clock: Clock,
        require_open: Callable[[], None],
    ) -> None:
        self._sequencer = sequencer
        self._states = states
        self._lists = lists
        self._rates = rates
        self._tables = tables
        self._key = key
        self._clock = clock
        self._require_open = require_open
        self._one_at_a_time = asyncio.Lock()
        self._one_state_at_a_time = asyncio.Lock()
        self._failed_refill: str | None = None
        self._drops = 0

    @property
    def drops(self) -> int:
        """How often a state was dropped: one of its keys held what no process of ours wrote."""
        return self._drops + self._active.state.drops

    @property
    def _active(self) -> Active:
        return self._sequencer.active

    def empty(self) -> None:
        """Begin with an empty state."""
        state = self._states.new(self._active.bundle)
        self._sequencer.use(replace(self._active, state=state))

    async def adopt(self, bundle: Bundle, standing: Standing | None) -> None:
        """See `Scorer.adopt`."""
        async with self._one_state_at_a_time:
            await self._adopt(bundle, standing)

    async def _adopt(self, bundle: Bundle, standing: Standing | None) -> None:
        active = self._active
        if bundle is active.bundle:
            policy = standing or own(bundle)
            decider = await asyncio.to_thread(active.decider.under, policy)
            self._use(bundle, decider, self._active.state, active.reader)
            return
        require_currency(bundle, active.bundle.currency)
        decider = await asyncio.to_thread(Decider, bundle, standing)
        if decider.failure is not None:
            # the model that decides can score
            raise BundleError(decider.failure)
        if (bundle.groups, bundle.schema) == (active.bundle.groups, active.bundle.schema):
            reader = await self._reader(bundle, self._active.state)
            self._use(bundle, decider, self._active.state, reader)
            return
        state = self._states.new(bundle)
        self._require_same_payments(state.engine.plan.schema)
        reader = await self._reader(bundle, state)
        await self._change_state(bundle, decider, state, reader)

    async def compare(self, candidate: Bundle | None, standing: Standing | None) -> None:
        """See `Scorer.compare`."""
        production = self._active.bundle
        shadow = (
            None
            if candidate is None
            else await asyncio.to_thread(Shadow, candidate, production, standing)
        )
        if shadow is not None:
            shadow.use(self._listing(shadow.decider))
        self._sequencer.use(replace(self._active, shadow=shadow))

    async def refill(self) -> None:
        """Fill the state anew if it counts people who were forgotten, or, one in memory, if the
        clock was set back; Redis finds the latter out itself.
        """
        async with self._one_state_at_a_time:
            active, failed = self._active, self._failed_refill
            forgotten = self._states.outdated(active.state)
            if not (forgotten or active.state.overtaken):
                return
            if forgotten:
                self._states.remove_saved()
            self._failed_refill, said = None, "the state was filled anew from history and ledger."
            try:
                await self._refill(active)
            except ShroffError as error:
                # the next call tries again, and logs nothing twice
                self._failed_refill = said = f"the state cannot be filled anew: {error}"
        if said != failed:
            why = "people were forgotten" if forgotten else "the clock was set back"
            event = "state_forgets" if forgotten else "clock_back"
            _log.warning("%s: %s", why, said, extra={"event": event})

    async def _refill(self, active: Active) -> None:
        state, before = self._states.new(active.bundle), active.state
        await self._change_state(active.bundle, active.decider, state, active.reader)
        if before.destroyed != state.destroyed:
            await asyncio.to_thread(before.discard)

    async def forget(self, erasure: SubjectErasure, finish: Callable[[], object]) -> None:
        """Let all payments before a moment be forgotten, and those after it be decided by a state
        that never had them.

        Only for a state and a ledger that no other process uses.

        Args:
            finish: destroys the keys; a thread calls it while payments wait.
        """
        async with self._one_state_at_a_time:
            states, bundle = self._states, self._active.bundle
            state = states.new(bundle)
            mark = await asyncio.to_thread(states.prepare, bundle, state, ledger=erasure.view)
            # of payments that came meanwhile
            await asyncio.to_thread(erasure.trace)
            last = await asyncio.to_thread(states.catch_up, state, mark.seq, erasure.view)
            async with self._sequencer.paused():
                await asyncio.to_thread(finish)
                await asyncio.to_thread(states.catch_up, state, last)
                states.date(state)
                states.remove_saved()
                self._sequencer.use(replace(self._active, state=state))

    def follow_lists(self) -> None:
        """Apply the edits of lists that began or ended."""
        for decider in self._deciders():
            self._replace(decider, self._listing(decider))

    async def keep_lists(self) -> None:
        """`follow_lists` without blocking payments: a thread prepares long lists."""
        lists = self._lists
        if lists is None:
            return
        async with self._one_at_a_time:
            for decider in self._deciders():
                if decider.followed is None or not lists.hold(decider.followed):
                    now = await asyncio.to_thread(lists.now, decider.policy.lists)
                    self._replace(decider, await asyncio.to_thread(decider.listing, now))

    def follow_rates(self) -> None:
        """Convert payments by the exchange rates as they are now."""
        active = self._active
        reader = self._converting(active.reader, active.bundle)
        if reader is not active.reader:
            self._sequencer.use(replace(active, reader=reader))
            _log.info(
                "payments are converted by other exchange rates from now on.",
                extra={"event": "rates"},
            )

    async def keep_tables(self) -> None:
        """Look payments up in the reference tables as they are now; a thread prepares long ones."""
        active = self._active
        reader = await asyncio.to_thread(self._looking, active.reader, active.bundle)
        # if another value was switched in meanwhile, the next call is early enough
        if reader is not active.reader and self._active.reader is active.reader:
            self._sequencer.use(replace(self._active, reader=reader))
            _log.info(
                "payments are looked up in other reference tables from now on.",
                extra={"event": "tables"},
            )

    def _looking(self, reader: PaymentReader, bundle: Bundle) -> PaymentReader:
        own = bundle.schema.tables
        return (
            reader.looking_in(self._tables.now(own)) if self._tables is not None and own else reader
        )

    def _listing(self, decider: Decider) -> Decider:
        return (
            decider
            if self._lists is None
            else decider.listing(self._lists.now(decider.policy.lists))
        )

    def _converting(self, reader: PaymentReader, bundle: Bundle) -> PaymentReader:
        own = bundle.schema.rates
        if self._rates is None or own is None:
            return reader
        return reader.converting(self._rates.now(own.base))

    def _deciders(self) -> list[Decider]:
        active = self._active
        return [active.decider, *([active.shadow.decider] if active.shadow else [])]

    def _replace(self, before: Decider, after: Decider) -> None:
        """Replace a decider by another, unless it was switched meanwhile; lists follow then."""
        active = self._active
        if active.decider is before:
            self._sequencer.use(replace(active, decider=after))
        elif active.shadow is not None and active.shadow.decider is before:
            active.shadow.use(after)

    async def _reader(self, bundle: Bundle, state: State) -> PaymentReader:
        # a long table takes long to prepare: not on the event loop
        return await asyncio.to_thread(reader_of, bundle, state, self._key)

    async def _change_state(
        self, bundle: Bundle, decider: Decider, state: State, reader: PaymentReader
    ) -> None:
        """Fill a second state while the first is in use, then decide by it."""
        states = self._states
        mark = await asyncio.to_thread(states.prepare, bundle, state)
        last = await asyncio.to_thread(states.catch_up, state, mark.seq)
        deadline = self._clock() + _SWITCHOVER_TIMEOUT_US
        while not state.assembled(self._active.state) and self._clock() < deadline:
            last = await asyncio.to_thread(states.catch_up, state, last)
            await self._look_again()
        last = await asyncio.to_thread(states.catch_up, state, last)
        async with self._sequencer.paused():
            await asyncio.to_thread(states.catch_up, state, last)
            while not state.entered():
                await self._look_again()
            shadow = self._active.shadow if bundle is self._active.bundle else None
            self._use(bundle, decider, state, reader)
            # one that was put beside or taken away meanwhile, not the one of the beginning
            self._sequencer.use(replace(self._active, shadow=shadow))

    async def _look_again(self) -> None:
        self._require_open()
        await asyncio.sleep(_POLL_SECONDS)

    def _use(self, bundle: Bundle, decider: Decider, state: State, reader: PaymentReader) -> None:
        """Decide by these from the next payment on, without the shadow of the one before."""
        before = self._active.state
        if state is not before:
            before.leave()
            self._drops += before.drops
        reader = self._looking(self._converting(reader, bundle), bundle)
        self._sequencer.use(Active.of(bundle, self._listing(decider), state, reader))

    def _require_same_payments(self, schema: Schema) -> None:
        """Raise `BundleError` unless a schema's payments have the fields of today's."""
        current = self._active.reader.schema
        times = (schema.timezone, schema.epoch) == (current.timezone, current.epoch)
        same = times and schema.subject == current.subject
        if not same or live_scales(schema) != live_scales(current):
            raise BundleError(
                "the bundle expects other fields of a payment: start the service anew with it."
            )
