"""Backfill: feeds a new state with history and ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import polars as pl

from shroff.clock import Clock
from shroff.collect import Schema
from shroff.features.engines.online import OnlineEngine
from shroff.features.group import FeatureGroup
from shroff.features.window import micros
from shroff.ledger import Ledger, Proof, StoredEntry
from shroff.state import rebuild
from shroff.state.mark import Mark
from shroff.state.snapshots import Saved

Tick = Callable[[], None]
"""Called for each stretch of history and each record that is read; may raise to abort the reading.
"""


class Backfill:
    """Fills states of the same features from history, if there is one, and then from the ledger.

    Args:
        currency: the only one that payments may be counted in; None takes any.
        lateness: that of the states.
        history: makes a clean table to start from; payments that are also in the ledger count once.
        tick: called while something is read or waited for; may raise to abort.
        proof: verifies the ledger's records while they are read.
        saved: a snapshot to go on from, instead of history and all records.
    """

    def __init__(
        self,
        groups: Sequence[FeatureGroup],
        schema: Schema,
        ledger: Ledger,
        *,
        currency: str | None,
        lateness: str,
        history: Callable[[], pl.DataFrame] | None,
        clock: Clock,
        tick: Tick,
        proof: Proof | None = None,
        saved: Saved | None = None,
    ) -> None:
        self.currency = currency
        self._groups = groups
        self._schema = schema
        self._ledger = ledger
        self._lateness = lateness
        self._history = history
        self._clock = clock
        self.tick = tick
        self._proof = proof
        self._saved = saved

    def engine(self) -> OnlineEngine:
        """An empty engine in memory."""
        return OnlineEngine(self._groups, self._schema, lateness=self._lateness, clock=self._clock)

    def fill(self, engine: OnlineEngine, tick: Tick | None = None) -> Mark:
        """Feed an empty engine with history and ledger; this `tick` is called too, if given."""

        def both() -> None:
            self.tick()
            if tick is not None:
                tick()

        def read(after: int) -> Iterator[StoredEntry]:
            return ticking(self._entries(after), both)

        lateness, now = micros(self._lateness), self._clock()
        begun: partial[Mark]
        if self._saved is not None:
            begun = partial(rebuild.resume, engine, self._saved)
        else:
            history = None if self._history is None else self._history()
            begun = partial(rebuild.fill, engine, history)
        return begun(
            self._ledger, read, currency=self.currency, lateness=lateness, now=now, tick=both
        )

    def recent(self, after: int) -> Iterator[StoredEntry]:
        """The records after a number that may still count in a state that was filled up to it."""
        if self._proof is not None:
            self._proof.finish(self.tick)
        # older payments would be refused as late, unless another process has added them already
        since = self._clock() - micros(self._lateness)
        return ticking(self._ledger.entries(after=after, since=since), self.tick)

    def _entries(self, after: int) -> Iterable[StoredEntry]:
        return self._ledger.entries(after=after) if self._proof is None else self._proof.read(after)


def ticking(entries: Iterable[StoredEntry], tick: Tick) -> Iterator[StoredEntry]:
    """The same records, with a call of `tick` before each."""
    for entry in entries:
        tick()
        yield entry
