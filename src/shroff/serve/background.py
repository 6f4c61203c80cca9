"""Background work of a serving process: reload what people changed, and send heartbeats."""

from __future__ import annotations

import asyncio
from typing import Final

from shroff.control import Gate, Outage
from shroff.control.gate import REFRESH_SECONDS
from shroff.scoring.deployments import Deployments
from shroff.scoring.scorer import Scorer
from shroff.telemetry.registry import Registry

_HEARTBEAT_SECONDS: Final = 0.5
"""Seconds between heartbeats to processes that share the state."""


class Background:
    """Keeps a scorer and its surroundings up to date; what cannot be read stays as it is."""

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
        self._outage = Outage()

    async def refresh(self) -> None:
        """Reload keys, lists, rates and reference tables."""
        await asyncio.to_thread(self._read)
        await self._scorer.keep_lists()
        self._scorer.follow_rates()
        await self._scorer.keep_tables()

    async def watch(self) -> None:
        """Reload what changed once a second, until the scorer is closed."""
        while not self._scorer.closed:
            await asyncio.sleep(REFRESH_SECONDS)
            await self.refresh()
            await self._metrics.keep()

    async def renew(self) -> None:
        """Adopt what was published and fill states anew, until the scorer is closed.

        Beside `watch`, because it may take minutes: a revoked key must not be good for as long.
        """
        while not self._scorer.closed:
            await asyncio.sleep(REFRESH_SECONDS)
            await self._scorer.keep_state()
            if self._deployments is not None:
                await self._deployments.look()

    async def save(self) -> None:
        """Keep snapshots of the state, until cancelled."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await self._scorer.save_state()

    def end(self) -> None:
        """Let `watch` and `renew` end, and the states that are being filled."""
        self._scorer.abort()

    async def beat(self) -> None:
        """Send heartbeats to processes that share the state, until cancelled."""
        while True:
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            self._scorer.beat()

    def _read(self) -> None:
        self._scorer.tend()
        if self._gate is not None:
            with self._outage.noted():
                self._gate.refresh()
