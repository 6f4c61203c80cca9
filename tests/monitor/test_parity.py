"""Parity: equal where the engines are, and a planted difference is found, counted and explained."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import polars as pl
import pytest

from shroff import Entity, FeatureGroup, Schema
from shroff.features.engines.batch import compute
from shroff.features.engines.online.redis.link import Link
from shroff.features.plan import Plan
from shroff.features.row import calendar
from shroff.monitor import compare, engine_parity
from shroff.monitor.parity import explain

schema = Schema(id="id", time="time", amount="amount", keys=["card"])
card = Entity("card", "card")
group = FeatureGroup(
    "velocity", [card.count("1h"), card.total("amount", "1h", delay="10m"), calendar("weekday")]
)
plan = Plan([group], schema)


def log() -> pl.DataFrame:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    return pl.DataFrame(
        {
            "id": [f"p{n}" for n in range(6)],
            "time": pl.Series(
                [start + timedelta(minutes=15 * n) for n in range(6)],
                dtype=pl.Datetime("us", "UTC"),
            ),
            "amount": [100 * n for n in range(6)],
            "card": ["a", "b", "a", "a", "b", "a"],
        }
    )


@pytest.mark.usefixtures("spark")
def test_engines_are_equal_on_a_log(redis_server: str) -> None:
    found = engine_parity([group], log(), plan, redis=redis_server, spark="local[1]")
    assert [parity.right for parity in found] == ["online", "online in Redis", "Spark"]
    for parity in found:
        assert parity.holds
        assert parity.different == {
            "card_count_1h": 0,
            "card_total_amount_1h_delay_10m": 0,
            "weekday": 0,
        }
    assert not Link(redis_server).call([("KEYS", "parity-*")])[0], "nothing is left on the server"


def test_a_difference_is_counted_and_its_window_shown() -> None:
    right = compute([group], log(), schema).with_columns(
        pl.when(pl.col("id").is_in(["p3", "p5"]))
        .then(9.0)
        .otherwise("card_count_1h")
        .alias("card_count_1h")
    )
    parity = explain(
        compare(compute([group], log(), schema), right, "batch", "broken"), log(), plan
    )

    assert not parity.holds
    assert parity.different["card_count_1h"] == 2
    assert parity.first is not None
    assert (parity.first.payment, parity.first.left, parity.first.right) == ("p3", 2.0, 9.0)
    assert parity.first.events == ("p0", "p2")


def test_a_difference_of_links_shows_the_payments_of_those_that_are_linked() -> None:
    cards, hosts = ["a", "b", "b", "c", "d", "c"], ["h", "h", "i", "i", "x", None]
    frame = log().with_columns(card=pl.Series(cards), host=pl.Series(hosts))
    with_hosts = msgspec.structs.replace(schema, keys=["card", "host"])
    linked = FeatureGroup("g", [card.linked_by("host", "1d", hops=2).count(name="ring")])
    table = compute([linked], frame, with_hosts)
    other = table.with_columns(ring=pl.when(pl.col("id") == "p5").then(7.0).otherwise("ring"))
    parity = compare(table, other, "batch", "broken")
    found = explain(parity, frame, Plan([linked], with_hosts)).first
    assert found is not None
    assert (found.payment, found.events) == ("p5", ("p0", "p1", "p2", "p3"))


def test_null_equals_null_and_differs_from_everything_else() -> None:
    left = pl.DataFrame({"id": ["a", "b"], "x": [None, 1.0]})
    assert compare(left, left, "l", "r").holds
    assert compare(left, left.with_columns(x=pl.Series([0.0, 1.0])), "l", "r").different == {"x": 1}
