"""What is taken in, what is refused at once, and what is learned of a payment later; over a ledger
in a SQLite file, whose ids this process knows, and in PostgreSQL, where others write too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from patience import PATIENCE
from serve.asking import Json, decide, refusal, run
from serve.audit import body, read_ledger, state
from serve.fixtures import iso
from serve.service import KEY
from servers import postgres_schema
from shroff.errors import (
    BadPayment,
    LedgerUnavailable,
    NotFound,
    OutOfBounds,
    PaymentConflict,
    ShroffError,
)
from shroff.ledger import Ledger, StoredEntry
from shroff.package import Bundle
from shroff.scoring.scorer import Scorer

Pay = Callable[..., dict[str, Any]]


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty ledger."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
        return
    with postgres_schema(request.getfixturevalue("postgres_server")) as schema:
        yield schema


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"created_at": iso(time.time() + 3600)}, "5 minutes ahead"),
        ({"ammount": 5.0}, "did you mean `amount`?"),
        ({"amount": "80.00"}, "`$.amount`"),
        ({"currency": "XYZ"}, "ISO 4217"),
        ({"card_id": None}, "`$.card_id`"),
        ({"payment_id": ""}, "`$.payment_id`"),
    ],
)
def test_a_bad_payment_is_refused_and_counts_for_nothing(
    scorer: Scorer, pay: Pay, changes: Json, sentence: str, ledger_url: str
) -> None:
    async def work() -> ShroffError:
        before = state(scorer)
        error = await refusal(decide(scorer, pay(**changes)))
        assert state(scorer) == before
        return error

    error = run(work())
    assert isinstance(error, BadPayment)
    assert sentence in str(error)
    assert read_ledger(ledger_url) == []


def test_a_payment_far_behind_the_newest_is_refused(
    scorer: Scorer, pay: Pay, ledger_url: str
) -> None:
    async def work() -> ShroffError:
        await decide(scorer, pay(created_at=iso(time.time() - 86_000)))
        await decide(scorer, pay())
        await decide(scorer, pay(created_at=iso(time.time() - 86_000)))
        return await refusal(decide(scorer, pay(created_at=iso(time.time() - 87_000))))

    error = run(work())
    assert isinstance(error, BadPayment)
    assert "at most 1d before the newest" in str(error)
    assert len(read_ledger(ledger_url)) == 3


def test_an_old_payment_sent_again_is_answered(bundle: Bundle, ledger_url: str, pay: Pay) -> None:
    now = [time.time_ns() // 1_000]
    scorer = Scorer(bundle, Ledger(ledger_url), key=KEY, clock=lambda: now[0])
    scorer.start()
    payment = pay()

    async def work() -> None:
        first = await decide(scorer, payment)
        now[0] += 7 * 86_400_000_000
        assert await decide(scorer, payment) == first

    run(work())
    scorer.close()


def test_payments_that_come_together_are_looked_up_together(
    scorer: Scorer, pay: Pay, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    find_all = scorer.ledger.find_all

    def counted(ids: Sequence[str]) -> list[StoredEntry | Exception | None]:
        asked.append(len(ids))
        return find_all(ids)

    monkeypatch.setattr(scorer.ledger, "find_all", counted)
    known = pay(payment_id="known")
    fresh = [pay(payment_id=f"new{n}") for n in range(9)]
    late = pay(payment_id="late", created_at=iso(time.time() - 90_000))
    together = [
        *(known, known | {"amount": 99.0}),
        *(*fresh, fresh[0], fresh[0] | {"amount": 99.0}),
        late,
    ]

    async def work() -> None:
        first = await decide(scorer, known)
        asked.clear()
        made = [decide(scorer, one) for one in together]
        outcomes = await asyncio.gather(*made, return_exceptions=True)
        assert outcomes[0] == first
        assert [one["payment_id"] for one in outcomes[2:11] if isinstance(one, dict)] == [
            one["payment_id"] for one in fresh
        ]
        assert outcomes[11] == outcomes[2]
        assert [type(outcomes[at]) for at in (1, 12, 13)] == [
            PaymentConflict,
            PaymentConflict,
            OutOfBounds,
        ]

    run(work())
    assert len(read_ledger(ledger_url)) == 10
    assert not scorer.in_flight
    # the two with another payload waited for the first
    assert asked == ([11, 1, 1] if ledger_url.startswith("postgresql") else [])


def test_whatever_fails_when_payments_are_looked_up_all_callers_are_answered(
    scorer: Scorer, pay: Pay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    async def work() -> None:
        monkeypatch.setattr(scorer.ledger, "find_all", fails)
        monkeypatch.setattr(scorer.ledger, "find", fails)
        made = [decide(scorer, pay(payment_id=f"p{n}")) for n in range(3)]
        outcomes = await asyncio.gather(*made, return_exceptions=True)
        assert [*map(type, outcomes)] == [ZeroDivisionError] * 3
        monkeypatch.undo()
        assert (await decide(scorer, pay(payment_id="p0")))["payment_id"] == "p0"

    run(work())
    assert not scorer.in_flight


def test_results_and_labels_are_seen_by_what_comes_later(
    scorer: Scorer, pay: Pay, ledger_url: str
) -> None:
    async def work() -> None:
        await decide(scorer, pay(payment_id="a"))
        before = await decide(scorer, pay(payment_id="b"))
        await scorer.learn("result", "a", "failed", at=1_700_000_000_000_000)
        await scorer.learn("label", "a", True, source="chargeback")
        after = await decide(scorer, pay(payment_id="c"))
        assert after["probability"] > before["probability"]

    run(work())
    entries = read_ledger(ledger_url)
    features = body(entries[-1])["features"]
    assert (features["card_failed_1d"], features["merchant_risk_30d"]) == (1.0, 0.5)
    assert [(entry.kind, body(entry)) for entry in entries[2:4]] == [
        ("result", {"value": "failed", "at": 1_700_000_000_000_000, "source": None}),
        ("label", {"value": True, "at": None, "source": "chargeback", "note": None, "event": 1}),
    ]


def test_a_result_counts_once(scorer: Scorer, pay: Pay, ledger_url: str) -> None:
    async def work() -> None:
        await decide(scorer, pay(payment_id="a"))
        await asyncio.gather(*[scorer.learn("result", "a", "failed") for _ in range(9)])
        await scorer.learn("result", "a", "failed")
        error = await refusal(scorer.learn("result", "a", "authorised"))
        assert isinstance(error, PaymentConflict)
        await scorer.learn("label", "a", False)

    run(work())
    assert [entry.kind for entry in read_ledger(ledger_url)] == ["payment", "result", "label"]


def test_who_does_not_wait_while_a_service_starts_is_refused_later(
    bundle: Bundle, pay: Pay, ledger_url: str
) -> None:
    stopped = time.time_ns() // 1_000
    scorer = Scorer(bundle, Ledger(ledger_url), key=KEY, clock=lambda: stopped)
    outcomes: list[bytes | Exception] = []

    async def work() -> None:
        for _ in range(130):
            scorer.accept(msgspec.json.encode(pay()), outcomes.append)
        assert len(outcomes) == 100
        while len(outcomes) < 130:
            await asyncio.sleep(0.01)

    run(work())
    assert {*map(type, outcomes)} == {LedgerUnavailable}


def test_a_result_sent_again_at_any_moment_of_the_first_is_answered(
    scorer: Scorer, pay: Pay
) -> None:
    async def work() -> None:
        await decide(scorer, pay(payment_id="a"))
        first = asyncio.ensure_future(scorer.learn("result", "a", "failed"))
        again: list[asyncio.Future[None]] = []
        different: list[asyncio.Future[ShroffError]] = []
        # in each turn of the event loop, so also between the record's sync and its answer
        while not first.done():
            again.append(asyncio.ensure_future(scorer.learn("result", "a", "failed")))
            other = scorer.learn("result", "a", "authorised")
            different.append(asyncio.ensure_future(refusal(other)))
            await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE / 4):
            await asyncio.gather(first, *again)
            assert {*map(type, await asyncio.gather(*different))} == {PaymentConflict}

    run(work())


def test_a_different_result_is_refused_also_while_the_first_is_in_flight(
    scorer: Scorer, pay: Pay
) -> None:
    async def work() -> None:
        await decide(scorer, pay(payment_id="a"))
        first = asyncio.ensure_future(scorer.learn("result", "a", "failed"))
        await asyncio.sleep(0)
        assert isinstance(await refusal(scorer.learn("result", "a", "authorised")), PaymentConflict)
        await first

    run(work())


def test_a_result_sent_while_its_payment_is_in_flight_waits_for_it(
    scorer: Scorer, pay: Pay, ledger_url: str
) -> None:
    async def work() -> None:
        payment = asyncio.ensure_future(decide(scorer, pay(payment_id="a")))
        await asyncio.sleep(0)
        await scorer.learn("result", "a", "failed")
        await payment

    run(work())
    assert [entry.kind for entry in read_ledger(ledger_url)] == ["payment", "result"]


def test_what_nobody_sent_is_not_found(scorer: Scorer) -> None:
    async def work() -> None:
        assert isinstance(await refusal(scorer.decision("nope")), NotFound)
        assert isinstance(await refusal(scorer.learn("label", "nope", True)), NotFound)
        future = time.time_ns() // 1_000 + 3_600_000_000
        assert isinstance(await refusal(scorer.learn("label", "nope", True, at=future)), BadPayment)

    run(work())
