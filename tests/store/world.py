"""A small store for the tests of training datasets: payments, limits of cards that arrive late,
labels.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from shroff.store import Column, FeatureStore, Group

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")

PAYMENTS = Group(
    name="payments",
    key="id",
    time="at",
    columns={"card_id": Column("text"), "amount": Column("integer", unit="minor units of EUR")},
)
VELOCITY = Group(
    name="velocity", key="id", time="at", columns={"count": Column("number", unit="payments")}
)
LIMITS = Group(
    name="limits",
    key="card_id",
    time="at",
    arrival="loaded",
    columns={"limit": Column("number", unit="EUR")},
)
LABELS = Group(
    name="labels", key="id", time="at", arrival="told", columns={"fraud": Column("boolean")}
)


def day(number: float) -> datetime:
    return BEGIN + timedelta(days=number)


def payments(days: int = 40, cards: int = 4, begin: int = 0) -> pl.DataFrame:
    """A payment a day and card, at noon; `p3_1` is of day 3 and card `c1`."""
    rows = [
        {
            "id": f"p{one}_{card}",
            "at": day(one + 0.5),
            "card_id": f"c{card}",
            "amount": 100 * one + card,
        }
        for one in range(begin, begin + days)
        for card in range(cards)
    ]
    return pl.DataFrame(
        rows, schema={"id": pl.String, "at": TIME, "card_id": pl.String, "amount": pl.Int64}
    )


def limits(rows: list[tuple[str, float, float, float | None]]) -> pl.DataFrame:
    whole = [(card, day(at), day(loaded), limit) for card, at, loaded, limit in rows]
    return pl.DataFrame(
        whole,
        schema={"card_id": pl.String, "at": TIME, "loaded": TIME, "limit": pl.Float64},
        orient="row",
    )


def labels(rows: list[tuple[str, float, float, bool]]) -> pl.DataFrame:
    whole = [(name, day(at), day(told), fraud) for name, at, told, fraud in rows]
    return pl.DataFrame(
        whole, schema={"id": pl.String, "at": TIME, "told": TIME, "fraud": pl.Boolean}, orient="row"
    )


def filled(store: FeatureStore) -> FeatureStore:
    """Payments of forty days with features of their own; limits of `c0` twice, `c1` late, `c2`
    empty.
    """
    there = payments()
    store.group(PAYMENTS).write(there, batch="all")
    velocity = there.select("id", "at", pl.int_range(pl.len()).cast(pl.Float64).alias("count"))
    store.group(VELOCITY).write(velocity, batch="all")
    told: list[tuple[str, float, float, float | None]] = [
        ("c0", 0, 0, 100.0),
        ("c0", 10, 12, 200.0),
        ("c1", 0, 20, 300.0),
        ("c2", 0, 0, None),
    ]
    store.group(LIMITS).write(limits(told), batch="all")
    frauds = {"p1_0": 5, "p9_1": 10, "p30_2": 31, "p12_3": 90}
    said = [
        (name, float(name[1:].split("_")[0]), float(told), True) for name, told in frauds.items()
    ]
    rest = [
        (name, 0.0, 0.5, False) for name in there["id"] if name not in frauds and name != "p2_2"
    ]
    store.group(LABELS).write(labels(said + rest), batch="all")
    return store
