"""The state's figures: how much history is held, and how many payments still wait for their result
or label.
"""

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
    """Counts the events of a state, in steps: payments must not wait for all of it.

    Args:
        parts: counts the events of the state in use, part by part.
    """

    def __init__(self, parts: Callable[[], Iterator[int]]) -> None:
        self._parts = parts
        self.events = 0
        """Events at the last census."""

    async def take(self) -> None:
        """Count anew."""
        events = 0
        for part in self._parts():
            events += part
            await asyncio.sleep(0)
        self.events = events


def figures(state: State, census: Census) -> Iterator[Figure]:
    """The figures of a state as they are now; its events as they were at the last census."""
    yield KEYS.single(state.engine.keys)
    yield EVENTS.single(census.events)
    yield PENDING.single(state.engine.pending)
