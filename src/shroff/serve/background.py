"""Background work of a serving process: it follows models, policies, lists, rates, keys, and shows
that it is alive.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from shroff.control import Gate
from shroff.control.gate import REFRESH_SECONDS
from shroff.errors import ControlUnavailable
from shroff.scoring.deployments import Deployments
from shroff.scoring.scorer import Scorer
from shroff.telemetry.registry import Registry

_BEAT_SECONDS: Final = 0.5
"""Seconds between signs of life to others that share the state."""
_log = logging.getLogger(__name__)


class Background:
    """Keeps a scorer, and what stands around it, up to date; where something is away, it stays as
    it is.
    """

    def __init__(
        self,
        scorer: Scorer,
        metrics: Registry,
        *,
        gate: Gate | None,
        deployments: Deployments | None,
    ) -> None:
        self._scorer = scorer
        self._metrics = metrics
        self._gate = gate
        self._deployments = deployments

    async def refresh(self) -> None:
        """Read keys, lists, rates, reference tables and state anew."""
        await asyncio.to_thread(self._read)
        await self._scorer.keep_lists()
        self._scorer.follow_rates()
        await self._scorer.keep_tables()

    async def watch(self) -> None:
        """Notice keys, lists, rates and models that change, until the scorer is closed."""
        while not self._scorer.closed:
            await asyncio.sleep(REFRESH_SECONDS)
            await self.refresh()
            await self._scorer.keep_time()
            await self._metrics.keep()
            if self._deployments is not None:
                await self._deployments.look()

    async def beat(self) -> None:
        """Show others that share the state that this process is there, until cancelled."""
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            self._scorer.beat()

    def _read(self) -> None:
        self._scorer.tend()
        if self._gate is not None:
            try:
                self._gate.refresh()
            except ControlUnavailable as error:
                _log.warning("%s", error, extra={"event": "control_unavailable"})
