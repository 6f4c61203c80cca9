"""Labels, calibration, latency, gates and segments, each on payments where the answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shroff.collect.times import DAY_US
from shroff.errors import ConfigurationError, SourceUnavailable
from shroff.evaluate.cost import Cost
from shroff.evaluate.reference import PROBABILITY
from shroff.monitor import DecidedPayments, gates, latency
from shroff.monitor.arrivals import label_arrival
from shroff.monitor.calibration import calibration, findings
from shroff.monitor.observed import DECIDED, LABELS
from shroff.monitor.performance import by_month, by_segment

MONDAY = 1_709_510_400_000_000
"""2024-03-04 in UTC, a Monday."""
CARDS = 2_000


def decisions(days: int, **columns: Any) -> pl.DataFrame:
    """As many cards each day, all approved, from a Sunday on."""
    size = days * CARDS
    usual = {
        "arrived": MONDAY + (np.arange(size) // CARDS - 1) * DAY_US,
        "card": pl.Series(np.arange(size) % CARDS).cast(pl.String),
        "amount": [10.0] * size,
        "action": ["approve"] * size,
        PROBABILITY: [0.01] * size,
        "fraud": [None] * size,
        "labelled": [None] * size,
        "policy": [None] * size,
    }
    return pl.DataFrame(usual | columns, schema=DECIDED)


def labelled(table: pl.DataFrame, *, until: int, days: float) -> DecidedPayments:
    """One card in ten gets a label after some days, none after a moment."""
    own = table.with_row_index("row").filter(pl.col("row") % 10 == 0)
    labels = own.select(
        pl.col("row").cast(pl.Int64),
        pl.lit("bank").alias("source"),
        (pl.col("arrived") + int(days * DAY_US)).alias("at"),
    ).filter(pl.col("at") < until)
    assert dict(labels.schema) == LABELS
    return DecidedPayments(table, pl.DataFrame(), 0, labels)


def test_a_source_that_falls_silent_is_an_alarm_and_one_as_before_is_none() -> None:
    table, now = decisions(78), MONDAY + 77 * DAY_US
    kept = label_arrival(labelled(table, until=now, days=3), now=now, delay_days=28, budget=0.01)
    (bank,) = kept
    assert (bank.source, bank.median_days, bank.most_days) == ("bank", 3, 3)
    assert [one.kind for one in bank.findings()] == ["maturity"]
    silent = labelled(table, until=MONDAY + 50 * DAY_US, days=3)
    (bank,) = label_arrival(silent, now=now, delay_days=28, budget=0.01)
    found = {one.subject: one for one in bank.findings() if one.kind == "labels"}
    assert found["bank, 7 days"].severity == "alarm"
    assert "`bank` had labelled 0.00 % of the cards of the week" in found["bank, 7 days"].sentence


@pytest.mark.parametrize("day", [1, 8, 20, 28, 45])
def test_a_source_that_began_later_is_missed_too(day: int) -> None:
    """It gives labels from a day on; and none after the eleventh week, or as before."""
    table, now = decisions(120), MONDAY + 119 * DAY_US
    for until, told in ((77, {"bank, 7 days": "alarm", "bank, 28 days": "alarm"}), (119, {})):
        given = labelled(table, until=MONDAY + until * DAY_US, days=3)
        labels = given.labels.filter(pl.col("at") >= MONDAY + day * DAY_US)
        own = given._replace(labels=labels)
        (bank,) = label_arrival(own, now=now, delay_days=28, budget=0.01)
        found = {one.subject: one.severity for one in bank.findings() if one.kind == "labels"}
        assert found == told


def test_labels_that_come_later_are_seen_before_they_are_lost() -> None:
    table, now = decisions(78), MONDAY + 77 * DAY_US
    early = table["arrived"] < MONDAY + 35 * DAY_US
    fast, slow = (labelled(table, until=now, days=days).labels for days in (3, 12))
    both = pl.concat(
        [
            fast.filter(early.gather(fast["row"])),
            slow.filter(~early.gather(slow["row"])),
        ]
    )
    (bank,) = label_arrival(
        DecidedPayments(table, pl.DataFrame(), 0, both), now=now, delay_days=28, budget=0.01
    )
    assert [one.subject for one in bank.findings() if one.kind == "labels"] == ["bank, 7 days"]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_frauds_as_many_as_expected_are_calibrated(seed: int) -> None:
    chance = np.random.default_rng(seed)
    fraud = chance.random(40 * CARDS) < 0.01
    table = decisions(40, fraud=fraud)
    (month,) = calibration(table, until=MONDAY + 60 * DAY_US, budget=0.001)[:1]
    assert not month.off
    assert month.low < month.expected < month.high


def test_three_times_as_many_frauds_are_an_alarm_that_says_so() -> None:
    fraud = np.random.default_rng(0).random(40 * CARDS) < 0.03
    found = calibration(decisions(40, fraud=fraud), until=MONDAY + 60 * DAY_US, budget=0.001)
    (alarm,) = findings(found)
    assert (alarm.kind, alarm.severity, str(alarm.since)) == ("calibration", "alarm", "2024-03-01")
    assert alarm.sentence.startswith("In 2024-04, ")
    assert "the probabilities said 220" in alarm.sentence


def test_a_burst_of_one_card_is_not_many_frauds() -> None:
    """All payments of one card are frauds: 400 in a month, as one piece of news."""
    card = np.where(np.arange(40 * CARDS) % 100 == 0, "stolen", np.arange(40 * CARDS).astype(str))
    table = decisions(40, card=card, fraud=card == "stolen", **{PROBABILITY: [0.003] * 40 * CARDS})
    (month, *_) = calibration(table, until=MONDAY + 60 * DAY_US, budget=0.001)
    assert month.came > 2 * month.expected
    assert not month.off


def test_challenges_without_a_label_tell_nothing() -> None:
    """Of a calibrated model whose challenges nearly all frauds give up."""
    chance, size = np.random.default_rng(0), 40 * CARDS
    p = np.where(chance.random(size) < 0.02, 0.4, 0.01)
    fraud = chance.random(size) < p
    challenged = p > 0.2
    told = fraud & (~challenged | (chance.random(size) < 0.1))
    known = pl.Series([one or None for one in told.tolist()], dtype=pl.Boolean)
    action = np.where(challenged, "challenge", "approve")
    table = decisions(40, fraud=known, action=action, **{PROBABILITY: p})
    months = calibration(table, until=MONDAY + 60 * DAY_US, budget=0.001)
    assert months
    assert not any(one.off for one in months)
    *_, month = by_month(table, until=MONDAY + 60 * DAY_US)
    seen = table.filter(
        pl.from_epoch("arrived", time_unit="us").dt.strftime("%Y-%m") == month.month
    )
    unlabelled = seen.filter(pl.col("action") == "challenge", pl.col("fraud").is_null())
    assert month.unknown == len(unlabelled)
    assert month.precision == 1.0, "of what is known"
    assert month.recall is not None
    assert month.recall[0] < month.recall[1]
    approved = len(seen.filter(pl.col("action") == "approve"))
    assert month.expected == pytest.approx(0.01 * approved)


def test_a_month_of_few_frauds_is_not_tested() -> None:
    table = decisions(40, **{PROBABILITY: [0.0003] * 40 * CARDS})
    assert calibration(table, until=MONDAY + 60 * DAY_US, budget=0.001) == []


def test_money_saved_counts_what_was_stopped_and_what_it_cost() -> None:
    size = CARDS
    table = decisions(
        1,
        action=["approve"] * (size - 3) + ["review", "decline", "decline"],
        fraud=[None] * (size - 3) + [True, True, False],
    )
    (month,) = by_month(table, until=MONDAY + DAY_US, cost=Cost(review=4.0, declined=15.0))
    assert month.saved == pytest.approx(10 + 10 - 4 - 15)
    assert month.saved_interval is not None
    low, high = month.saved_interval
    assert low <= 1 <= high
    (none,) = by_month(table, until=MONDAY, cost=Cost(declined="2 * amount"))
    assert none.saved is None


def test_segments_are_the_most_frequent_values() -> None:
    table = decisions(1, fraud=[True] * 500 + [None] * (CARDS - 500))
    values = pl.Series(["a"] * 500 + ["b"] * (CARDS - 501) + [None])
    found = {one.month: one for one in by_segment(table, values, until=MONDAY + DAY_US)}
    assert {name: one.known_frauds for name, one in found.items()} == {
        "a": 500,
        "b": 0,
        "missing": 0,
    }


def test_a_gate_is_breached_only_past_doubt_and_by_a_whole_month() -> None:
    fraud = [True] * 50 + [None] * (CARDS - 50)
    table = decisions(1, action=["review"] * 100 + ["approve"] * (CARDS - 100), fraud=fraud)
    months = by_month(table, until=MONDAY + DAY_US)
    asked = gates.PerformanceGates(precision=0.9, recall=0.9)
    found = {one.subject: one.severity for one in gates.findings(months, asked)}
    assert found == {"precision": "alarm", "recall": "info"}
    young = by_month(table, until=0)
    assert [one.severity for one in gates.findings(young, asked)] == ["info", "info"]


def test_latency_is_held_against_the_next_bound() -> None:
    found = {0.01: 90.0, 0.05: 98.0, 0.1: 100.0, float("inf"): 100.0}
    told = {one.subject: one for one in latency.findings(found, {0.5: 5, 0.99: 40})}
    assert (told["p50"].severity, told["p99"].severity) == ("info", "alarm")
    assert told["p99"].sentence.startswith("2.00 % of 100 payments waited more than 50 ms")
    (kept,) = latency.findings(found, {0.99: 60})
    assert kept.severity == "info"
    with pytest.raises(ConfigurationError, match="at most 100 ms"):
        list(latency.findings(found, {0.99: 200}))
    with pytest.raises(SourceUnavailable, match="a service at the URL"):
        latency.waited("http://127.0.0.1:1", "")
    with pytest.raises(ConfigurationError, match="expected an API key"):
        latency.waited("http://127.0.0.1:1", "sch\u0142\u00fcssel")
