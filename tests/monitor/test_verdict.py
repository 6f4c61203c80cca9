"""The verdict on a model: read from a ledger, decided on a log, told in words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import partial
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
from shroff.evaluate.cost import ACTIONS
from shroff.evaluate.reference import PROBABILITY, TrainingReference
from shroff.ledger import Ledger, StoredEntry
from shroff.monitor import Finding
from shroff.monitor.observed import DECIDED, DecidedPayments, from_ledger
from shroff.monitor.performance import by_month
from shroff.monitor.sampled import finding, sampled_parity
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
    sample = partial(sampled_parity, bundle, size=4, key=KEY, day=date(2026, 1, 1))
    equal = sample(entries)
    assert equal.payments == 4
    assert finding(equal).severity == "info"
    # whichever payments are in the sample, one feature was recorded wrongly
    wrong = finding(sample([altered(one) for one in entries]))
    assert wrong.severity == "alarm"
    assert "1 features of 4 sampled payments differ" in wrong.sentence
    # those of an outage have no features, and are no part of a sample
    outage = [one if number > 5 else altered(one, lost=True) for number, one in enumerate(entries)]
    assert sample(outage).payments == 4


def altered(entry: StoredEntry, *, lost: bool = False) -> StoredEntry:
    """A payment's record with another count in one feature, or without any."""
    if entry.kind != "payment":
        return entry
    record = msgspec.json.decode(entry.body)
    record["features"] = {} if lost else record["features"]
    if not lost:
        record["features"]["card_count_1h"] += 1
    return msgspec.structs.replace(entry, body=msgspec.json.encode(record))


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
            PROBABILITY: [0.0001] * rows,
            "fraud": [None] * rows,
            "labelled": [None] * rows,
            "policy": [None] * rows,
        },
        schema=DECIDED,
    )
    inputs = pl.DataFrame({"amount": [amount] * rows, "mcc": ["5411"] * rows})
    return DecidedPayments(decisions, inputs, 0)


def test_payments_like_those_of_training_sound_no_alarm_and_others_do(bundle: Bundle) -> None:
    model, now = with_reference(bundle), MARCH + 40 * DAY_US
    usual = judge(model, decided(30, amount=40.0), now=now, delay_days=7)
    assert usual.holds, usual.sentences
    assert usual.sentences[1] == "No drift: none of 3 columns has moved past all doubt."
    moved = judge(model, decided(30, amount=90.0), now=now, delay_days=7)
    assert [one.column for one in moved.drift.alarms] == ["amount"]
    assert "`amount` was at most 40 for 0.0 % of cards" in moved.sentences[2]
    plain = msgspec.json.decode(msgspec.json.encode(moved.to_dict()))
    assert plain["drift"][0]["last_alarm"]["what"] == "at most 40"


def test_two_days_of_training_are_no_week(bundle: Bundle) -> None:
    """On other days of the week people pay otherwise, which is no drift."""
    model, now = with_reference(bundle), MARCH + 40 * DAY_US
    assert model.reference is not None
    two = tuple(
        msgspec.structs.replace(
            one, usual={name: one.usual[name] for name in ("Tue", "Wed", "week")}
        )
        for one in model.reference.columns
    )
    short = replace(model, reference=TrainingReference(two))
    days = np.repeat(np.arange(30), 300)
    weekday = ((MARCH // DAY_US + days) + 3) % 7
    seen = decided(30, amount=40.0)
    amount = pl.Series(np.where(np.isin(weekday, (1, 2)), 40.0, 90.0))
    found = judge(
        short, seen._replace(inputs=seen.inputs.with_columns(amount=amount)), now=now, delay_days=7
    )
    assert found.holds, found.sentences
    told = {one.subject: one for one in found.findings}["weeks"]
    assert told.severity == "info"
    assert "are of Tue, Wed alone" in told.sentence


def test_values_that_are_missing_and_names_that_are_new_are_called_so(bundle: Bundle) -> None:
    model, now = with_reference(bundle), MARCH + 40 * DAY_US
    seen = decided(30, amount=40.0)
    odd = seen.inputs.with_columns(
        amount=pl.when(pl.int_range(pl.len()) % 2 == 0).then("amount"),
        mcc=pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit("79\n95")).otherwise("mcc"),
    )
    found = judge(model, seen._replace(inputs=odd), now=now, delay_days=7)
    told = {(one.kind, one.subject): one for one in found.findings if one.severity == "alarm"}
    assert told.keys() == {("missing", "amount"), ("new names", "mcc")}
    assert "`amount` was missing for 50.0 % of cards" in told["missing", "amount"].sentence
    new = told["new names", "mcc"].sentence
    assert "`mcc` had a name that training never saw for 33.3 % of cards" in new
    assert "(mostly `79\\n95`)" in new


def test_the_mix_of_decisions_is_compared_as_far_as_the_own_policy_made_them(
    bundle: Bundle,
) -> None:
    time = np.arange(28_000, dtype=np.int64) * DAY_US // 1_000
    actions = pl.Series(["approve"] * 27_720 + ["decline"] * 280).shuffle(seed=0)
    plain = with_reference(bundle)
    assert plain.reference is not None
    usual = plain.reference.deciding(actions, time, None, ACTIONS)
    model, now = replace(plain, reference=usual), MARCH + 40 * DAY_US
    seen = decided(30, amount=40.0)
    fine = judge(model, seen, now=now, delay_days=7)
    assert fine.holds, fine.sentences
    fifth = pl.int_range(pl.len()) % 5 == 0
    more = pl.when(fifth).then(pl.lit("decline")).otherwise("action").alias("action")
    moved = judge(
        model, seen._replace(decisions=seen.decisions.with_columns(more)), now=now, delay_days=7
    )
    assert [(one.kind, one.severity) for one in moved.findings] == [("decisions", "alarm")]
    assert "`decision` was" in moved.findings[0].sentence
    by_other = pl.when(fifth).then(pl.lit("p2")).alias("policy")
    others = seen.decisions.with_columns(more, by_other)
    found = judge(model, seen._replace(decisions=others), now=now, delay_days=7)
    assert found.holds, found.sentences
    assert "1,800 payments were decided by another policy" in found.findings[0].sentence


def test_whoever_finds_more_adds_it_and_alarms_come_first(bundle: Bundle) -> None:
    model, now = with_reference(bundle), MARCH + 40 * DAY_US
    found = judge(model, decided(30, amount=40.0), now=now, delay_days=7)
    warned = found.adding(Finding("lane", "recall", "warning", "Recall is lower than declared."))
    assert warned.holds
    failed = warned.adding(Finding("lane", "budget", "alarm", "The lane spends too much."))
    assert not failed.holds
    assert failed.findings[0].subject == "budget"
    assert "Alarm: The lane spends too much." in failed.sentences


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
            "policy": [None] * 11,
        },
        schema=DECIDED,
    )
    (month,) = by_month(table, until=MARCH + 8 * DAY_US)
    assert (month.month, month.payments, month.mature) == ("2024-03", 11, 10)
    assert (month.known_frauds, month.unknown) == (5, 1)
    assert month.precision == 3 / 5  # of review, review, challenge, decline, decline
    assert month.recall == (3 / 5, 4 / 6)
    assert (month.lost, month.stopped) == (100.0, 350.0)
    assert (month.expected, month.frauds) == (6 * 0.25, 3)  # of approve and review
    low, high = month.frauds_interval
    assert low <= 4 <= high
