"""Gauges of PSD2 and VAMP: the sums of a real ledger, and dates where the trend is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from serve.service import KEY
from shroff.clock import system_time
from shroff.collect.times import DAY_US
from shroff.ledger import Ledger
from shroff.monitor.crossing import Crossing, crossing
from shroff.monitor.scheme_watch import DailySums, daily_sums, gauges
from shroff.package import Bundle
from shroff.scoring.scorer import Scorer

LAST = date(2026, 6, 30)


def rising(days: int, *, start: float, slope: float, noise: float, seed: int) -> tuple[Any, Any]:
    """Daily sums whose rate rises by `slope` a day on average."""
    chance = np.random.default_rng(seed)
    volume = np.full(days, 1_000_000.0)
    rate = start + slope * np.arange(days) + noise * chance.standard_normal(days)
    return np.clip(rate, 0, None) * volume, volume


def test_the_date_of_a_limit_is_in_its_interval_as_often_as_is_said() -> None:
    """The truth of each of 60 logs: the week in which its mean rate, rolling, reaches the limit."""
    inside = 0
    for seed in range(60):
        part, whole = rising(91, start=1e-4, slope=5e-6, noise=1e-4, seed=seed)
        steady, _ = rising(91 + 90, start=1e-4, slope=5e-6, noise=0, seed=0)
        rolling = np.convolve(steady, np.ones(28), "valid")[-90:] / 28e6
        truth = LAST + timedelta(days=int((rolling >= 7e-4).argmax()) + 1)
        found = crossing(part, whole, LAST, limit=7e-4, window_days=30)
        assert found is not None
        earliest = found.earliest or date.max
        latest = found.latest or date.max
        inside += earliest - timedelta(days=6) <= truth <= latest
    assert inside >= 53, inside  # of 95 in 100, fewer by chance in 2 of 100 cases


def test_a_steady_rate_crosses_nothing_and_little_history_says_nothing() -> None:
    part, whole = rising(120, start=1e-4, slope=0, noise=1e-5, seed=1)
    found = crossing(part, whole, LAST, limit=6e-4, window_days=90)
    assert found == Crossing(None, None, None)
    assert crossing(part[:50], whole[:50], LAST, limit=6e-4, window_days=90) is None
    above = crossing(part, whole, LAST, limit=5e-5, window_days=90)
    assert above is not None
    assert above.likely == LAST + timedelta(days=7)
    rare = crossing(part, whole, LAST, limit=5e-5, window_days=90, least=1e12)
    assert rare == Crossing(None, None, None)


def test_a_week_without_payments_says_nothing_of_the_trend() -> None:
    part, whole = rising(120, start=5.8e-4, slope=0, noise=0, seed=1)
    for days in (part, whole):
        days[-35:-28] = 0.0
    assert crossing(part, whole, LAST, limit=6e-4, window_days=30) == Crossing(None, None, None)
    for days in (part, whole):
        days[: 120 - 56] = 0.0
    assert crossing(part, whole, LAST, limit=6e-4, window_days=30) is None, "seven weeks"


def sums(part: Any, *, amount: float = 1_000_000.0) -> DailySums:
    days = len(part)
    first = LAST - timedelta(days=days - 1)
    volume = np.full(days, amount)
    return DailySums(first, volume / 1_000, volume, part / 1_000, part, np.zeros(days))


def test_gauges_say_the_next_limit_in_words(bundle: Bundle) -> None:
    part, _ = rising(120, start=1e-4, slope=2e-6, noise=1e-6, seed=2)
    model = replace(bundle, currency="EUR")
    psd2, vamp = gauges(model, sums(part))
    assert psd2.limit == 6e-4
    assert "PSD2 fraud rate is 2.4" in psd2.finding().sentence
    assert "exemption up to 250 EUR" in psd2.finding().sentence
    assert vamp.limit == 0.015
    assert vamp.finding().severity == "info"
    assert "not within 90 days" in vamp.finding().sentence
    (acquirer,) = gauges(bundle, sums(part * 40), side="acquirer")  # in no currency: no PSD2
    assert acquirer.finding().severity == "warning"
    assert "above all limits" in acquirer.finding().sentence


def test_the_ledger_gives_what_was_let_through_and_when_frauds_were_registered(
    bundle: Bundle, tmp_path: Path, pay: Callable[..., dict[str, Any]]
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"

    async def record() -> None:
        scorer = Scorer(bundle, Ledger(url), key=KEY)
        scorer.start()
        for number in range(6):
            sent = pay(card_id=f"c{number}", amount=40.0)
            await scorer.decide(msgspec.json.encode(sent))
            if number < 3:
                source = "chargebacks" if number else "analysts"
                await scorer.learn("label", sent["payment_id"], True, source=source)
            if number in (0, 2):
                # withdrawn: no fraud any more, but the dispute was raised
                await scorer.learn("label", sent["payment_id"], False, source=source)
        scorer.close()

    asyncio.run(record())
    entries = list(Ledger(url).entries())
    actions = [msgspec.json.decode(one.body)["action"] for one in entries if one.kind == "payment"]
    rank = bundle.schema.label_rank
    assert daily_sums(entries, rank, now=system_time()) is None, "no day is over"
    found = daily_sums(entries, rank, now=system_time() + DAY_US, disputed_by=["chargebacks"])
    assert found is not None
    assert found.first == datetime.now(UTC).date()
    executed = sum(action != "decline" for action in actions)
    assert found.payments.tolist() == [executed]
    assert found.amount.tolist() == [4_000 * executed]
    assert (found.frauds.tolist(), found.disputes.tolist()) == ([1], [2])


@pytest.mark.parametrize("bound", ["earliest", "likely", "latest"])
def test_a_date_that_is_not_there_is_infinite(bound: str) -> None:
    assert Crossing(None, None, None).seconds(bound) == float("inf")
