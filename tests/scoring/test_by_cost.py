"""A policy that decides by cost, live: the answer says what was weighed, the ledger keeps it, and a
replay weighs the same to the bit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from serve.asking import decide, run
from serve.fixtures import POLICY, make_bundle
from shroff import Challenge, Cost
from shroff.ledger import Ledger
from shroff.monitor import replay_decision
from shroff.package import Bundle, save
from shroff.scoring.scorer import Scorer

Pay = Callable[..., dict[str, Any]]
Start = Callable[[Bundle], Scorer]
BY_COST = msgspec.structs.replace(
    POLICY,
    decide_by="cost",
    review_price=3.7,
    cost=Cost(
        review=4.0,
        missed="CASE WHEN mcc = '6011' THEN amount ELSE 0.9 * amount END",
        declined="2 + 0.3 * amount / (card_count_1h + 1)",
        miss_rate=0.1,
        challenge=Challenge(passed=0.3, abandoned=0.2, liable=0.5, cost=0.1),
    ),
)


@pytest.fixture
def by_cost(model: bytes, tmp_path: Path) -> Bundle:
    policy = msgspec.to_builtins(BY_COST)
    return save(make_bundle(model, currency="EUR", policy=policy), tmp_path / "bundle")


def test_a_replay_weighs_what_was_answered_to_the_bit(
    by_cost: Bundle, start: Start, pay: Pay, tmp_path: Path, ledger_url: str
) -> None:
    scorer = start(by_cost)
    answers = []

    async def work() -> None:
        for number in range(40):
            host = "10.6.6.6" if number % 13 == 5 else "10.0.0.1"
            amount, card = 3.0 + 7.77 * number, f"c{number % 3}"
            sent = pay(payment_id=f"p{number}", amount=amount, card_id=card, host_id=host)
            answers.append(await decide(scorer, sent))
            assert await decide(scorer, sent) == answers[-1]

    run(work())
    weighed = [answer["expected_costs"] for answer in answers]
    assert {one["cheapest"] for one in weighed} >= {"approve", "challenge", "decline"}
    for answer, costs in zip(answers, weighed, strict=True):
        assert costs["cheapest"] == min(
            ("approve", "challenge", "review", "decline"), key=costs.__getitem__
        )
        assert answer["action"] == ("decline" if answer["rules"] else costs["cheapest"])
        assert len(msgspec.json.encode(costs)) < 200
    for number in range(0, 40, 3):
        found = replay_decision(f"p{number}", Ledger(ledger_url), lambda version: by_cost)
        assert found.holds, [line for line in found.lines if not line.equal]
        assert "expected costs" in [line.name for line in found.lines]
    with sqlite3.connect(ledger_url.removeprefix("sqlite:///")) as database:
        (text,) = database.execute(
            "SELECT body FROM shroff_ledger WHERE payment_id = 'p39'"
        ).fetchone()
        record = msgspec.json.decode(text)
        record["answer"]["expected_costs"]["review"] += 1e-12
        changed = msgspec.json.encode(record)
        database.execute("UPDATE shroff_ledger SET body = ? WHERE payment_id = 'p39'", (changed,))
    forged = replay_decision("p39", Ledger(ledger_url), lambda version: by_cost)
    assert [line.name for line in forged.lines if not line.equal] == ["expected costs"]


def test_a_policy_by_thresholds_answers_as_before(bundle: Bundle, start: Start, pay: Pay) -> None:
    scorer = start(bundle)

    async def work() -> None:
        answer = await decide(scorer, pay())
        assert list(answer) == [
            "payment_id",
            "decision_id",
            "action",
            "probability",
            "reasons",
            "rules",
            "model",
            "policy",
            "degraded",
            "decided_at",
        ]

    run(work())


def test_what_may_not_be_weighed_is_decided_all_the_same(
    model: bytes, start: Start, pay: Pay, tmp_path: Path
) -> None:
    policy = msgspec.structs.replace(BY_COST, cost=Cost(missed="items * 1e14"), degraded="decline")
    made = make_bundle(model, currency="EUR", policy=msgspec.to_builtins(policy))
    scorer = start(save(made, tmp_path / "odd"))

    async def work() -> None:
        for items in (-1, 1e9, None):
            answer = await decide(scorer, pay(items=items))
            assert "expected_costs" not in answer
            assert answer["action"] == "approve"
        assert (await decide(scorer, pay(items=0)))["expected_costs"]["approve"] == 0.0

    run(work())
