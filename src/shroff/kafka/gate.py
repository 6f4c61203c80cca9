"""The gate of the ledger: attempts that it refuses wait, and are retried in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from shroff.errors import Unavailable

T = TypeVar("T")
_RETRY_SECONDS: Final = 1.0
"""Seconds between two attempts while the ledger is away."""
_log = logging.getLogger(__name__)


class Stopped(Exception):
    """The consumer stopped before this attempt could succeed."""


class LedgerGate:
    """Open while the ledger is there. Belongs to one event loop.

    Args:
        opened: called each time it opens.
    """

    def __init__(self, opened: Callable[[], None]) -> None:
        self.open = True
        self._opened = opened
        self._stopping = False
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._woken: set[int] = set()  # whose turns have come, and who do not run yet
        self._reasons: set[str] = set()  # whether it was logged since the last success

    async def insist(self, turn: int, attempt: Callable[[], Awaitable[T]]) -> T:
        """Retry until the ledger takes it; `turn` is the attempt's place in the order.

        Raises:
            Stopped: the ledger is away and the consumer stops.
        """
        loop = asyncio.get_running_loop()
        # an attempt that begins just when the gate opens overtakes nobody
        while self._woken:
            await asyncio.sleep(0)
        while True:
            while not self.open:
                waiting = self._waiting[turn] = loop.create_future()
                try:
                    await waiting
                finally:
                    self._woken.discard(turn)
            try:
                outcome = await attempt()
            except Unavailable as error:
                if self._stopping:
                    raise Stopped from error
                self._close(loop, str(error))
            else:
                self._reasons.clear()
                return outcome

    def stop(self) -> None:
        """Let every attempt run once more, then give up."""
        self._stopping = True
        self._try_again()

    def _close(self, loop: asyncio.AbstractEventLoop, reason: str) -> None:
        if reason not in self._reasons:
            self._reasons.add(reason)
            _log.warning("%s", reason)
        if self.open:
            self.open = False
            loop.call_later(_RETRY_SECONDS, self._try_again)

    def _try_again(self) -> None:
        self.open = True
        waiting, self._waiting = self._waiting, {}
        for turn in sorted(waiting):
            if not waiting[turn].done():
                self._woken.add(turn)
                waiting[turn].set_result(None)
        self._opened()
