"""Making states: empty ones, filled from history and ledger."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from secrets import token_hex
from typing import Protocol, runtime_checkable

import polars as pl

from shroff.clock import Clock
from shroff.collect.extent import extent
from shroff.errors import BadFile
from shroff.features.engines.online import is_shared
from shroff.ledger import Head, Ledger, Proof
from shroff.package import Bundle
from shroff.state import rebuild
from shroff.state.arrivals import Arrivals
from shroff.state.backfill import Backfill, ticking
from shroff.state.base import LocalState, State
from shroff.state.mark import Mark
from shroff.state.snapshots import End, Header, Saved, Snapshots, SnapshotWriter

_log = logging.getLogger(__name__)


@runtime_checkable
class SourcedHistory(Protocol):
    """A clean table to start from, whose source can be compared without reading it."""

    read: str | None
    """A digest of the source from which the table was read last; None: not known."""

    def __call__(self) -> pl.DataFrame:
        """Read it."""

    def source(self) -> str | None:
        """A digest of the source as it is now; None where only reading the table tells."""


def keeps_snapshots(where: str, ledger: Ledger) -> bool:
    """Whether states have snapshots: in memory, of a ledger that nobody else writes, whose records
    would be missing in them.
    """
    return ledger.sole_writer and not is_shared(where)


class States:
    """The states of a scorer: the one in use, and those for other bundles or after a loss.

    Args:
        where: `memory`, or the URL of a Redis server.
        member: the name of this process among those that share states; by default a random one.
        history: makes a clean table to start from; payments that are also in the ledger count once.
            A `SourcedHistory` is not read where a snapshot began with the same.
        tick: called while something is read; may raise to abort.
        destroyed: a name for what keys of subjects are gone, see `LiveKeyring`.
        snapshots: of a state in memory; None: none is written or read.
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
        destroyed: Callable[[], str] = lambda: "",
        snapshots: Snapshots | None = None,
    ) -> None:
        self._where = where
        self._ledger = ledger
        self._arrivals = arrivals
        self._member = member or token_hex(8)
        self._lateness = lateness
        self._history = history
        self._source = history if isinstance(history, SourcedHistory) else None
        self._clock = clock
        self._tick = tick
        self._destroyed = destroyed
        self.snapshots = snapshots if keeps_snapshots(where, ledger) else None
        """Where snapshots of these states are, if there are any."""

    @property
    def alone(self) -> bool:
        """Whether no other process shares its states."""
        return not is_shared(self._where)

    def outdated(self, state: State) -> bool:
        """Whether it was made before people were forgotten, and may still count them."""
        return state.destroyed != self._destroyed()

    def date(self, state: State) -> None:
        """Say that a state was made of what can be read now."""
        state.destroyed = self._destroyed()

    def new(self, bundle: Bundle) -> State:
        """A state for a bundle: an empty one, or the existing one in Redis.

        Raises:
            ConfigurationError: there is no such place.
            MissingExtra: the client for it is not installed.
        """
        destroyed = self._destroyed()
        if not is_shared(self._where):
            engine = self._backfill(bundle).engine()
            return LocalState(engine, self._arrivals, destroyed=destroyed)
        # a state in memory starts without them
        from shroff.features.engines.online.redis import RedisEngine
        from shroff.state.shared import SharedState

        ledger = self._ledger
        # states of other ledgers have other names, and those that count people forgotten since
        shared = RedisEngine(
            bundle.groups,
            bundle.schema,
            url=self._where,
            lateness=self._lateness,
            space=f"shroff:{ledger.identity}",
            edition=destroyed,
        )
        return SharedState(
            shared,
            self._arrivals,
            ledger.numbers,
            lambda: ledger.durable,
            member=self._member,
            destroyed=destroyed,
        )

    def detach_restored(self, bundle: Bundle) -> None:
        """Give the ledger another name if states of its name know records that it lacks.

        Then it was restored from a copy older than the states, or another copy of it is in use.

        Raises:
            StateUnavailable, LedgerUnavailable: the server or the database does not answer.
        """
        state = self.new(bundle)
        try:
            ahead = state.ahead_of(self._ledger)
        finally:
            state.engine.close()
        if ahead is None:
            return
        self._ledger.renew_identity()
        _log.warning(
            "the state knows record %s, which the ledger does not have: it was restored from a "
            "copy, or two copies of it are in use. The state is left alone, and another one is "
            "filled from history and ledger.",
            f"{ahead.seq:,}",
            extra={"event": "state_ahead"},
        )

    def saved(self, bundle: Bundle) -> Saved | None:
        """The snapshot that a state of a bundle can go on from, open until it is closed; one that
        none can is removed.

        Raises:
            LedgerUnavailable: the database does not answer.
            DataError: the history is unusable.
        """
        if self.snapshots is None:
            return None
        try:
            saved = self.snapshots.read(self._ledger.identity)
        except BadFile as error:
            self._leave(str(error).rstrip("."))
            return None
        if saved is None:
            return None
        with ExitStack() as unused:
            unused.enter_context(saved)
            if why := self._unfit(bundle, saved):
                self._leave(why)
                return None
            unused.pop_all()
        _log.info(
            "the state goes on from its snapshot of the ledger's first %s records.",
            f"{saved.end.head.seq:,}",
            extra={"event": "snapshot_used"},
        )
        return saved

    def _leave(self, why: str) -> None:
        """Say why the snapshot is not used, and remove it."""
        _log.warning(
            "the snapshot of the state is not used: %s. The state is rebuilt from history and the "
            "whole ledger.",
            why,
            extra={"event": "snapshot_not_used"},
        )
        self.remove_saved()

    def _unfit(self, bundle: Bundle, saved: Saved) -> str | None:
        """Why a state of a bundle cannot go on from a snapshot."""
        header, engine = saved.header, self._backfill(bundle).engine()
        if header.destroyed != self._destroyed():
            return "people were forgotten since"
        if header.currency != bundle.currency:
            return "it counts amounts in another currency"
        try:
            engine.begin(header.origin)
        except BadFile:
            return "it is of other features or another lateness, or ahead of the clock"
        if not self._ledger.holds(saved.end.head):
            return "the ledger does not have its last record"
        return None if self._same_history(bundle, saved) else "it began with another history"

    def _same_history(self, bundle: Bundle, saved: Saved) -> bool:
        """Whether a snapshot began with today's history, which is read only if need be."""
        if self._history is None or saved.history is None:
            return (self._history, saved.history) == (None, None)
        known = saved.header.mark.source
        if self._source is not None and known is not None and known == self._source.source():
            return True
        return extent(self._history(), bundle.schema) == saved.history

    def whole(self, state: LocalState) -> bool:
        """Whether a state counts all that it should, and nobody who was forgotten."""
        return not (
            state.filled is None or state.failure or state.overtaken or self.outdated(state)
        )

    def snapshot_of(self, bundle: Bundle, state: LocalState, first: int) -> SnapshotWriter:
        """A snapshot of a whole state that is about to be written.

        Args:
            first: the last record that the state knows.

        Raises:
            OSError: its folder cannot be written.
        """
        if self.snapshots is None or state.filled is None:
            raise ValueError("expected a state that was filled, and a place for its snapshot.")
        return self.snapshots.begin(
            Header(
                origin=state.engine.origin(),
                ledger=self._ledger.identity,
                destroyed=state.destroyed,
                currency=bundle.currency,
                mark=state.filled,
                first=first,
            )
        )

    def remove_saved(self) -> None:
        """Remove the snapshot, which counts people who were forgotten."""
        if self.snapshots is not None:
            self.snapshots.remove(self._ledger.identity)

    def end(self, state: LocalState, head: Head) -> End:
        """How a snapshot of a state ends that knows all records up to this one."""
        newest = state.engine.newest if state.engine.timelines.watermark else 0
        return End(head=head, arrived=self._arrivals.last, newest=newest)

    def prepare(
        self,
        bundle: Bundle,
        state: State,
        *,
        only_empty: bool = False,
        proof: Proof | None = None,
        ledger: Ledger | None = None,
        saved: Saved | None = None,
    ) -> Mark:
        """Fill a state from history and ledger; with `only_empty` only if it is missing in Redis.

        Args:
            proof: verifies the ledger's records while they are read.
            ledger: another view of the ledger.
            saved: a snapshot to go on from.

        Raises:
            StateUnavailable, LedgerUnavailable: the server or the database does not answer.
            BrokenChain: the ledger was changed.
        """
        mark = state.prepare(self._backfill(bundle, proof, ledger, saved), only_empty=only_empty)
        if self._source is not None and isinstance(state, LocalState):
            # also where a snapshot's was compared: other bytes may hold the same table
            state.filled = mark = mark._replace(source=self._source.read or mark.source)
        return mark

    def catch_up(self, state: State, last: int, ledger: Ledger | None = None) -> int:
        """Add what came after a record; returns the number of the last one."""
        entries = (ledger or self._ledger).entries(after=last)
        return max(last, rebuild.replay(state.engine, ticking(entries, self._tick)).seq)

    def _backfill(
        self,
        bundle: Bundle,
        proof: Proof | None = None,
        ledger: Ledger | None = None,
        saved: Saved | None = None,
    ) -> Backfill:
        return Backfill(
            bundle.groups,
            bundle.schema,
            ledger or self._ledger,
            currency=bundle.currency,
            lateness=self._lateness,
            history=self._history,
            clock=self._clock,
            tick=self._tick,
            proof=proof,
            saved=saved,
        )
