"""Snapshots of the state, taken while payments go on and at the end, for the next start."""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack
from time import monotonic, perf_counter
from typing import Final

from shroff.features.engines.online.snapshot import PORTION_KEYS, Portion
from shroff.ledger import Head, Ledger
from shroff.scoring.sequencer import Sequencer
from shroff.state import LocalState, States
from shroff.state.snapshots import SnapshotWriter

_SHARE: Final = 0.1
"""The most of the time that packing takes from payments."""
_log = logging.getLogger(__name__)


class StateSaver:
    """Writes snapshots of the state in use, if it is one in memory over a ledger of its own."""

    def __init__(self, sequencer: Sequencer, states: States, ledger: Ledger) -> None:
        self._sequencer = sequencer
        self._states = states
        self._ledger = ledger
        self._last = monotonic()
        self._head: Head | None = None

    @property
    def due(self) -> bool:
        """Whether it is time for another snapshot, and there is something new in it."""
        snapshots = self._states.snapshots
        return (
            snapshots is not None
            and monotonic() - self._last >= snapshots.seconds
            and self._ledger.durable != self._head
        )

    async def save(self) -> None:
        """Write a snapshot portion by portion: payments wait only while one is packed."""
        self._last = monotonic()
        state, written = self._sequencer.active.state, False
        if not isinstance(state, LocalState):
            return
        try:
            with ExitStack() as stack:
                written = await self._write(state, stack)
        except OSError as error:
            _say_failed(error)
        if written and self._sequencer.active.state is not state:
            # people may have been forgotten while its end was written
            self._states.remove_saved()

    async def _write(self, state: LocalState, stack: ExitStack) -> bool:
        writer: SnapshotWriter | None = None
        portions = state.engine.portions(PORTION_KEYS)
        while True:
            async with self._sequencer.paused():
                head = self._ledger.durable
                if not self._whole(state):
                    return False
                if writer is None:
                    writer = stack.enter_context(self._begin(state, head))
                began = perf_counter()
                portion: Portion | None = next(portions, None)
                took = perf_counter() - began
                end = self._states.end(state, head)
            if portion is None:
                await asyncio.to_thread(writer.finish, end)
                self._head = head
                return True
            await asyncio.to_thread(writer.add, head.seq, portion)
            await asyncio.sleep(took / _SHARE - took)

    def save_now(self) -> None:
        """Write a snapshot of a state that no payment changes any more."""
        state, head = self._sequencer.active.state, self._ledger.durable
        snapshots = self._states.snapshots
        if (
            snapshots is None
            or not isinstance(state, LocalState)
            or not (self._sequencer.settled and self._whole(state))
            or head == self._head
        ):
            return
        try:
            with self._begin(state, head) as writer:
                for portion in state.engine.portions():
                    writer.add(head.seq, portion)
                writer.finish(self._states.end(state, head))
        except OSError as error:
            _say_failed(error)

    def _whole(self, state: LocalState) -> bool:
        """Whether a state is in use and knows all records, and no other."""
        return (
            self._sequencer.active.state is state
            and self._ledger.spooled is None
            and self._states.whole(state)
        )

    def _begin(self, state: LocalState, head: Head) -> SnapshotWriter:
        return self._states.snapshot_of(self._sequencer.active.bundle, state, head.seq)


def _say_failed(error: OSError) -> None:
    _log.warning(
        "no snapshot of the state could be written (%s): the next start reads more of the ledger.",
        error.strerror,
        extra={"event": "no_snapshot"},
    )
