"""A history is counted without features: its state is that of payments that were observed."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Final
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.examples import examples
from contract.strategies import UTC, Log
from contract.strategies import cases as plain
from contract.test_label_histories import cases as changing
from contract.test_links import cases as linked
from shroff import Entity, FeatureGroup, Schema
from shroff.collect.labels import with_labels
from shroff.collect.payment import Payment, Value, payments
from shroff.errors import MixedCurrencies
from shroff.features.engines import replay
from shroff.features.engines.online import OnlineEngine
from shroff.features.engines.online.stream_timelines import Key
from shroff.features.engines.replay import count, feed

HOUR: Final = 3_600_000_000
Case = tuple[Log, FeatureGroup]
CASES: Final[st.SearchStrategy[Case]] = (
    plain().map(lambda case: case[:2])
    | changing().map(lambda case: case[:2])
    | linked().map(lambda case: (case[0], FeatureGroup("g", [one.feature for one in case[1]])))
)


def both(
    group: FeatureGroup, schema: Schema, history: pl.DataFrame
) -> tuple[OnlineEngine, OnlineEngine]:
    """Engines that observed and counted a history."""
    observed, counted = (OnlineEngine([group], schema, lateness="1d") for _ in range(2))
    for _ in feed(observed, history):
        pass
    for _ in count(counted, history):
        pass
    return observed, counted


def reached(engine: OnlineEngine) -> list[dict[Key, list[int]]]:
    """The times of the events that windows still reach, by stream and key."""
    found = []
    for timelines in engine.timelines.by_stream:
        limit = engine.timelines.watermark - timelines.horizon
        times = {
            key: [time for time in line.times if time > limit]
            for key, line in timelines.by_key.items()
        }
        found.append({key: left for key, left in times.items() if left})
    return found


@examples(50)
@given(case=CASES, data=st.data())
def test_what_is_counted_is_what_is_observed(case: Case, data: st.DataObject) -> None:
    (log, group), cut = case, data.draw(st.integers(0, len(case[0].rows)))
    observed, counted = both(group, log.schema, log.frame[:cut])
    assert reached(counted) == reached(observed)
    for payment in payments(log.frame[cut:], log.schema):
        assert counted.observe(payment) == observed.observe(payment)
        if data.draw(st.booleans()):
            counted.forget(payment)
            observed.forget(payment)
        for event, value in (("result", "failed"), ("label", True)):
            told = [one.later(payment.id, event, value) for one in (observed, counted)]  # type: ignore[arg-type]
            assert told[0] == told[1]
    assert reached(counted) == reached(observed)


card, shop = Entity("card", "card"), Entity("shop", "shop")
SCHEMA = Schema(
    id="id", time="time", amount="amount", currency="currency", arrived_at="arrived",
    label="fraud", labelled_at="labelled_at", keys=["card", "shop"],
)  # fmt: skip
GROUP = FeatureGroup(
    "long",
    [
        card.count(["1h", "1d"]), card.max("amount", "1d"), card.distinct("shop", "1d"),
        card.is_new("shop", "1d"), shop.risk("1d"), card.linked_by("shop", "1d").count(),
    ],
)  # fmt: skip


def test_labels_that_do_not_change_are_counted_by_column() -> None:
    """Those of a table of their own too, of which some payments have none."""
    log = long_log(3)
    said = log.select("id", "fraud", "labelled_at").sample(fraction=0.8, seed=1)
    bare = log.with_columns(fraud=pl.lit(None, pl.Boolean), labelled_at=pl.lit(None, UTC))
    again = said.head(1).with_columns(pl.col("labelled_at") + timedelta(hours=1), ~pl.col("fraud"))
    later = log.tail(50).with_columns(
        "late-" + pl.col("id"), *(pl.col(name) + timedelta(days=1) for name in ("time", "arrived"))
    )
    for labels, slowly in ((said, 0), (pl.concat([said, again]), 1)):
        with patch.object(replay, "_tell_all", wraps=replay._tell_all) as told:
            observed, counted = both(GROUP, SCHEMA, with_labels(bare, labels, SCHEMA))
        assert told.call_count == slowly
        assert reached(counted) == reached(observed)
        for payment in payments(later, SCHEMA):
            assert counted.observe(payment) == observed.observe(payment)


def long_log(days: int, *, dollars: int = 0) -> pl.DataFrame:
    """Payments over some days, some of which come up to a day late; the first ones in dollars."""
    random = Random(3)
    times = sorted(random.randrange(days * 24 * HOUR) for _ in range(days * 60))
    late = [time + random.choice([0, 0, 0, random.randrange(24 * HOUR)]) for time in times]
    return pl.DataFrame(
        {
            "id": [f"p{row}" for row in range(len(times))],
            "time": pl.Series(times).cast(UTC),
            "arrived": pl.Series(late).cast(UTC),
            "amount": [random.randrange(1_000) for _ in times],
            "currency": ["USD" if row < dollars else "EUR" for row in range(len(times))],
            "fraud": [random.random() < 0.2 for _ in times],
            "labelled_at": pl.Series([time + random.randrange(9 * HOUR) for time in late]).cast(
                UTC
            ),
            "card": [f"c{random.randrange(9)}" for _ in times],
            "shop": [f"s{random.randrange(30)}" for _ in times],
        }
    )


def test_what_no_window_reaches_is_left_out() -> None:
    history = long_log(12)
    observed, counted = both(GROUP, SCHEMA, history)
    day = OnlineEngine([FeatureGroup("g", [card.count("1d")])], SCHEMA)
    assert sum(count(day, history)) == day.events < len(history) / 3
    assert counted.newest == observed.newest
    random = Random(5)
    for number in range(300):
        # none is later than the lateness
        time = observed.newest + random.randrange(-20 * HOUR, HOUR // 60)
        shop = f"s{random.randrange(30)}"
        values: dict[str, Value] = {
            "card": f"c{random.randrange(9)}",
            "shop": shop,
            "currency": "EUR",
        }
        payment = Payment(f"n{number}", time, time, 500, 500, values)
        assert counted.observe(payment) == observed.observe(payment)
        for engine in (counted, observed):
            engine.later(payment.id, "label", number % 3 == 0)


def test_amounts_that_are_left_out_must_be_in_one_currency_too() -> None:
    with pytest.raises(MixedCurrencies):
        list(count(OnlineEngine([GROUP], SCHEMA), long_log(12, dollars=3)))


def test_nothing_is_counted_of_no_history() -> None:
    assert list(count(OnlineEngine([GROUP], SCHEMA), long_log(1)[:0])) == []
