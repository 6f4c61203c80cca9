"""Payments from the future and clocks that jump: payments of now are taken, and see all that they
should.
"""

from __future__ import annotations

import time

import polars as pl
import pytest
import redis
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features.online_world import COUNTS, DAY, MINUTE, SCHEMA, Join, card, open_state, pay
from features.test_redis import client, join
from shroff import FeatureGroup, Schema
from shroff.clock import MAX_AHEAD_US
from shroff.errors import BadFile, StateUnavailable
from shroff.features.engines.batch import compute
from shroff.features.engines.online import OnlineEngine
from shroff.features.engines.replay import feed, warmed

__all__ = ["client", "join"]
START = 1_700_000_000_000_000
ARRIVING = Schema(
    id="id", time="time", amount="amount", arrived_at="arrived", keys=["card", "host"]
)
FEATURES = [
    card.count(["1m", "1h"]),
    card.count("10m", resolution="5m"),
    card.mean("amount", "10m", delay="5m"),
    card.distinct("host", "10m"),
    card.max("amount", "1h"),
    card.seconds_since_last("1h"),
]
LATENESS = {"1s": 1_000_000, "1m": MINUTE, "7m": 7 * MINUTE, "1h": 60 * MINUTE}
# a payment: its minute, what the clock reads then, the card
EVENTS = st.lists(
    st.tuples(st.integers(0, 90), st.integers(-30, 90), st.sampled_from("ab")), max_size=25
)


def table(times: list[tuple[int, str]]) -> pl.DataFrame:
    """Payments in order of arrival."""
    rows = range(len(times))
    moment = pl.Datetime("us", "UTC")
    return pl.DataFrame(
        {
            "id": [f"p{row}" for row in rows],
            "amount": [row * 37 % 101 for row in rows],
            "card": [who for _, who in times],
            "host": [f"h{row % 3}" for row in rows],
            "time": pl.Series([time for time, _ in times], dtype=pl.Int64).cast(moment),
            "arrived": pl.Series([START + row for row in rows], dtype=pl.Int64).cast(moment),
        },
        schema_overrides={
            "id": pl.String,
            "amount": pl.Int64,
            "card": pl.String,
            "host": pl.String,
        },
    )


@settings(max_examples=300)
@given(events=EVENTS, lateness=st.sampled_from(list(LATENESS)))
@example(events=[(0, 0, "a"), (60, 60, "a"), (0, 0, "b"), (1, 1, "a")], lateness="7m")
def test_whatever_the_clock_does_payments_of_now_are_taken_and_equal_batch(
    events: list[tuple[int, int, str]], lateness: str
) -> None:
    """As the service does it: what is ahead or late is refused, and a state that is ahead of the
    clock filled anew.
    """
    group, limit, now = FeatureGroup("g", FEATURES), LATENESS[lateness], [0]

    def fresh() -> OnlineEngine:
        return OnlineEngine([group], ARRIVING, lateness=lateness, clock=lambda: now[0])

    engine, taken, seen = fresh(), list[tuple[int, str]](), list[object]()
    for minute, reads, who in events:
        moment, now[0] = START + minute * MINUTE, START + reads * MINUTE
        if moment > now[0] + MAX_AHEAD_US:
            continue
        if engine.overtaken:
            engine = fresh()
            for _ in feed(engine, table(taken)):
                pass
            assert not engine.overtaken
        late = moment < engine.newest - limit
        assert not late or moment < now[0] - limit + min(MAX_AHEAD_US, limit)
        assert not (late and moment >= now[0])
        if not late:
            taken.append((moment, who))
            seen += feed(engine, table(taken)[-1:])
    expected = compute([group], table(taken), ARRIVING).drop("id").to_dicts()
    assert seen == expected


