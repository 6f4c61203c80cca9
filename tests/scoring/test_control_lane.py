"""The control lane, live: it takes payments against the policy, records with which chance, keeps to
its budget over restarts, and a replay takes the same payments.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from monitor.test_verdict import with_reference
from serve.asking import decide, run
from serve.fixtures import POLICY, make_bundle
from serve.service import KEY
from shroff import ControlLane, Rule
from shroff.backtest.recorded_past import past_of_ledger
from shroff.clock import system_time
from shroff.collect.times import DAY_US
from shroff.ledger import Ledger, StoredEntry
from shroff.monitor import from_ledger, replay_decision
from shroff.package import Bundle, save
from shroff.scoring.control_group import ControlGroup
from shroff.scoring.scorer import Scorer

Pay = Callable[..., dict[str, Any]]
Start = Callable[[Bundle], Scorer]
LANE = ControlLane(share=0.5, money_per_day=1_000.0, except_rules=["sanctioned"], max_loss=400.0)
EVERYTHING = msgspec.structs.replace(
    POLICY,
    rules=[
        *POLICY.rules,
        Rule("sanctioned", "mcc = '6011'", action="decline"),
        Rule("large", "amount > 0", action="decline"),
    ],
    control=LANE,
    control_loss=50.0,
)


def bundle_of(model: bytes, folder: Path, policy: Any = EVERYTHING) -> Bundle:
    made = make_bundle(model, currency="EUR", policy=msgspec.to_builtins(policy))
    return save(made, folder / "lane")


@pytest.fixture
def laned(model: bytes, tmp_path: Path) -> Bundle:
    return bundle_of(model, tmp_path)


def records(url: str) -> dict[str, dict[str, Any]]:
    kept = [one for one in Ledger(url).entries() if one.kind == "payment"]
    return {one.payment_id: msgspec.json.decode(one.body) for one in kept}


def test_declines_are_let_through_within_the_budget_and_replayed(
    laned: Bundle, start: Start, pay: Pay, ledger_url: str
) -> None:
    scorer = start(laned)
    answers: dict[str, Any] = {}

    async def work() -> None:
        for number in range(60):
            fields = {"mcc": "6011"} if number % 10 == 0 else {}
            amount = 500.0 if number % 10 == 1 else 20.0 + number
            sent = pay(payment_id=f"p{number}", card_id=f"c{number}", amount=amount, **fields)
            answers[f"p{number}"] = await decide(scorer, sent)
            assert await decide(scorer, sent) == answers[f"p{number}"], "sent again: the same"

    run(work())
    kept = records(ledger_url)
    lanes = {name: record["lane"] for name, record in kept.items()}
    assert {one["decided"] for one in lanes.values()} == {"decline"}
    taken = [name for name, one in lanes.items() if one.get("drawn")]
    assert 10 <= len(taken) < 50
    spent = 0.0
    for name, one in lanes.items():
        answer = answers[name]
        assert (
            answer["action"] == kept[name]["action"] == ("approve" if name in taken else "decline")
        )
        assert "lane" not in answer
        assert bool(answer["reasons"]) is (name not in taken)
        assert one.get("spent", 0.0) == pytest.approx(spent)
        spent += one["at_stake"] if name in taken else 0.0
    assert spent <= LANE.money_per_day
    assert {one.get("kept") for one in lanes.values()} == {None, "rule", "large", "budget"}
    assert {one["propensity"] for one in lanes.values() if "kept" in one} == {0.0}
    assert scorer.control_group.at_stake == pytest.approx(spent)
    check_readers(laned, ledger_url, lanes)
    for name in ["p0", "p1", taken[0], taken[-1], "p58", "p59"]:
        for key, said in ((lambda: KEY, ""), (None, " (the draw as recorded)")):
            found = replay_decision(name, Ledger(ledger_url), lambda version: laned, key=key)
            assert found.holds, [line for line in found.lines if not line.equal]
            assert f"control lane{said}" in [line.name for line in found.lines]
    with sqlite3.connect(ledger_url.removeprefix("sqlite:///")) as database:
        body = msgspec.json.encode(forged(kept[taken[0]]))
        database.execute("UPDATE shroff_ledger SET body = ? WHERE payment_id = ?", (body, taken[0]))
    again = replay_decision(taken[0], Ledger(ledger_url), lambda _: laned, key=lambda: KEY)
    assert {one.name for one in again.lines if not one.equal} == {"control lane"}


def check_readers(bundle: Bundle, url: str, lanes: dict[str, dict[str, Any]]) -> None:
    """Backtests and monitoring read chances and draws as they were recorded."""
    past = past_of_ledger(
        bundle, Ledger(url).entries(), lambda version: bundle, lists=EVERYTHING.lists
    )
    weights = dict(zip(past.frame["\0id"], past.weight.tolist(), strict=True))
    for name, one in lanes.items():
        if one.get("kept"):
            assert math.isnan(weights[name])
        else:
            assert weights[name] == (1 / one["propensity"] if one.get("drawn") else 0.0)
    assert set(past.frame["\0decided"]) == {"decline"}
    decisions = from_ledger(with_reference(bundle), Ledger(url).entries()).decisions
    assert decisions["propensity"].to_list() == [one["propensity"] for one in lanes.values()]
    assert decisions["taken"].to_list() == [one.get("drawn", False) for one in lanes.values()]
    assert set(decisions["action"]) == {"approve", "decline"}


def forged(record: dict[str, Any]) -> dict[str, Any]:
    return record | {"lane": record["lane"] | {"propensity": record["lane"]["propensity"] + 1e-12}}


def test_a_restart_does_not_renew_the_budget(
    laned: Bundle, start: Start, pay: Pay, ledger_url: str
) -> None:
    async def work(scorer: Scorer, begin: int) -> None:
        for number in range(begin, begin + 25):
            await decide(scorer, pay(payment_id=f"p{number}", amount=90.0, card_id=f"c{number}"))

    for begin in (0, 25, 50):
        scorer = start(laned)
        run(work(scorer, begin))
    lanes = [record["lane"] for record in records(ledger_url).values()]
    at_stake = sum(one["at_stake"] for one in lanes if one.get("drawn"))
    assert 800.0 < at_stake <= LANE.money_per_day
    assert scorer.control_group.spent == pytest.approx(at_stake)
    assert lanes[-1]["kept"] == "budget"


def test_workers_together_keep_to_one_budget(
    laned: Bundle, start: Start, pay: Pay, ledger_url: str
) -> None:
    run(decide(start(laned), pay(payment_id="p9", amount=90.0)))
    (entry,) = [one for one in Ledger(ledger_url).entries() if one.kind == "payment"]
    drawn = msgspec.json.decode(entry.body)
    drawn["lane"] |= {"drawn": True}
    whole = StoredEntry(
        "payment", "p", entry.arrived, 0, b"", msgspec.json.encode(drawn), seq=1, chain=b""
    )
    group = ControlGroup(KEY, workers=3)
    group.take_over([whole] * 6, entry.arrived)
    assert group.spent == pytest.approx(6 * 90.0 / 3)


def test_a_worker_keeps_to_its_part_and_a_day_renews_it(
    laned: Bundle, pay: Pay, ledger_url: str
) -> None:
    ahead = [0]
    scorer = Scorer(
        laned, Ledger(ledger_url), key=KEY, workers=3, clock=lambda: system_time() + ahead[0]
    )
    scorer.start()
    group = scorer.control_group

    async def work(begin: int) -> float:
        for number in range(begin, begin + 30):
            await decide(scorer, pay(payment_id=f"p{number}", amount=50.0, card_id=f"c{number}"))
        return group.spent

    assert run(work(0)) == 300.0, "six times 50 of a third of 1,000"
    ahead[0] = DAY_US
    assert run(work(30)) == 300.0
    assert group.at_stake == 600.0
    scorer.close()


def test_a_payment_without_a_probability_is_not_taken(
    tmp_path: Path, start: Start, pay: Pay, ledger_url: str
) -> None:
    scorer = start(bundle_of(b"no model", tmp_path))
    run(decide(scorer, pay(payment_id="p")))
    lane = records(ledger_url)["p"]["lane"]
    assert (lane["kept"], lane["propensity"]) == ("unknown", 0.0)


def test_a_lane_of_reviews_also_takes_what_would_be_approved(
    model: bytes, tmp_path: Path, start: Start, pay: Pay, ledger_url: str
) -> None:
    lane = ControlLane(share=0.5, money_per_day=1e6, action="review")
    policy = msgspec.structs.replace(POLICY, control=lane)
    scorer = start(bundle_of(model, tmp_path, policy))

    async def work() -> None:
        for number in range(30):
            await decide(scorer, pay(amount=5.0, card_id=f"c{number}"))

    run(work())
    found = list(records(ledger_url).values())
    assert {record["lane"]["decided"] for record in found} == {"approve"}
    assert {record["action"] for record in found} == {"approve", "review"}
    assert {record["lane"]["at_stake"] for record in found} == {policy.cost.review}


def test_a_policy_without_a_lane_records_none(
    bundle: Bundle, start: Start, pay: Pay, ledger_url: str
) -> None:
    run(decide(start(bundle), pay(payment_id="p")))
    assert "lane" not in records(ledger_url)["p"]
