"""Links: what is refused when they are defined, what is undone, and how much a popular value
costs.
"""

from __future__ import annotations

from random import Random
from secrets import token_hex
from time import process_time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.engines import ALWAYS, open_empty
from contract.test_links import Case, cases, crowd
from features.online_world import MINUTE, SCHEMA, pay
from shroff import Entity, FeatureGroup, Schema
from shroff.collect.payment import Payment, payments
from shroff.errors import ConfigurationError
from shroff.features.engines.batch.time_chunks import Slice, chunks_by_time
from shroff.features.engines.online import OnlineEngine
from shroff.features.engines.online.redis import RedisEngine
from shroff.features.engines.subplans import subplans
from shroff.features.links import MAX_CARDS
from shroff.features.plan import Plan

card = Entity("card", "card")
SEVEN: Any = 7
NONE: Any = None
LINKED = FeatureGroup(
    "linked",
    [
        card.linked_by("host", "1d").count(),
        card.linked_by("host", "1d", hops=2).count(),
        card.linked_by("host", "1d").frauds(),
    ],
)


def workers(url: str, group: FeatureGroup, schema: Schema) -> list[RedisEngine]:
    """Two processes that share an empty state."""
    space = token_hex(8)
    both = [RedisEngine([group], schema, url=url, lateness=ALWAYS, space=space) for _ in range(2)]
    open_empty(both[0], [group], schema, lateness=ALWAYS)
    return both


def grouped(case: Case) -> FeatureGroup:
    return FeatureGroup("links", [one.feature for one in case[1]])


def test_names_tell_all_of_a_definition() -> None:
    links = card.linked_by("host", ["1d", "30d"], hops=2)
    assert [one.name for one in links.distinct("mcc")] == [
        "card_linked_by_host_2_hops_distinct_mcc_1d",
        "card_linked_by_host_2_hops_distinct_mcc_30d",
    ]
    failed = card.linked_by("host", "1d", where="result = 'failed'").frauds()
    assert failed[0].name == "card_linked_by_host_frauds_1d_where_result_failed"
    assert [one.name for one in links.count(name="ring_{window}")] == ["ring_1d", "ring_30d"]
    text = msgspec.json.encode(LINKED)
    assert msgspec.json.decode(text, type=FeatureGroup).definitions == LINKED.definitions


