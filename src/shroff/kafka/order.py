"""The order of one payment's events: each is recorded after those that were read before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shroff.canonical import canonical
from shroff.kafka.gate import Stopped


class EventOrder:
    """Runs the events of a payment from one topic one after another, on one event loop."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], asyncio.Future[bool]] = {}

    @asynccontextmanager
    async def turn(self, topic: str, payment_id: str) -> AsyncIterator[None]:
        """Wait for a payment's earlier events; raises `Stopped` if one of them was put off."""
        key = topic, canonical(payment_id)
        before, mine = self._last.get(key), asyncio.get_running_loop().create_future()
        self._last[key] = mine
        put_off = True
        try:
            if before is not None and await before:
                raise Stopped
            try:
                yield
            except Stopped:
                raise
            except Exception:
                # the event is rejected, and those after it go on
                put_off = False
                raise
            put_off = False
        finally:
            mine.set_result(put_off)
            if self._last.get(key) is mine:
                del self._last[key]
