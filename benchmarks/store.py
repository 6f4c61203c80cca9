"""The feature store beside plain Polars: writing, reading and joining at a point in time.

    python -m benchmarks.store                     # 100,000 and 1,000,000 payments
    python -m benchmarks.store --rows 10_000_000

Ratios are of medians of several runs in one process, in turns, so that a busy machine slows both.
The plain join is `join_asof` over the same rows; it knows no arrivals, so where rows arrive late
its values are wrong. The plain write is one Parquet file, without a log, checks or statistics.
Feast is not compared: it is not installed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import polars as pl

from shroff.store import Column, FeatureStore, Group, TrainingSet
from shroff.store.point_in_time import match

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
SECONDS = 90 * 86_400
VALUES = [f"value_{number}" for number in range(10)]
PAYMENTS = Group(
    name="payments",
    key="id",
    time="at",
    columns={"card_id": Column("text"), "amount": Column("number")},
)
CARDS = Group(
    name="cards",
    key="card_id",
    time="at",
    arrival="known",
    columns={name: Column("number") for name in VALUES},
)


def moments(seconds: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pl.Series:
    """Times so many seconds after the begin."""
    begin = int(BEGIN.timestamp() * 1_000_000)
    return pl.Series(begin + seconds * 1_000_000).cast(pl.Datetime("us", "UTC"))


def tables(rows: int, arrival: str, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Payments of cards, fifty each, and a fifth as many rows of what is known of the cards."""
    chance = np.random.default_rng(seed)
    cards = max(rows // 50, 1)
    payments = pl.DataFrame(
        {
            "id": pl.int_range(rows, eager=True).cast(pl.String),
            "at": moments(np.sort(chance.integers(0, SECONDS, rows))),
            "card_id": pl.Series(chance.integers(0, cards, rows)).cast(pl.String),
            "amount": chance.exponential(50, rows),
        }
    )
    many = rows // 5
    at = chance.integers(0, SECONDS, many)
    week = chance.integers(0, 7 * 86_400, many)
    delay = {"at once": 0 * week, "an hour late": 0 * week + 3_600, "up to a week late": week}[
        arrival
    ]
    known = pl.DataFrame(
        {
            "card_id": pl.Series(chance.integers(0, cards, many)).cast(pl.String),
            "at": moments(at),
            "known": moments(at + delay),
            **{name: chance.normal(size=many) for name in VALUES},
        }
    )
    return payments, known.unique(["card_id", "at", "known"], maintain_order=True)


def plain(payments: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """What a team writes by hand: the latest row by event time, whatever had arrived."""
    right = known.drop("known").sort("at")
    return payments.join_asof(
        right, on="at", by="card_id", strategy="backward", check_sortedness=False
    )


def at_a_point(payments: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """What had arrived."""
    on, times = ["card_id"], ("at", "at")
    found = match(payments, known, on=on, key=on, time=times, known=("at", "known"))
    return payments.hstack(found.values(VALUES)).with_columns(found.status.alias("status"))


def seconds(runs: int, *calls: Callable[[], object]) -> list[float]:
    """The median time of each call, called in turns."""
    took: list[list[float]] = [[] for _ in calls]
    for _ in range(runs):
        for number, call in enumerate(calls):
            begun = perf_counter()
            call()
            took[number].append(perf_counter() - begun)
    return [median(one) for one in took]


def measure(rows: int, runs: int) -> None:
    """Print the lines of one size."""
    for arrival in ("at once", "an hour late", "up to a week late"):
        payments, known = tables(rows, arrival)
        hand, ours = seconds(
            runs, partial(plain, payments, known), partial(at_a_point, payments, known)
        )
        line(rows, f"join, rows arrive {arrival}", ours, hand)
    payments, known = tables(rows, "an hour late")
    with TemporaryDirectory() as folder:
        store = FeatureStore(folder)
        table = store.group(CARDS)
        hand, ours = seconds(
            1,
            lambda: known.write_parquet(Path(folder) / "plain.parquet"),
            lambda: table.write(known, batch="one"),
        )
        line(rows, f"write {len(known):,} rows × 13 columns", ours, hand)
        hand, ours = seconds(
            runs, lambda: pl.read_parquet(Path(folder) / "plain.parquet"), table.read
        )
        line(rows, "read them, in order", ours, hand)
        store.group(PAYMENTS).write(payments, batch="all")
        created = seconds(
            1, lambda: store.create(TrainingSet(name="set", of="payments", joined=["cards"]))
        )[0]
        print(
            f"{rows:>12,}  {'a training dataset, read, joined, hashed, written':52} {created:8.3f} "
            "s"
        )


def line(rows: int, what: str, ours: float, hand: float) -> None:
    """Print one line."""
    print(f"{rows:>12,}  {what:52} {ours:8.3f} s {hand:8.3f} s {ours / hand:6.2f} ×")


def main() -> None:
    """Measure the sizes that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, action="append", help="How many payments; repeatable.")
    parser.add_argument("--runs", type=int, default=5, help="Of which the median counts.")
    options = parser.parse_args()
    print(f"{'payments':>12}  {'':52} {'store':>10} {'by hand':>10} {'ratio':>8}")
    for rows in options.rows or [100_000, 1_000_000]:
        measure(rows, options.runs)


if __name__ == "__main__":
    main()
