"""What decides is one frozen value: whatever is switched while payments are in flight, each meets
one value whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from itertools import cycle
from typing import Any

import msgspec
import pytest

from serve.asking import decide, run
from serve.audit import body, read_ledger
from serve.fixtures import POLICY, make_bundle
from shroff.decide.decider import Decider
from shroff.decide.lists import Effective
from shroff.decide.standing import Standing
from shroff.ledger.answer import ModelName
from shroff.scoring.active import Active
from shroff.scoring.scorer import Scorer

Pay = Callable[..., dict[str, Any]]
STRICT = msgspec.structs.replace(POLICY, review_at=1e-9, decline_at=1e-9)


def test_nothing_of_it_can_be_set(scorer: Scorer) -> None:
    with pytest.raises(FrozenInstanceError):
        scorer.active.bundle = scorer.bundle  # type: ignore[misc]  # this is what must fail


def test_every_record_is_of_one_value_however_often_it_is_switched(
    scorer: Scorer, model: bytes, pay: Pay, ledger_url: str
) -> None:
    bundle = make_bundle(model, policy=msgspec.to_builtins(STRICT))
    lists = Effective({"blocked": ("10.6.6.6", "10.7.7.7")}, (7, 7))
    first = scorer.active
    decider = Decider(bundle, Standing(policy=STRICT, version="9" * 64)).listing(lists)
    second = replace(
        Active.of(bundle, decider, first.state, first.reader), model=ModelName("strict", "8" * 64)
    )

    async def switch() -> None:
        # for one, two and three turns of the loop: a group takes as many each time
        for turns in cycle((1, 2, 3)):
            for active in (second, first):
                scorer._sequencer.use(active)
                for _ in range(turns):
                    await asyncio.sleep(0)

    async def work() -> None:
        switching = asyncio.create_task(switch())
        for start in range(0, 400, 8):
            await asyncio.gather(
                *(decide(scorer, pay(card_id=f"c{start + n}", amount=20.0)) for n in range(8))
            )
        switching.cancel()

    run(work())
    decided = [body(entry) for entry in read_ledger(ledger_url)]
    found = {(one["model"], one["policy"], str(one.get("lists")), one["action"]) for one in decided}
    assert found == {
        (first.model.version, first.decider.policy_version, "None", "approve"),
        ("8" * 64, "9" * 64, "[7, 7]", "decline"),
    }


def test_a_payment_in_flight_keeps_what_decided_it(scorer: Scorer, pay: Pay) -> None:
    strict = make_bundle(scorer.bundle.model, policy=msgspec.to_builtins(STRICT))
    second = replace(scorer.active, decider=Decider(strict))

    async def work() -> list[str]:
        waiting = asyncio.create_task(decide(scorer, pay(amount=20.0)))
        while not any(pending.answer for pending in scorer._sequencer.in_flight.values()):
            await asyncio.sleep(0)
        scorer._sequencer.use(second)
        return [(await waiting)["action"], (await decide(scorer, pay(amount=20.0)))["action"]]

    assert run(work()) == ["approve", "decline"]
