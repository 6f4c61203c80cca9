"""The verdict on a model: read from a ledger, decided on a log, told in words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from serve.service import KEY
from shroff.clock import system_time
from shroff.collect.times import DAY_US
from shroff.errors import ConfigurationError
from shroff.evaluate.reference import PROBABILITY, TrainingReference
from shroff.ledger import Ledger
from shroff.monitor.observed import DECIDED, DecidedPayments, from_ledger
from shroff.monitor.performance import by_month
from shroff.monitor.verdict import judge
from shroff.package import Bundle
from shroff.scoring.scorer import Scorer

MARCH = 1_709_251_200_000_000
"""2024-03-01 in UTC."""


def with_reference(bundle: Bundle) -> Bundle:
    """The bundle after a training that saw amounts of 40 only."""
    table = pl.DataFrame({"amount": [40.0] * 70, "mcc": ["5411"] * 70, PROBABILITY: [0.1] * 70})
    time = np.arange(70, dtype=np.int64) * DAY_US // 2
    return replace(bundle, reference=TrainingReference.of(table, time, None))


def test_the_ledger_shows_what_was_decided_and_which_label_stands(
    bundle: Bundle, tmp_path: Path, pay: Callable[..., dict[str, Any]]
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"

    async def record() -> None:
        scorer = Scorer(bundle, Ledger(url), key=KEY)
        scorer.start()
        for number in range(9):
            sent = pay(card_id=f"c{number}", amount=290.0 if number % 2 else 40.0)
            await scorer.decide(msgspec.json.encode(sent))
            if number % 2:
                await scorer.learn("label", sent["payment_id"], number > 4)
        scorer.close()

    asyncio.run(record())
    entries = list(Ledger(url).entries())
    found = from_ledger(with_reference(bundle), entries)
    records = [msgspec.json.decode(one.body) for one in entries if one.kind == "payment"]
    decisions = found.decisions
    assert found.others == 0
    assert decisions["action"].to_list() == [record["action"] for record in records]
    assert decisions[PROBABILITY].to_list() == [record["probability"] for record in records]
    assert decisions["amount"].to_list() == [290.0 if n % 2 else 40.0 for n in range(9)]
    assert decisions["card"].to_list() == [f"c{number}" for number in range(9)]
    assert decisions["fraud"].to_list() == [None if n % 2 == 0 else n > 4 for n in range(9)]
    assert found.inputs.columns == ["amount", "mcc"]
    other = from_ledger(replace(with_reference(bundle), digest="f" * 64), entries)
    assert (len(other.decisions), other.others) == (0, 9)
    told = judge(with_reference(bundle), other, now=system_time(), delay_days=7)
    assert "decided no payment; other models decided 9" in told.sentences[0]
    early = judge(with_reference(bundle), found, now=system_time(), delay_days=7)
    assert "No whole day has passed" in early.sentences[1]
    assert early.holds


def decided(days: int, *, amount: float, cards: int = 300) -> DecidedPayments:
    """Payments of as many cards a day, all of one amount."""
    rows = days * cards
    day = np.repeat(np.arange(days), cards)
    decisions = pl.DataFrame(
        {
            "arrived": MARCH + day * DAY_US,
            "card": [f"c{number}" for number in np.tile(np.arange(cards), days)],
            "amount": [amount] * rows,
            "action": ["approve"] * rows,
            PROBABILITY: [0.1] * rows,
            "fraud": [None] * rows,
            "labelled": [None] * rows,
        },
        schema=DECIDED,
    )
    inputs = pl.DataFrame({"amount": [amount] * rows, "mcc": ["5411"] * rows})
    return DecidedPayments(decisions, inputs, 0)


def test_payments_like_those_of_training_sound_no_alarm_and_others_do(bundle: Bundle) -> None:
    model, now = with_reference(bundle), MARCH + 40 * DAY_US
    usual = judge(model, decided(30, amount=40.0), now=now, delay_days=7)
    assert usual.holds, usual.sentences
    assert usual.sentences[1] == "No alarm: none of 3 columns has moved past all doubt."
    moved = judge(model, decided(30, amount=90.0), now=now, delay_days=7)
    assert [one.column for one in moved.drift.alarms] == ["amount"]
    assert "`amount` was at most 40 for 0.0 % of cards" in moved.sentences[2]
    plain = msgspec.json.decode(msgspec.json.encode(moved.to_dict()))
    assert plain["drift"][0]["last_alarm"]["what"] == "at most 40"


def test_only_whole_days_and_weeks_are_compared(bundle: Bundle) -> None:
    """The day and the week of the first payment, and those that are not over, are none."""
    model = with_reference(bundle)
    # a Friday: the only whole week begins on 4 March
    found = judge(model, decided(14, amount=40.0), now=MARCH + 13 * DAY_US, delay_days=7)
    assert {one.windows for one in found.drift.columns} == {12 + 1}


def test_a_bundle_without_a_reference_is_refused(bundle: Bundle) -> None:
    with pytest.raises(ConfigurationError, match="train it again"):
        from_ledger(bundle, [])


def test_a_month_in_figures() -> None:
    """Ten mature payments by hand, and one too young to have its label."""
    rows = [
        # action, fraud, amount: two frauds passed, three were stopped, and of one nobody knows
        ("approve", None, 10.0),
        ("approve", False, 10.0),
        ("approve", True, 70.0),
        ("approve", True, 30.0),
        ("review", None, 20.0),
        ("review", True, 100.0),
        ("challenge", True, 50.0),
        ("decline", True, 200.0),
        ("decline", False, 5.0),
        ("decline", None, 900.0),
    ]
    table = pl.DataFrame(
        {
            "arrived": [MARCH + number for number in range(10)] + [MARCH + 9 * DAY_US],
            "card": [f"c{number}" for number in range(11)],
            "amount": [amount for _, _, amount in rows] + [1.0],
            "action": [action for action, _, _ in rows] + ["approve"],
            PROBABILITY: [0.25] * 11,
            "fraud": [fraud for _, fraud, _ in rows] + [None],
            "labelled": [None] * 11,
        },
        schema=DECIDED,
    )
    (month,) = by_month(table, until=MARCH + 8 * DAY_US)
    assert (month.month, month.payments, month.mature) == ("2024-03", 11, 10)
    assert (month.known_frauds, month.unknown) == (5, 1)
    assert month.precision == 3 / 5  # of review, review, challenge, decline, decline
    assert month.recall == (3 / 5, 4 / 6)
    assert (month.lost, month.stopped) == (100.0, 350.0)
    assert (month.expected, month.frauds) == (7 * 0.25, 4)
    low, high = month.frauds_interval
    assert low <= 4 <= high
