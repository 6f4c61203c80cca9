"""The gate of the ledger: in which order attempts are made."""

from __future__ import annotations

import asyncio

from patience import PATIENCE
from shroff.errors import LedgerUnavailable
from shroff.kafka.gate import LedgerGate


def test_who_begins_as_the_gate_opens_overtakes_nobody_who_waited() -> None:
    tried: list[int] = []
    away = True

    async def attempt(number: int) -> int:
        if away:
            raise LedgerUnavailable("away")
        tried.append(number)
        return number

    async def run() -> None:
        nonlocal away
        opened = asyncio.Event()
        gate = LedgerGate(opened.set)

        def begin(number: int) -> asyncio.Task[int]:
            return asyncio.create_task(gate.insist(number, lambda: attempt(number)))

        waiting = [begin(number) for number in range(5)]
        while gate.open:
            await asyncio.sleep(0)
        away = False
        late: list[asyncio.Task[int]] = []
        # a reader whose messages come in the turn of the loop in which the gate opens
        while not opened.is_set():
            late.append(begin(5 + len(late)))
            await asyncio.sleep(0)
        await asyncio.gather(*waiting, *late)

    asyncio.run(asyncio.wait_for(run(), PATIENCE))
    assert tried == sorted(tried)
    assert len(tried) > 5
