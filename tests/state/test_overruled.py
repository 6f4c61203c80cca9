"""Two workers that answer one payment id differently while the ledger is away: the state counts
what the ledger keeps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from patience import until
from serve.audit import read_ledger
from serve.service import KEY
from serve.several import state_url
from servers import Postgres, or_skip, postgres_schema, stoppable_postgres
from shroff.ledger import Ledger, failover
from shroff.monitor import ledger_parity
from shroff.package import Bundle
from shroff.scoring.scorer import Scorer

Pay = Callable[..., dict[str, Any]]
__all__ = ["state_url"]
CARDS = 8


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with or_skip(stoppable_postgres("fsync=off"), "PostgreSQL server") as started:
        yield started


@pytest.fixture
def workers(
    server: Postgres,
    bundle: Bundle,
    state_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[list[Scorer], str]]:
    monkeypatch.setattr(failover, "_RETRY_SECONDS", 0.05)
    with postgres_schema(server.url) as url:
        made = [
            Scorer(bundle, Ledger(url, spool=tmp_path / name), key=KEY, state=state_url)
            for name in ("one", "two")
        ]
        first, second = made
        first.start()
        second.start()
        yield made, url
        for scorer in made:
            scorer.leave()
            scorer.close()


def test_the_state_takes_up_the_payment_that_the_ledger_keeps(
    server: Postgres, bundle: Bundle, workers: tuple[list[Scorer], str], pay: Pay
) -> None:
    (one, two), url = workers

    async def decide(scorer: Scorer, **payment: Any) -> dict[str, Any]:
        answer: dict[str, Any] = msgspec.json.decode(
            await scorer.decide(msgspec.json.encode(pay(**payment)))
        )
        return answer

    async def beats(count: int = 6) -> None:
        for _ in range(count):
            one.beat()
            two.beat()
            await asyncio.sleep(0.01)

    async def away() -> None:
        for number in range(CARDS):
            same = {"payment_id": f"both{number}", "card_id": f"c{number}"}
            # the state counts what came first, and the ledger what is drained first
            for scorer, amount in [(one, 10.0), (two, 90.0)][:: -1 if number % 2 else 1]:
                assert (await decide(scorer, **same, amount=amount))["payment_id"]

    async def back() -> None:
        await beats()
        for number in range(CARDS):
            answer = await decide(one, payment_id=f"next{number}", card_id=f"c{number}")
            assert not answer["degraded"]

    asyncio.run(beats())
    server.stop()
    try:
        asyncio.run(away())
    finally:
        server.start()
    until(lambda: one.ledger.spooled is two.ledger.spooled is None)
    asyncio.run(back())
    found = ledger_parity(bundle, read_ledger(url))
    assert found.holds, found
