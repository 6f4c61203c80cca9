"""What people changed is heeded while a state is filled for minutes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from serve.asking import run
from shroff.control import Gate
from shroff.control.keys import Keys
from shroff.errors import UnknownKey
from shroff.scoring.deployments import Deployments
from shroff.scoring.scorer import Scorer
from shroff.serve import background
from shroff.serve.background import Background
from shroff.serve.metrics import registry


class Adopting:
    """Something published whose state takes until `done` to be filled."""

    def __init__(self) -> None:
        self.begun, self.done = asyncio.Event(), asyncio.Event()

    async def look(self) -> None:
        self.begun.set()
        await self.done.wait()


def test_a_key_that_is_revoked_while_a_model_is_adopted_is_refused(
    scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "REFRESH_SECONDS", 0.01)
    keys = Keys(f"sqlite:///{tmp_path / 'control.db'}")
    token = f"Bearer {keys.create('shop', ['decide'])}".encode()
    gate = Gate(keys)
    gate.refresh()

    async def refused() -> None:
        while True:
            try:
                gate.key_of(token, "decide")
            except UnknownKey:
                return
            await asyncio.sleep(0.01)

    async def work() -> None:
        adopting = Adopting()
        beside = Background(
            scorer, registry(scorer), gate=gate, deployments=cast(Deployments, adopting)
        )
        tasks = [asyncio.create_task(one()) for one in (beside.watch, beside.renew)]
        await adopting.begun.wait()
        keys.revoke(gate.key_of(token, "decide").id)
        await refused()
        adopting.done.set()
        beside.end()
        await asyncio.gather(*tasks)

    run(work())
