"""The online engine on its own: what is undone, what is forgotten, what later events do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from contract.examples import examples
from contract.strategies import Ask, Log, cases
from features.online_world import DAY, MINUTE, SCHEMA, card, pay
from shroff import Entity, FeatureGroup, Schema
from shroff.collect.payment import Payment, payments
from shroff.errors import BadFile
from shroff.features.engines.batch import compute
from shroff.features.engines.online import (
    OnlineEngine,
    amounts,
    coded_names,
    codegen,
    columns,
    compiled,
    timeline,
)
from shroff.features.engines.replay import feed, replay

Case = tuple[Log, FeatureGroup, list[Ask]]


@contextmanager
def few(events: int) -> Iterator[None]:
    """So many events are sooner looked through than kept in order for what may be asked of them."""
    with (
        patch.object(columns, "MAX_SCANNED_EVENTS", events),
        patch.object(amounts, "MAX_SCANNED_AMOUNTS", events),
        patch.object(compiled, "MAX_SCANNED_AMOUNTS", events),
        patch.object(coded_names, "MAX_CODED_EVENTS", events),
        patch.object(compiled, "MAX_CODED_EVENTS", events),
        patch.object(codegen, "MAX_SCANNED_EVENTS", events),
        patch.object(timeline, "MAX_SCANNED_EVENTS", events),
    ):
        yield


FEW_EVENTS = st.sampled_from([1, 3, columns.MAX_SCANNED_EVENTS])


@examples(80)
@given(case=cases(), data=st.data(), events=FEW_EVENTS)
def test_forgetting_a_payment_undoes_it(case: Case, data: st.DataObject, events: int) -> None:
    """Payments that came to nothing, with others observed in between, leave no trace."""
    with few(events):
        check_forgetting(case, data)


def check_forgetting(case: Case, data: st.DataObject) -> None:
    log, group, _ = case
    stream = list(payments(log.frame, log.schema))
    dropped = data.draw(st.sets(st.sampled_from(range(len(stream))), max_size=3))
    engine = OnlineEngine([group], log.schema)
    untouched = OnlineEngine([group], log.schema)
    waiting: list[Payment] = []
    for place, payment in enumerate(stream):
        seen = engine.observe(payment)
        if place in dropped:
            waiting.append(payment)
            if data.draw(st.booleans()):
                continue
        else:
            expected = untouched.observe(payment)
            if not waiting:
                assert seen == expected
        for old in waiting:
            engine.forget(old)
        waiting.clear()
    for old in waiting:
        engine.forget(old)
    # what a last payment of any key sees is the same as if the dropped ones had never come
    for place, key in enumerate(("a", "b")):
        last = stream[-1]
        values = last.values | {"card": key, "host": key}
        probe = Payment(
            f"probe{place}", last.time, last.arrived + 1, last.minor, last.units, values
        )
        assert engine.observe(probe) == untouched.observe(probe)


def test_a_forgotten_payment_may_come_again_and_get_its_label() -> None:
    engine = OnlineEngine([FeatureGroup("g", [card.count("1d"), card.risk("7d")])], SCHEMA)
    first = pay(0, 0)
    engine.observe(first)
    engine.forget(first)
    assert not engine.later("p0", "label", True)
    engine.observe(first)
    assert engine.later("p0", "label", True)
    assert engine.observe(pay(1, MINUTE)) == {"card_count_1d": 1.0, "card_risk_7d": 1.0}


def test_the_label_that_stands_counts() -> None:
    engine = OnlineEngine(
        [
            FeatureGroup(
                "g", [card.risk("7d"), card.total("amount", "7d", where="fraud", name="lost")]
            )
        ],
        SCHEMA,
    )
    engine.observe(pay(0, 0))
    seen = []
    for number, fraud in enumerate((False, True, False, True), start=1):
        assert engine.later("p0", "label", fraud, arrived=number)
        seen.append(engine.observe(pay(number, MINUTE, who="a"))["lost"])
        assert engine.later("p0", "label", not fraud, arrived=number - 1), "told late"
    assert [bool(total) for total in seen] == [False, True, False, True]
    assert engine.later("p0", "label", False, arrived=9)
    assert engine.later("p0", "label", True, rank=1, arrived=10)
    assert engine.observe(pay(9, MINUTE)) == {"card_risk_7d": 0.0, "lost": 0.0}


def test_a_label_that_no_window_reaches_is_told_so() -> None:
    engine = OnlineEngine([FeatureGroup("g", [card.risk("1d")])], SCHEMA, lateness="1h")
    engine.observe(pay(0, 0))
    engine.observe(pay(1, 3 * DAY, who="b"))
    assert not engine.later("p0", "label", True)
    assert not engine.later("never seen", "label", True)


def test_a_label_that_only_the_longest_window_reaches_is_counted_there() -> None:
    features = [card.risk("1d"), card.frauds("7d", name="week")]
    engine = OnlineEngine([FeatureGroup("g", features)], SCHEMA, lateness="1h")
    engine.observe(pay(0, 0))
    engine.observe(pay(1, 3 * DAY))
    assert engine.later("p0", "label", True)
    assert engine.observe(pay(2, 3 * DAY)) == {"card_risk_1d": 0.0, "week": 1.0}


def test_a_label_that_no_window_of_its_condition_reaches_changes_nothing() -> None:
    features = [card.risk("1d"), card.count("7d", where="NOT fraud", name="good")]
    engine = OnlineEngine([FeatureGroup("g", features)], SCHEMA, lateness="1h")
    engine.observe(pay(0, 0))
    engine.observe(pay(1, 3 * DAY))
    assert engine.later("p0", "label", True)
    assert engine.observe(pay(2, 3 * DAY)) == {"card_risk_1d": 0.0, "good": 0.0}


def test_of_a_payment_that_waits_only_what_features_read_is_kept() -> None:
    features = [card.risk("1d"), card.distinct("host", "1d"), Entity("host", "host").count("1d")]
    schema = Schema(
        id="id",
        time="time",
        amount="amount",
        label="fraud",
        labelled_at="at",
        keys=["card", "host"],
        personal=["email"],
    )
    engine = OnlineEngine([FeatureGroup("g", features)], schema)
    payment = pay(0, 0)
    payment.values["email"] = "0123abcd" * 8
    engine.observe(payment)
    (waiting,) = engine.pendings()
    assert (waiting.payment.id, waiting.payment.time, waiting.payment.units) == ("p0", 0, 10_000)
    assert (waiting.payment.values, waiting.known) == ({"card": "a"}, {})


def test_a_payment_that_came_too_late_to_count_is_forgotten_all_the_same() -> None:
    group = FeatureGroup(
        "g", [card.count("1h"), card.distinct("host", "1h"), card.max("amount", "1h")]
    )
    engine = OnlineEngine([group], SCHEMA, lateness="1h")
    engine.observe(pay(0, 0, host="h"))
    engine.observe(pay(1, DAY))
    late = pay(2, 0, host="other")
    engine.observe(late)
    engine.forget(late)
    expected = {"card_count_1h": 1.0, "card_distinct_host_1h": 1.0, "card_max_amount_1h": 1.0}
    assert engine.observe(pay(3, DAY)) == expected


def test_windows_in_steps_share_the_events_of_a_window_that_reaches_as_far() -> None:
    engine = OnlineEngine(
        [FeatureGroup("g", [card.count("7d"), card.total("amount", "7d", resolution="1d")])], SCHEMA
    )
    for place in range(5):
        engine.observe(pay(place, place * MINUTE))
    assert (engine.keys, engine.events) == (1, 5)


def test_a_payment_without_a_key_has_no_values_and_leaves_none() -> None:
    engine = OnlineEngine(
        [FeatureGroup("g", [card.count("1d"), card.seconds_since_last("1d")])], SCHEMA
    )
    nothing = {"card_count_1d": None, "card_seconds_since_last_1d": None}
    assert engine.observe(pay(0, 0, who=None)) == nothing
    assert engine.observe(pay(1, 1, who=None)) == nothing
    assert engine.keys == 0


def test_idle_keys_are_forgotten() -> None:
    engine = OnlineEngine(
        [FeatureGroup("g", [card.count("1d"), card.distinct("host", "1d")])], SCHEMA, lateness="1h"
    )
    for place in range(2_000):
        engine.observe(pay(place, place * DAY // 50, who=f"c{place}"))
    # 25 hours of 50 keys a day are within reach
    assert engine.keys <= 60


def test_old_events_of_a_busy_key_are_forgotten() -> None:
    engine = OnlineEngine(
        [FeatureGroup("g", [card.count("1h"), card.total("amount", "1h")])], SCHEMA, lateness="1h"
    )
    for place in range(5_000):
        engine.observe(pay(place, place * MINUTE))
    # two hours are within reach; twice that may wait to be dropped
    assert engine.events <= 2 * 120 + 2


def test_payments_that_wait_for_labels_are_forgotten() -> None:
    engine = OnlineEngine([FeatureGroup("g", [card.risk("1d")])], SCHEMA, lateness="1h")
    for place in range(3_000):
        engine.observe(pay(place, place * 10 * MINUTE))
    assert engine.pending <= 25 * 6 + 1


@examples(80)
@given(case=cases(), lateness=st.sampled_from(["1s", "1m", "7m", "1h"]), events=FEW_EVENTS)
def test_forgetting_what_nothing_reaches_changes_no_value(
    case: Case, lateness: str, events: int
) -> None:
    """Pruned as hard as the lateness allows, the values are those of an engine that keeps
    everything.
    """
    log, group, _ = case
    limit = {"1s": 1, "1m": 60, "7m": 420, "1h": 3_600}[lateness] * 1_000_000
    newest = -(10**30)
    for row in log.rows:
        newest = max(newest, row.time)
        assume(row.time >= newest - limit)
    with few(events):
        found = replay([group], log.frame, log.schema, lateness=lateness)
    assert_frame_equal(found, compute([group], log.frame, log.schema), check_exact=True)


@examples(80)
@given(case=cases(), events=st.sampled_from([1, 3]))
def test_few_events_and_many_give_the_same_values(case: Case, events: int) -> None:
    log, group, _ = case
    many = replay([group], log.frame, log.schema)
    with few(events):
        assert_frame_equal(replay([group], log.frame, log.schema), many, check_exact=True)


def test_long_streams_are_pruned_without_changing_a_value() -> None:
    """Enough events that timelines are cut many times over."""
    rows = 3_000
    frame = pl.DataFrame(
        {
            "id": [f"p{row}" for row in range(rows)],
            "time": pl.Series([row * MINUTE + (row % 7) * MINUTE for row in range(rows)]).cast(
                pl.Datetime("us", "UTC")
            ),
            "amount": [row * 37 % 1_000 for row in range(rows)],
            "fraud": [row % 11 == 0 for row in range(rows)],
            "fraud_at": pl.Series([(row + 90) * MINUTE for row in range(rows)]).cast(
                pl.Datetime("us", "UTC")
            ),
            "card": [f"c{row % 3}" for row in range(rows)],
            "host": [f"h{row * row % 17}" for row in range(rows)],
        }
    )
    schema = Schema(
        id="id",
        time="time",
        amount="amount",
        label="fraud",
        labelled_at="fraud_at",
        arrived_at="arrived",
        keys=["card", "host"],
    )
    # payments arrive up to seven minutes after they happened
    arrived = pl.Series([(row + 7) * MINUTE for row in range(rows)]).cast(pl.Datetime("us", "UTC"))
    frame = frame.with_columns(arrived.alias("arrived"))
    features = [
        card.count(["5m", "1h"]),
        card.mean("amount", "1h", delay="10m"),
        card.distinct("host", ["10m", "1h"]),
        card.distinct("host", "1h", delay="10m"),
        card.seconds_since_last("1h"),
        card.risk("3h"),
    ]
    group = FeatureGroup("g", features)
    assert_frame_equal(
        replay([group], frame, schema, lateness="10m"),
        compute([group], frame, schema),
        check_exact=True,
    )


def test_a_resolution_bounds_what_is_kept() -> None:
    """Ten thousand payments of a key, and one place for each day."""
    features = [
        card.count("30d", resolution="1d"),
        card.mean("amount", "30d", resolution="1d"),
        card.distinct("host", "30d", resolution="1d"),
        card.entropy("host", "30d", resolution="1d"),
    ]
    engine = OnlineEngine([FeatureGroup("g", features)], SCHEMA)
    for place in range(10_000):
        engine.observe(pay(place, place * 7 * MINUTE, host=f"h{place % 5}"))
    assert engine.events <= 2 * (30 + 2)


def test_what_decays_is_kept_by_its_steps() -> None:
    engine = OnlineEngine([FeatureGroup("g", [card.decayed_count("4d", half_life="1d")])], SCHEMA)
    for place in range(10_000):
        engine.observe(pay(place, place * MINUTE))
    # sixteen steps to a half-life, four days of the window and one of lateness
    assert engine.events <= 2 * (5 * 16 + 2)


def test_sums_outgrow_64_bits_and_stay_exact() -> None:
    features = [card.total("amount", "1h"), card.std("amount", "1h"), card.max("amount", "1h")]
    engine = OnlineEngine([FeatureGroup("g", features)], SCHEMA, lateness="1m")
    large = 10**18
    for place in range(200):
        last = engine.observe(pay(place, place * MINUTE, units=large))
    assert last == {
        "card_total_amount_1h": 59 * large / 10_000,
        "card_std_amount_1h": 0.0,
        "card_max_amount_1h": large / 10_000,
    }
    engine.forget(pay(199, 199 * MINUTE, units=large))
    again = engine.observe(pay(200, 200 * MINUTE, units=7))
    assert again["card_total_amount_1h"] == 58 * large / 10_000


def test_feeding_a_table_gives_the_features_payment_by_payment(
    capsys: pytest.CaptureFixture[str],
) -> None:
    frame = pl.DataFrame(
        {
            "id": ["b", "a"],
            "time": pl.Series([MINUTE, 0]).cast(pl.Datetime("us", "UTC")),
            "amount": [200, 100],
            "fraud": pl.Series([None, None], dtype=pl.Boolean),
            "fraud_at": pl.Series([None, None], dtype=pl.Datetime("us", "UTC")),
            "card": ["x", "x"],
            "host": ["h", None],
        }
    )
    engine = OnlineEngine([FeatureGroup("g", [card.total("amount", "1d")])], SCHEMA)
    assert list(feed(engine, frame)) == [
        {"card_total_amount_1d": 0.0},
        {"card_total_amount_1d": 1.0},
    ]


@examples(80)
@given(case=cases(), data=st.data(), events=FEW_EVENTS)
def test_a_state_is_restored_from_its_snapshot(
    case: Case, data: st.DataObject, events: int
) -> None:
    """Cut anywhere, the engine that was restored goes on as the one that the snapshot was taken
    of.
    """
    with few(events):
        check_restoring(case, data)


def check_restoring(case: Case, data: st.DataObject) -> None:
    log, group, _ = case
    stream = list(payments(log.frame, log.schema))
    cut = data.draw(st.integers(0, len(stream)))
    one, other = (OnlineEngine([group], log.schema) for _ in range(2))
    for payment in stream[:cut]:
        one.observe(payment)
        if data.draw(st.booleans()):
            one.later(payment.id, "label", True)
    other.restore(one.snapshot())
    assert other.snapshot() == one.snapshot()
    assert (other.keys, other.events, other.pending, other.newest) == (
        one.keys,
        one.events,
        one.pending,
        one.newest,
    )
    for payment in stream[cut:]:
        assert other.observe(payment) == one.observe(payment)
    for payment in stream:
        for kind, value in (("label", False), ("result", "failed"), ("label", True)):
            assert other.later(payment.id, kind, value) == one.later(payment.id, kind, value)  # type: ignore[arg-type]
    if cut < len(stream):
        for engine in (one, other):
            engine.forget(stream[-1])
    probe = stream[0]
    assert other.observe(probe) == one.observe(probe)


def test_a_snapshot_holds_sums_beyond_64_bits() -> None:
    group = FeatureGroup("g", [card.std("amount", "1h")])
    one, other = OnlineEngine([group], SCHEMA), OnlineEngine([group], SCHEMA)
    for place in range(3):
        one.observe(pay(place, place * MINUTE, units=10**18))
    other.restore(one.snapshot())
    assert other.observe(pay(3, 3 * MINUTE)) == one.observe(pay(3, 3 * MINUTE))


def test_a_snapshot_leaves_out_what_nothing_reaches() -> None:
    engine = OnlineEngine([FeatureGroup("g", [card.count("1h")])], SCHEMA, lateness="1h")
    for place in range(10):
        engine.observe(pay(place, place, who=f"c{place}"))
    engine.observe(pay(10, DAY))
    engine.restore(engine.snapshot())
    assert (engine.keys, engine.events) == (1, 1)
    assert engine.observe(pay(11, DAY))["card_count_1h"] == 1.0


def test_a_snapshot_of_something_else_is_refused() -> None:
    snapshot = OnlineEngine([FeatureGroup("g", [card.count("1h")])], SCHEMA).snapshot()
    others = [
        OnlineEngine([FeatureGroup("g", [card.count("2h")])], SCHEMA),
        OnlineEngine([FeatureGroup("g", [card.count("1h")])], SCHEMA, lateness="2d"),
    ]
    for other in others:
        with pytest.raises(
            BadFile, match="a snapshot of these features and this lateness, got one of others"
        ):
            other.restore(snapshot)
    changed = [
        snapshot[:at] + bytes([byte ^ 0xFF]) + snapshot[at + 1 :]
        for at, byte in enumerate(snapshot)
    ]
    for damaged in (b"", b"\x00", snapshot[:-1], b"not one", *changed):
        with pytest.raises(BadFile, match="got other bytes: rebuild the state"):
            others[0].restore(damaged)
