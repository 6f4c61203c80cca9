"""The order of events of one payment: each is learned after those that were read before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shroff.canonical import canonical
from shroff.kafka.gate import Stopped


class EventOrder:
    """Lets the events of a payment that come from one topic run one after another; belongs to one
    event loop.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], asyncio.Future[bool]] = {}

    @asynccontextmanager
    async def turn(self, topic: str, payment_id: str) -> AsyncIterator[None]:
        """Wait for earlier events of the same payment; raises `Stopped` where one of them was put
        off.
        """
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
                # it is rejected, and what follows goes on
                put_off = False
                raise
            put_off = False
        finally:
            mine.set_result(put_off)
            if self._last.get(key) is mine:
                del self._last[key]
