"""The ledger's database goes away under a scorer: it decides on, answers the same again, and all of
it is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from patience import PATIENCE
from serve.audit import assert_equal_to_batch, assert_replays, payments, read_ledger
from serve.service import KEY
from servers import Postgres, or_skip, postgres_schema, stoppable_postgres
from shroff.errors import LedgerUnavailable, PaymentConflict
from shroff.ledger import Ledger, failover, postgres, reader
from shroff.ledger.answer import stored_answer
from shroff.package import Bundle
from shroff.scoring.scorer import Scorer

Pay = Callable[..., dict[str, Any]]


@pytest.fixture
def server() -> Iterator[Postgres]:
    with or_skip(stoppable_postgres("fsync=off"), "PostgreSQL server") as started:
        yield started


@pytest.fixture
def url(server: Postgres) -> Iterator[str]:
    with postgres_schema(server.url) as schema:
        yield schema


@pytest.fixture
def away(
    bundle: Bundle, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scorer]:
    monkeypatch.setattr(failover, "_RETRY_SECONDS", 0.05)
    scorer = Scorer(bundle, Ledger(url, spool=tmp_path / "spool"), key=KEY)
    scorer.start()
    yield scorer
    scorer.close()


async def refused(work: Coroutine[Any, Any, Any]) -> type[BaseException]:
    with pytest.raises((LedgerUnavailable, PaymentConflict)) as caught:
        await work
    return caught.type


def test_it_decides_on_and_all_of_it_is_kept(
    away: Scorer, bundle: Bundle, pay: Pay, url: str, server: Postgres
) -> None:
    answers: dict[str, bytes] = {}

    async def several(name: str, number: int) -> None:
        made = [
            pay(payment_id=f"{name}{n}", card_id=f"c{n % 3}", amount=10.0 + n)
            for n in range(number)
        ]
        for at in range(0, number, 10):
            part = made[at : at + 10]
            got = await asyncio.gather(*[away.decide(msgspec.json.encode(one)) for one in part])
            answers.update(
                (one["payment_id"], answer) for one, answer in zip(part, got, strict=True)
            )

    async def while_away() -> None:
        twice = pay(payment_id="twice")
        first = await away.decide(msgspec.json.encode(twice))
        assert (
            await away.decide(msgspec.json.encode(twice)) == first == await away.decision("twice")
        )
        assert (
            await refused(away.decide(msgspec.json.encode(twice | {"amount": 99.0})))
            is PaymentConflict
        )
        await away.learn("result", "twice", "failed")
        await away.learn("result", "twice", "failed")
        assert await refused(away.learn("result", "twice", "authorised")) is PaymentConflict
        # what is in the ledger only cannot be known now
        assert issubclass(await refused(away.learn("label", "a1", True)), LedgerUnavailable)
        assert issubclass(
            await refused(away.decide(msgspec.json.encode(pay(payment_id="a1")))), LedgerUnavailable
        )
        assert away.unready is None
        assert "wait in the spool: " in str(away.notice)
        spooled = away.ledger.spooled
        assert spooled is not None
        assert spooled.entries >= 32
        assert spooled.bytes > 0
        answers["twice"] = first

    async def work() -> None:
        await several("a", 20)
        await asyncio.to_thread(server.stop)
        try:
            await several("b", 30)
            await while_away()
            await several("c", 10)
        finally:
            await asyncio.to_thread(server.start)
        while away.notice is not None:
            await several(f"d{len(answers)}-", 10)
            await asyncio.sleep(0.01)
        await several("e", 10)
        await away.learn("label", "twice", True)

    asyncio.run(asyncio.wait_for(work(), PATIENCE))
    entries = read_ledger(url)
    assert {entry.payment_id: stored_answer(entry) for entry in payments(entries)} == answers
    assert [entry.arrived for entry in entries] == sorted({entry.arrived for entry in entries})
    assert_equal_to_batch(bundle, entries)
    assert_replays(bundle, entries)


def test_a_server_that_is_suspended_is_taken_for_gone_and_missed_nothing(
    bundle: Bundle,
    pay: Pay,
    url: str,
    server: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failover, "_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(postgres, "_WRITE_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(reader, "_LOOK_UP_TIMEOUT_SECONDS", 0.5)
    scorer = Scorer(bundle, Ledger(url, spool=tmp_path / "spool"), key=KEY)
    scorer.start()
    answers: dict[str, bytes] = {}

    async def several(name: str, number: int) -> None:
        made = [pay(payment_id=f"{name}{n}", card_id=f"c{n % 3}") for n in range(number)]
        got = await asyncio.gather(*[scorer.decide(msgspec.json.encode(one)) for one in made])
        answers.update((one["payment_id"], answer) for one, answer in zip(made, got, strict=True))

    async def work() -> None:
        await several("before", 20)
        server.suspend()
        try:
            await several("meanwhile", 20)
            assert "wait in the spool: " in str(scorer.notice)
            await several("spooled", 20)
            assert issubclass(await refused(scorer.decision("before1")), LedgerUnavailable)
        finally:
            server.resume()
        while scorer.notice is not None:
            await several(f"again{len(answers)}-", 5)
            await asyncio.sleep(0.05)
        await several("after", 20)
        # a look-up that waited in vain lets a second pass before the next one
        await asyncio.sleep(1)
        assert await scorer.decision("before1") == answers["before1"]

    try:
        asyncio.run(asyncio.wait_for(work(), PATIENCE))
    finally:
        scorer.close()
    entries = read_ledger(url)
    assert {entry.payment_id: stored_answer(entry) for entry in payments(entries)} == answers
    assert len(payments(entries)) == len(answers)
    assert_equal_to_batch(bundle, entries)
