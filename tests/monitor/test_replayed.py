"""A decision made again from the ledger is equal to the bit; whatever was changed shows."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from serve.fixtures import fitted_model, make_bundle
from serve.service import KEY
from shroff.control import Lists, LiveLists
from shroff.errors import BadPayment, NotFound
from shroff.ledger import Ledger
from shroff.monitor import ledger_parity, replay_decision
from shroff.package import Bundle, save
from shroff.scoring.scorer import Scorer

Pay = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return save(make_bundle(fitted_model()), tmp_path_factory.mktemp("bundle") / "bundle")


class Recorded:
    """A ledger with payments of some cards, decided by lists that were edited in between."""

    def __init__(self, bundle: Bundle, folder: Path) -> None:
        self.bundle = bundle
        self.url = f"sqlite:///{folder / 'ledger.db'}"
        self.lists = Lists(f"sqlite:///{folder / 'control.db'}")

    async def record(self, pay: Pay) -> None:
        scorer = Scorer(self.bundle, Ledger(self.url), key=KEY, lists=LiveLists(self.lists))
        scorer.start()
        for number in range(40):
            if number == 20:
                self.lists.edit("blocked", "10.0.0.1", "add", by="ada")
            if number == 30:
                self.lists.edit("blocked", "10.0.0.1", "remove", by="ada")
            assert scorer.lists is not None
            scorer.lists.refresh()
            scorer.follow_lists()
            sent = pay(
                payment_id=f"p{number}", card_id=f"c{number % 3}", amount=100.0 + 40 * number
            )
            await scorer.decide(msgspec.json.encode(sent))
            await scorer.learn(
                "result", sent["payment_id"], "failed" if number % 2 else "authorised"
            )
        scorer.close()

    def replay(self, payment_id: str) -> Any:
        return replay_decision(
            payment_id, Ledger(self.url), lambda version: self.bundle, edits=self.lists.edits
        )


@pytest.fixture
def recorded(bundle: Bundle, tmp_path: Path, pay: Pay) -> Recorded:
    made = Recorded(bundle, tmp_path)
    asyncio.run(made.record(pay))
    return made


def test_every_decision_is_equal_to_the_bit(recorded: Recorded) -> None:
    rules = []
    numbers = range(0, 40, 4)
    for number in numbers:
        found = recorded.replay(f"p{number}")
        assert found.holds, [line for line in found.lines if not line.equal]
        rules.append(next(line.replayed for line in found.lines if line.name == "rules"))
    assert [bool(hit) for hit in rules] == [20 <= number < 30 for number in numbers]
    with pytest.raises(NotFound, match="no payment with this id"):
        recorded.replay("p99")


def test_a_forged_record_does_not_replay(recorded: Recorded, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ledger.db") as database:
        (body,) = database.execute(
            "SELECT body FROM shroff_ledger WHERE payment_id = 'p39'"
        ).fetchone()
        record = msgspec.json.decode(body)
        record["probability"] += 1e-12
        record["features"]["card_count_1d"] += 1.0
        changed = msgspec.json.encode(record)
        database.execute("UPDATE shroff_ledger SET body = ? WHERE payment_id = 'p39'", (changed,))
    found = recorded.replay("p39")
    assert {line.name for line in found.lines if not line.equal} == {"card_count_1d", "probability"}
    assert recorded.replay("p38").holds


def test_no_amount_that_is_taken_spoils_the_proof(bundle: Bundle, tmp_path: Path, pay: Pay) -> None:
    """Five payments at the limit leave 64 bits."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"

    async def record() -> None:
        scorer = Scorer(bundle, Ledger(url), key=KEY)
        scorer.start()
        for number in range(25):
            for card, amount in (("large", 1e14), ("other", 80.0)):
                sent = pay(
                    payment_id=f"{card}-{number}", card_id=card, amount=amount, currency="JPY"
                )
                await scorer.decide(msgspec.json.encode(sent))
        with pytest.raises(BadPayment, match="from 0 to 100,000,000,000,000"):
            await scorer.decide(
                msgspec.json.encode(pay(amount=100_000_000_000_001, currency="JPY"))
            )
        scorer.close()

    asyncio.run(record())
    for payment_id in ("large-24", "other-24"):
        assert replay_decision(payment_id, Ledger(url), lambda version: bundle).holds
    assert ledger_parity(bundle, Ledger(url).entries()).holds
