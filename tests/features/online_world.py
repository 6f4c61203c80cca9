"""Payments, definitions and states for the tests of the online engines."""

from __future__ import annotations

from collections.abc import Callable

from shroff import Entity, FeatureGroup, Schema
from shroff.collect.payment import Payment, Value
from shroff.features.engines.online import OnlineEngine
from shroff.features.engines.online.redis import RedisEngine, claim

DAY = 86_400_000_000
MINUTE = 60_000_000
SCHEMA = Schema(
    id="id",
    time="time",
    amount="amount",
    label="fraud",
    labelled_at="fraud_at",
    keys=["card", "host"],
)
card = Entity("card", "card")
COUNTS = FeatureGroup("counts", [card.count("1d"), card.distinct("host", "1d"), card.risk("7d")])

Join = Callable[..., RedisEngine]
"""Another process of one state: an engine of its own."""


def pay(
    place: int, time: int, *, who: str | None = "a", host: str | None = "h", units: int = 10_000
) -> Payment:
    values: dict[str, Value] = {"time": time, "amount": units / 10_000, "card": who, "host": host}
    return Payment(
        id=f"p{place}", time=time, arrived=time, minor=units // 100, units=units, values=values
    )


def open_state(state: RedisEngine, source: OnlineEngine) -> RedisEngine:
    """The state, begun with what an engine in memory knows."""
    filling = claim(state)
    assert filling is not None
    filling.pour(source)
    assert filling.open()
    return state
