"""The scorer without HTTP, over a real SQLite ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from serve.asking import Json, decide, refusal, run
from serve.audit import assert_equal_to_batch, assert_replays, body, payments, read_ledger, state
from serve.fixtures import iso, make_bundle
from serve.service import KEY
from shroff.errors import LedgerUnavailable, PaymentConflict, ShroffError
from shroff.ledger import Ledger
from shroff.ledger.answer import stored_payment
from shroff.package import Bundle
from shroff.scoring.scorer import Scorer

Pay = Callable[..., dict[str, Any]]


def test_an_ordinary_payment_is_approved(scorer: Scorer, pay: Pay) -> None:
    answer = run(decide(scorer, pay(payment_id="p")))
    assert (answer["payment_id"], answer["action"], answer["reasons"], answer["rules"]) == (
        "p",
        "approve",
        [],
        [],
    )
    assert 0 < answer["probability"] < 0.3
    assert answer["model"] == {"name": "logistic_regression", "version": scorer.bundle.version}
    assert answer["degraded"] is False


def test_a_suspicious_one_is_not_and_says_why(scorer: Scorer, pay: Pay) -> None:
    answer = run(decide(scorer, pay(amount=400.0, mcc="6011")))
    assert answer["action"] == "decline"
    assert answer["probability"] > 0.9
    assert [reason["code"] for reason in answer["reasons"][:2]] == ["AMOUNT_HIGH", "NAME_UNUSUAL"]
    assert [reason["text"] for reason in answer["reasons"][:2]] == [
        "amount 400.00; higher than in all training payments; usual 6.14–244.46",
        "`mcc` is 6011; as in 4 % of payments",
    ]


def test_a_rule_decides_before_the_probability(scorer: Scorer, pay: Pay) -> None:
    answer = run(decide(scorer, pay(host_id="10.6.6.6")))
    assert (answer["action"], answer["rules"]) == ("decline", ["blocked_host"])
    assert answer["probability"] < 0.3
    (reason,) = answer["reasons"]
    assert (reason["code"], reason["feature"], reason["values"]) == (
        "POLICY_RULE_HOLDS",
        "blocked_host",
        {"host_id": "10.6.6.6"},
    )


def test_what_is_stored_is_what_was_answered(scorer: Scorer, pay: Pay, ledger_url: str) -> None:
    async def work() -> bytes:
        answer = await scorer.decide(msgspec.json.encode(pay(payment_id="p")))
        assert await scorer.decision("p") == answer
        return answer

    answer = run(work())
    (entry,) = read_ledger(ledger_url)
    assert body(entry)["answer"] == msgspec.json.decode(answer)
    assert answer in entry.body
    assert entry.arrived - entry.time < 60_000_000
    assert b"ada@example.org" not in entry.body


def test_the_same_payment_again_gets_the_same_bytes(
    scorer: Scorer, pay: Pay, ledger_url: str
) -> None:
    payment = pay(payment_id="p")
    shuffled = dict(reversed(payment.items()))

    async def work() -> set[bytes]:
        first = await scorer.decide(msgspec.json.encode(payment))
        return {first, await scorer.decide(msgspec.json.format(msgspec.json.encode(shuffled)))}

    assert len(run(work())) == 1
    assert len(read_ledger(ledger_url)) == 1


def test_fifty_at_once_are_one(scorer: Scorer, pay: Pay, ledger_url: str) -> None:
    encoded = msgspec.json.encode(pay(payment_id="p"))

    async def work() -> Json:
        answers = await asyncio.gather(*[scorer.decide(encoded) for _ in range(50)])
        assert len(set(answers)) == 1
        return await decide(scorer, pay(payment_id="next"))

    run(work())
    entries = read_ledger(ledger_url)
    assert [entry.payment_id for entry in entries] == ["p", "next"]
    assert body(entries[1])["features"]["card_count_1h"] == 1.0


def test_more_than_fit_one_stretch_are_all_decided(
    scorer: Scorer, bundle: Bundle, pay: Pay, ledger_url: str
) -> None:
    async def work() -> None:
        sent = [pay(payment_id=f"s{n}", host_id=f"h{n % 7}", amount=10.0 + n) for n in range(150)]
        await asyncio.gather(*[decide(scorer, payment) for payment in sent])

    run(work())
    entries = read_ledger(ledger_url)
    assert [entry.payment_id for entry in entries] == [f"s{n}" for n in range(150)]
    assert stored_payment(entries[0]).arrived == entries[0].arrived
    assert_equal_to_batch(bundle, entries)


def test_what_comes_turn_by_turn_is_decided_together(scorer: Scorer, pay: Pay) -> None:
    async def work() -> None:
        sent = []
        commits, entries = scorer.ledger.commits.entries.count, scorer.ledger.commits.entries.total
        for number in range(5):
            sent.append(asyncio.create_task(decide(scorer, pay(payment_id=f"t{number}"))))
            await asyncio.sleep(0)
        await asyncio.gather(*sent)
        assert (scorer.ledger.commits.entries.count, scorer.ledger.commits.entries.total) == (
            commits + 1,
            entries + 5,
        )

    run(work())


@pytest.mark.parametrize("flying", [True, False], ids=["in flight", "stored"])
def test_the_same_id_with_another_payload_is_refused(
    scorer: Scorer, pay: Pay, flying: bool, ledger_url: str
) -> None:
    first, second = pay(payment_id="p"), pay(payment_id="p", amount=81.0)

    async def work() -> ShroffError:
        task = asyncio.ensure_future(decide(scorer, first))
        await asyncio.sleep(0) if flying else await task
        error = await refusal(decide(scorer, second))
        await task
        return error

    assert isinstance(run(work()), PaymentConflict)
    assert len(read_ledger(ledger_url)) == 1


def test_a_caller_that_gives_up_changes_nothing_for_others(
    scorer: Scorer, pay: Pay, ledger_url: str
) -> None:
    encoded = msgspec.json.encode(pay(payment_id="p"))

    async def work() -> None:
        first = asyncio.ensure_future(scorer.decide(encoded))
        second = asyncio.ensure_future(scorer.decide(encoded))
        await asyncio.sleep(0)
        first.cancel()
        assert msgspec.json.decode(await second)["payment_id"] == "p"

    run(work())
    assert len(read_ledger(ledger_url)) == 1


def test_an_old_log_can_be_played_and_the_state_comes_back(
    bundle: Bundle, pay: Pay, ledger_url: str
) -> None:
    scorer = Scorer(bundle, Ledger(ledger_url), key=KEY)
    scorer.start()

    async def play(scorer: Scorer, days: range) -> None:
        for day in days:
            await decide(
                scorer, pay(payment_id=f"d{day}", created_at=iso(1.6e9 + 2 * 86_400 * day))
            )

    run(play(scorer, range(25)))
    scorer.close()
    again = Scorer(bundle, Ledger(ledger_url), key=KEY)
    again.start()
    run(play(again, range(25, 35)))
    again.close()
    entries = read_ledger(ledger_url)
    assert len(entries) == 35
    assert_equal_to_batch(bundle, entries)


async def traffic(scorer: Scorer, pay: Pay, numbers: range) -> None:
    """Payments, results and labels of a few cards at once, some late and out of order."""

    async def one(number: int) -> None:
        made = pay(
            payment_id=f"t{number}",
            card_id=f"c{number % 3}",
            merchant_id=f"m{number % 2}",
            host_id=f"h{number % 5}",
            amount=float(10 + number),
            created_at=iso(time.time() - 7 * (number % 4)),
        )
        await decide(scorer, made)
        if number % 2:
            await scorer.learn("result", f"t{number}", "failed" if number % 3 else "authorised")
        if number % 5 == 0:
            await scorer.learn("label", f"t{number}", number % 10 == 0)

    limit = asyncio.Semaphore(20)

    async def limited(number: int) -> None:
        async with limit:
            await one(number)

    await asyncio.gather(*[limited(number) for number in numbers])


def test_decisions_equal_the_batch_engine_and_replay_to_the_bit(
    scorer: Scorer, bundle: Bundle, pay: Pay, ledger_url: str
) -> None:
    run(traffic(scorer, pay, range(100)))
    entries = read_ledger(ledger_url)
    assert len(payments(entries)) == 100
    assert [entry.arrived for entry in entries] == sorted({entry.arrived for entry in entries})
    assert_equal_to_batch(bundle, entries)
    assert_replays(bundle, entries)


def test_a_restart_knows_all_that_was_known(
    scorer: Scorer, bundle: Bundle, pay: Pay, ledger_url: str
) -> None:
    run(traffic(scorer, pay, range(40)))
    scorer.close()
    again = Scorer(bundle, Ledger(ledger_url), key=KEY)
    again.start()
    assert state(again) == state(scorer)

    async def work() -> None:
        await again.learn("result", "t1", "failed")
        assert isinstance(await refusal(again.learn("result", "t1", "authorised")), PaymentConflict)
        await traffic(again, pay, range(40, 60))

    run(work())
    again.close()
    entries = read_ledger(ledger_url)
    assert len(payments(entries)) == 60
    assert_equal_to_batch(bundle, entries)


def test_arrivals_go_on_after_the_ledger_when_the_clock_is_set_back(
    scorer: Scorer, bundle: Bundle, pay: Pay, ledger_url: str
) -> None:
    run(decide(scorer, pay()))
    scorer.close()
    again = Scorer(
        bundle, Ledger(ledger_url), key=KEY, clock=lambda: time.time_ns() // 1_000 - 60_000_000
    )
    again.start()
    run(decide(again, pay()))
    again.close()
    first, second = read_ledger(ledger_url)
    # the start between them arrives too
    assert second.arrived == first.arrived + 2


def test_before_the_start_and_after_the_end_everything_is_refused(
    bundle: Bundle, ledger_url: str, pay: Pay
) -> None:
    scorer = Scorer(bundle, Ledger(ledger_url), key=KEY)
    assert "being built" in str(scorer.unready)
    calls: list[Callable[[], Coroutine[Any, Any, Any]]] = [
        lambda: decide(scorer, pay()),
        lambda: scorer.decision("p"),
        lambda: scorer.learn("label", "p", True),
    ]

    async def work() -> None:
        for call in calls:
            assert isinstance(await refusal(call()), LedgerUnavailable)

    run(work())
    scorer.start()
    assert str(scorer.unready) == "None"
    scorer.close()
    run(work())
    with pytest.raises(LedgerUnavailable, match="shutting down"):
        scorer.start()


def test_a_start_that_fails_can_be_tried_again(bundle: Bundle, tmp_path: Path, pay: Pay) -> None:
    (tmp_path / "taken").touch()
    url = f"sqlite:///{tmp_path / 'taken' / 'ledger.db'}"
    scorer = Scorer(bundle, Ledger(url), key=KEY)
    with pytest.raises(LedgerUnavailable):
        scorer.start()
    assert "ledger" in str(scorer.unready)
    (tmp_path / "taken").unlink()
    scorer.start()
    run(decide(scorer, pay()))
    scorer.close()


def test_a_model_that_does_not_load_degrades(ledger_url: str, pay: Pay, model: bytes) -> None:
    scorer = Scorer(make_bundle(b"no model"), Ledger(ledger_url), key=KEY)
    scorer.start()
    assert "the model cannot be loaded" in str(scorer.unready)
    plain = run(decide(scorer, pay()))
    assert (plain["action"], plain["probability"], plain["degraded"]) == ("review", None, True)
    ruled = run(decide(scorer, pay(host_id="10.6.6.6")))
    assert (ruled["action"], ruled["rules"], ruled["degraded"]) == (
        "decline",
        ["blocked_host"],
        True,
    )
    scorer.close()
