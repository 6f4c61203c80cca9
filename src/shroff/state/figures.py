"""The state's metrics: timelines, their events, and payments that wait for later events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

from shroff.state.base import State
from shroff.telemetry.family import Figure, GaugeFamily

KEYS: Final = GaugeFamily(
    name="shroff_state_keys", about="Timelines in the state: one per stream and key."
)
EVENTS: Final = GaugeFamily(name="shroff_state_events", about="Events in the timelines.")
PENDING: Final = GaugeFamily(
    name="shroff_state_pending_payments", about="Payments whose result or label may still count."
)


class Census:
    """Counts the events of a state in batches, so that payments need not wait for the whole count.

    Args:
        batches: counts the events of the state in use, in batches.
    """

    def __init__(self, batches: Callable[[], Iterator[int]]) -> None:
        self._batches = batches
        self.events = 0
        """Events at the last census."""

    async def take(self) -> None:
        """Count the events."""
        events = 0
        for batch in self._batches():
            events += batch
            await asyncio.sleep(0)
        self.events = events


def figures(state: State, census: Census) -> Iterator[Figure]:
    """The figures of a state; its events are those of the last census."""
    yield KEYS.single(state.engine.keys)
    yield EVENTS.single(census.events)
    yield PENDING.single(state.engine.pending)
