"""What is taken in, what is refused at once, and what is learned of a payment later; over a real
SQLite ledger.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from patience import PATIENCE
from serve.asking import Json, decide, refusal, run
from serve.audit import body, read_ledger, state
from serve.fixtures import iso
from serve.service import KEY
from shroff.errors import BadPayment, LedgerUnavailable, NotFound, PaymentConflict, ShroffError
from shroff.ledger import Ledger
from shroff.package import Bundle
from shroff.scoring.scorer import Scorer

Pay = Callable[..., dict[str, Any]]


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
