"""Making states: empty ones, filled from history and ledger."""

from __future__ import annotations

import logging
from collections.abc import Callable
from secrets import token_hex

import polars as pl

from shroff.clock import Clock
from shroff.features.engines.online import is_shared
from shroff.features.engines.online.redis import RedisEngine
from shroff.ledger import Ledger, Proof
from shroff.package import Bundle
from shroff.state import rebuild
from shroff.state.arrivals import Arrivals
from shroff.state.backfill import Backfill, ticking
from shroff.state.base import LocalState, State
from shroff.state.rebuild import Mark
from shroff.state.shared import SharedState

_log = logging.getLogger(__name__)


class States:
    """The states of a scorer: the one in use, and those for other bundles or after a loss.

    Args:
        where: `memory`, or the URL of a Redis server.
        member: the name of this process among those that share states; by default a random one.
        history: makes a clean table to start from; payments that are also in the ledger count once.
        tick: called while something is read; may raise to abort.
        destroyed: a name for what keys of subjects are gone, see `LiveKeyring`.
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
    ) -> None:
        self._where = where
        self._ledger = ledger
        self._arrivals = arrivals
        self._member = member or token_hex(8)
        self._lateness = lateness
        self._history = history
        self._clock = clock
        self._tick = tick
        self._destroyed = destroyed

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

    def prepare(
        self,
        bundle: Bundle,
        state: State,
        *,
        only_empty: bool = False,
        proof: Proof | None = None,
        ledger: Ledger | None = None,
    ) -> Mark:
        """Fill a state from history and ledger; with `only_empty` only if it is missing in Redis.

        Args:
            proof: verifies the ledger's records while they are read.
            ledger: another view of the ledger.

        Raises:
            StateUnavailable, LedgerUnavailable: the server or the database does not answer.
            BrokenChain: the ledger was changed.
        """
        return state.prepare(self._backfill(bundle, proof, ledger), only_empty=only_empty)

    def catch_up(self, state: State, last: int, ledger: Ledger | None = None) -> int:
        """Add what came after a record; returns the number of the last one."""
        entries = (ledger or self._ledger).entries(after=last)
        return max(last, rebuild.replay(state.engine, ticking(entries, self._tick)).seq)

    def _backfill(
        self, bundle: Bundle, proof: Proof | None = None, ledger: Ledger | None = None
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
        )
