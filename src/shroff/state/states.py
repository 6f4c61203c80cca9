"""Making states: empty ones, and what lets them know history and ledger."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from secrets import token_hex

import polars as pl

from shroff.clock import Clock
from shroff.features.engines.online import OnlineEngine, engine_at
from shroff.features.window import micros
from shroff.ledger import Head, Ledger, Proof, StoredEntry
from shroff.package import Bundle
from shroff.state import rebuild
from shroff.state.arrivals import Arrivals
from shroff.state.base import LocalState, State
from shroff.state.rebuild import Mark, ensure_filled
from shroff.state.shared import SharedState

_log = logging.getLogger(__name__)


class States:
    """The states of a scorer: the one it uses, and those it makes for other bundles or when one was lost.

    Args:
        where: `memory`, or the URL of a Redis server.
        member: the name of this process among those that share states; by default one of its own.
        history: makes a clean table to start from; payments that the ledger has too are not counted twice.
        tick: called all the while something is read; may raise, to break it off.
    """

    def __init__(
        self,
        where: str,
        ledger: Ledger,
        arrivals: Arrivals,
        *,
        member: str,
        lateness: str,
        history: Callable[[], pl.DataFrame] | None,
        clock: Clock,
        tick: Callable[[], None],
    ) -> None:
        self._where = where
        self._ledger = ledger
        self._arrivals = arrivals
        self._member = member or token_hex(8)
        self._lateness = lateness
        self._history = history
        self._clock = clock
        self._tick = tick

    def new(self, bundle: Bundle) -> State:
        """A state for a bundle: an empty one, or the one there is in Redis.

        Raises:
            ConfigurationError: there is no such place.
        """
        # a state of another ledger is never seen
        space = f"shroff:{self._ledger.identity}"
        engine = engine_at(
            self._where, bundle.groups, bundle.schema, lateness=self._lateness, space=space, clock=self._clock
        )
        if isinstance(engine, OnlineEngine):
            return LocalState(engine, self._arrivals)
        ledger = self._ledger
        return SharedState(engine, self._arrivals, ledger.numbers, lambda: ledger.durable, member=self._member)

    def part(self, bundle: Bundle) -> None:
        """Let the ledger take another name where the states of its name know what it does not have.

        It was restored from a copy that is older than they are, or another copy of it is in use.

        Raises:
            StateUnavailable, LedgerUnavailable: the server or the database does not answer.
        """
        engine = self.new(bundle).engine
        if isinstance(engine, OnlineEngine):
            return
        try:
            vouched = Head(*engine.voucher.vouched())
            if engine.mark() <= self._ledger.head().seq and self._ledger.holds(vouched):
                return
        finally:
            engine.close()
        self._ledger.renew_identity()
        _log.warning(
            "the state knows record %s, which the ledger does not have: it was restored from a copy, or two copies of "
            "it are in use. The state is left alone, and another one is filled from history and ledger.",
            f"{vouched.seq:,}",
            extra={"event": "state_ahead"},
        )

    def prepare(self, bundle: Bundle, state: State, *, only_empty: bool = False, proof: Proof | None = None) -> Mark:
        """Let a state know history and ledger; with `only_empty` only a Redis that has none.

        Args:
            proof: proves the ledger's records while they are read.

        Raises:
            StateUnavailable, LedgerUnavailable: the server or the database does not answer.
            BrokenChain: the ledger was changed.
        """
        engine = state.engine
        if isinstance(engine, OnlineEngine):
            return self._fill(bundle, engine, self._tick, proof)

        # what comes of it where another process fills the state
        filled = [Mark(0, 0, shared=True)]

        def fill(tick: Callable[[], None]) -> tuple[OnlineEngine, Mark]:
            def both() -> None:
                self._tick()
                tick()

            source = OnlineEngine(bundle.groups, bundle.schema, lateness=self._lateness, clock=self._clock)
            filled.append(self._fill(bundle, source, both, proof))
            return source, filled[-1]

        if only_empty and engine.ready():
            return filled[-1]

        def recent(after: int) -> Iterator[StoredEntry]:
            if proof is not None:
                proof.finish(self._tick)
            # what arrived longer ago came too late to count, had another process not told the state of it
            return self._read(self._ledger.entries(after=after, since=self._clock() - micros(self._lateness)))

        known = ensure_filled(engine, fill, recent, currency=bundle.currency)
        mark = filled[-1]._replace(seq=known, arrived=0)
        # one that has seen nothing is as new as its lateness
        return mark._replace(newest=engine.newest) if mark.shared and engine.newest > engine.lateness else mark

    def catch_up(self, state: State, last: int) -> int:
        """Add what came since a record; the number of the last one."""
        return max(last, rebuild.replay(state.engine, self._read(self._ledger.entries(after=last))).seq)

    def _fill(self, bundle: Bundle, engine: OnlineEngine, tick: Callable[[], None], proof: Proof | None) -> Mark:
        def read(after: int) -> Iterator[StoredEntry]:
            return self._read(self._ledger.entries(after=after) if proof is None else proof.read(after))

        history = None if self._history is None else self._history()
        lateness, now = micros(self._lateness), self._clock()
        return rebuild.fill(
            engine, history, self._ledger, read, currency=bundle.currency, lateness=lateness, now=now, tick=tick
        )

    def _read(self, entries: Iterator[StoredEntry]) -> Iterator[StoredEntry]:
        for entry in entries:
            self._tick()
            yield entry