@pytest.mark.parametrize(
    ("define", "sentence"),
    [
        (lambda: card.linked_by("host", "1d", hops=3).count(), "hops=1 or hops=2, got 3"),
        (lambda: card.linked_by("card", "1d").count(), "`card` is the key itself"),
        (lambda: card.linked_by("host", SEVEN).count(), "expected a window such as `30d`"),
        (lambda: card.linked_by("host", "1x").count(), "expected a duration"),
        (lambda: card.linked_by("host", ["1d", "2d"]).count(name="x"), "would name 2 features"),
        (lambda: card.linked_by("host", "1d").count(name=SEVEN), "expected name= as a text"),
        (lambda: card.linked_by("host", "1d").distinct(NONE), "distinct takes a column"),
        (lambda: Entity("pair", ["a", "b"]).linked_by("host", "1d"), "one key column, got 2"),
    ],
)
def test_a_definition_that_does_not_fit_is_refused_in_a_sentence(
    define: object, sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        define()  # type: ignore[operator]  # it is a function


def test_a_plan_refuses_what_does_not_fit_the_schema() -> None:
    plain = Schema(id="id", time="at", amount="amount", label="fraud", keys=["card"])
    frauds = FeatureGroup("g", [card.linked_by("host", "1d").frauds()])
    with pytest.raises(ConfigurationError, match="say when labels arrived"):
        Plan([frauds], plain)
    amounts = FeatureGroup("g", [card.linked_by("amount", "1d").count()])
    with pytest.raises(ConfigurationError, match="`amount` is amount; expected key"):
        Plan([amounts], plain)
    labelled = FeatureGroup("g", [card.linked_by("host", "1d", where="NOT fraud").count()])
    with pytest.raises(ConfigurationError, match="expected a condition that reads no label"):
        Plan([labelled], SCHEMA)


def test_a_popular_host_links_nobody_and_costs_no_more() -> None:
    engine = OnlineEngine([LINKED], SCHEMA)
    name = "card_linked_by_host_count_1d"
    for place in range(MAX_CARDS):
        engine.observe(pay(place, place, who=f"c{place}", host="office"))
    assert engine.observe(pay(100, 100, who="c0", host="office"))[name] == MAX_CARDS - 1
    engine.observe(pay(101, 101, who="another", host="office"))
    assert engine.observe(pay(102, 102, who="c0", host="office"))[name] == 0.0
    for place in range(5_000):
        engine.observe(pay(1_000 + place, 1_000 + place, who=f"w{place}", host="office"))
    started = process_time()
    for place in range(200):
        engine.observe(pay(9_000 + place, 9_000 + place, who=f"w{place}", host="office"))
    assert process_time() - started < 200 * 0.02, "twenty milliseconds a payment, and no more"


def test_a_snapshot_holds_the_links() -> None:
    engine, again = OnlineEngine([LINKED], SCHEMA), OnlineEngine([LINKED], SCHEMA)
    for place in range(9):
        engine.observe(pay(place, place, who=f"c{place % 4}", host=f"h{place % 3}"))
    engine.later("p0", "label", True)
    again.restore(engine.snapshot())
    probe = pay(50, MINUTE, who="new", host="h0")
    assert again.observe(probe) == engine.observe(probe)


@settings(max_examples=30, deadline=None)
@given(case=cases(), data=st.data())
def test_payments_that_wait_together_see_each_other(
    redis_server: str, case: Case, data: st.DataObject
) -> None:
    """Batches of any size, to either of two processes, are one order; and each payment again is
    what it was.
    """
    log, group = case[0], grouped(case)
    both = workers(redis_server, group, log.schema)
    memory = OnlineEngine([group], log.schema, lateness=ALWAYS)
    waiting = list(payments(log.frame, log.schema))
    while waiting:
        size = data.draw(st.integers(1, len(waiting)))
        seen = data.draw(st.sampled_from(both)).observe_all(waiting[:size])
        expected = [memory.observe(payment) for payment in waiting[:size]]
        assert [each.features for each in seen] == expected
        again = data.draw(st.sampled_from(both)).observe_all(waiting[:size])
        assert [each.features for each in again] == expected
        del waiting[:size]
    for engine in both:
        engine.close()


@settings(max_examples=30, deadline=None)
@given(case=cases(), data=st.data())
def test_a_payment_that_is_forgotten_links_nobody(
    redis_server: str, case: Case, data: st.DataObject
) -> None:
    log, group = case[0], grouped(case)
    stream = list(payments(log.frame, log.schema))
    dropped = data.draw(st.sets(st.sampled_from(range(len(stream))), max_size=4))
    one, other = workers(redis_server, group, log.schema)
    memory, undone = (OnlineEngine([group], log.schema, lateness=ALWAYS) for _ in range(2))
    for place, payment in enumerate(stream):
        for engine in (one, undone):
            engine.observe(payment)
            if place in dropped:
                engine.forget(payment)
        if place not in dropped:
            memory.observe(payment)
    last = stream[-1]
    for place, key in enumerate(("k0", "k1")):
        values = last.values | {"card": key, "host": key}
        probe = Payment(f"q{place}", last.time, last.arrived + 1, last.minor, last.units, values)
        expected = memory.observe(probe)
        assert undone.observe(probe) == expected
        assert (one, other)[place].observe(probe) == expected
    one.close()
    other.close()


def test_disk_goes_by_chunks_of_time_where_the_window_is_short() -> None:
    log = crowd(Random(3), 200, 40, 40)
    links = FeatureGroup("g", [card.linked_by("host", "1m").count()])
    (subplan,) = subplans(Plan([links], log.schema))
    piece = Slice(log.frame.lazy(), 0, len(log.frame))
    chunks = chunks_by_time(subplan, log.schema, [piece], 8)
    assert len(chunks) > 3
    assert chunks[-1].since > log.frame["time"].dt.epoch("us").min()  # type: ignore[operator]  # a number
    whole = FeatureGroup("g", [card.linked_by("host", "30d").count()])
    (subplan,) = subplans(Plan([whole], log.schema))
    assert len(chunks_by_time(subplan, log.schema, [piece], 8)) == 1