def test_a_payment_from_the_future_makes_no_other_late() -> None:
    now = [START]
    engine = OnlineEngine([COUNTS], SCHEMA, lateness="1m", clock=lambda: now[0])
    engine.observe(pay(0, START))
    engine.observe(pay(1, START + 5 * 365 * DAY))
    assert engine.newest == START
    # by the law it counts for whatever arrives after it, until it is in no window any more
    assert engine.observe(pay(2, START))["card_count_1d"] == 2
    again = OnlineEngine([COUNTS], SCHEMA, lateness="1m", clock=lambda: now[0])
    again.restore(engine.snapshot())
    assert again.newest == START


def test_a_snapshot_that_is_ahead_of_the_clock_is_refused() -> None:
    engine = OnlineEngine([COUNTS], SCHEMA, clock=lambda: START + 2 * DAY)
    engine.observe(pay(0, START + 2 * DAY))
    with pytest.raises(BadFile, match="ahead of the clock: rebuild the state"):
        OnlineEngine([COUNTS], SCHEMA, clock=lambda: START).restore(engine.snapshot())


def test_what_lies_in_the_future_keeps_nothing_else_from_being_forgotten() -> None:
    engine = OnlineEngine([COUNTS], SCHEMA, lateness="1h", clock=lambda: START + 300 * DAY)
    for place in range(5):
        engine.observe(pay(place, START + 3_000 * DAY, who=f"future{place}"))
    for place in range(5, 2_000):
        engine.observe(pay(place, START + place * 60 * MINUTE, who=f"c{place}"))
    # a card an hour; risk looks seven days back
    assert engine.pending < 8 * 24
    assert engine.keys < 3 * 9 * 24


def test_a_warmed_engine_takes_payments_of_now_whatever_its_history_holds() -> None:
    now = time.time_ns() // 1_000
    history = table([(now - DAY, "a"), (now + 5 * 365 * DAY, "a"), (now - 1, "a")])
    assert (
        warmed([FeatureGroup("g", FEATURES)], history, ARRIVING).newest <= time.time_ns() // 1_000
    )


def test_in_redis_a_payment_from_the_future_makes_no_other_late(join: Join) -> None:
    one, other = join(lateness="1m"), join(lateness="1m")
    memory = OnlineEngine([COUNTS], SCHEMA, lateness="1m")
    now = time.time_ns() // 1_000
    for place, moment in enumerate([now, now + 240_000_000, now + 5 * 365 * DAY, now, now + 1]):
        payment = pay(place, moment)
        assert (one, other)[place % 2].observe(payment) == memory.observe(payment)
        assert one.newest < now + MINUTE
    assert join(lateness="1m").observe(pay(9, now + 2))["card_count_1d"] == 5


def test_in_redis_a_state_that_is_ahead_of_the_clock_waits_to_be_filled_anew(
    join: Join, client: redis.Redis
) -> None:
    now = time.time_ns() // 1_000
    one, other = join(), join()
    one.observe(pay(0, now))
    assert other.observe(pay(1, now))["card_count_1d"] == 1
    # as it was when the server's clock was a year ahead, and a payment of then came
    client.hset(one.name + b"head", "newest", now + 365 * DAY)
    with pytest.raises(StateUnavailable):
        one.observe(pay(2, now))
    assert not other.ready()
    with pytest.raises(StateUnavailable):
        other.heartbeat(b"other", [], clear=True)
    source = OnlineEngine([COUNTS], SCHEMA)
    for place in range(2):
        source.observe(pay(place, now))
    open_state(one, source)
    assert [
        engine.observe(pay(place, now))["card_count_1d"] for place, engine in ((3, one), (4, other))
    ] == [2, 3]


def test_in_redis_a_state_filled_by_a_clock_that_is_fast_is_taken(
    join: Join, client: redis.Redis
) -> None:
    """Else it would be filled anew for ever."""
    now = time.time_ns() // 1_000
    engine, fast = join(), OnlineEngine([COUNTS], SCHEMA, clock=lambda: now + DAY)
    fast.observe(pay(0, now + DAY))
    open_state(engine, fast)
    assert engine.observe(pay(1, now))["card_count_1d"] == 1
