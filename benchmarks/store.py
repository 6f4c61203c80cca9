"""The feature store beside plain Polars and Feast: writing, reading and joining at a point in time.

    python -m benchmarks.store [--rows 100_000] [--memory 8] \\
        [--feast-python FEAST/bin/python] [--minutes 10]

Each size (100,000, 1 million and 10 million payments by default) runs in a process of its own,
which may take `--memory` GB (RLIMIT_DATA, the heap and other private memory); its peak is printed.
Ratios are of medians of several runs in one process, in turns, so that a busy machine slows both.
The plain join is `join_asof` over the same rows; it knows no arrivals, so where rows arrive late
its values are wrong. The plain write is one Parquet file, without a log, checks or statistics.

`--feast-python` names an interpreter that has Feast (`pip install 'feast[duckdb]'`). It joins the
same Parquet files once (`store_feast.py`), with each of its stores for local files and a filter by
arrival, under the same limit of memory, and is stopped after `--minutes`. Its line has the seconds
of the store and of Feast for reading and joining, and how many times as long Feast takes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

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


class Feast(NamedTuple):
    """The interpreter that has it, none where it is not asked for, and when it is stopped."""

    python: str = ""
    minutes: float = 10


def measure(rows: int, runs: int, feast: Feast) -> None:
    """Print the lines of one size."""
    at_a_point(*tables(1_000, "at once"))  # compiles what is not compiled yet
    for arrival in ("at once", "an hour late", "up to a week late"):
        payments, known = tables(rows, arrival)
        hand, ours = seconds(
            runs, partial(plain, payments, known), partial(at_a_point, payments, known)
        )
        line(rows, f"join, rows arrive {arrival}", ours, hand)
    payments, known = tables(rows, "an hour late")
    with TemporaryDirectory() as name:
        folder, store = Path(name), FeatureStore(f"{name}/store")
        table, files = store.group(CARDS), (folder / "payments.parquet", folder / "cards.parquet")
        payments.write_parquet(files[0])
        hand, ours = seconds(
            1,
            lambda: known.write_parquet(files[1]),
            lambda: table.write(known, batch="one"),
        )
        line(rows, f"write {len(known):,} rows × 13 columns", ours, hand)
        hand, ours = seconds(runs, lambda: pl.read_parquet(files[1]), table.read)
        line(rows, "read them, in order", ours, hand)
        hand, ours = seconds(
            runs,
            lambda: plain(payments, pl.read_parquet(files[1])),
            lambda: at_a_point(payments, table.read()),
        )
        line(rows, "read and join", ours, hand)
        beside_feast(rows, folder, feast, ours)
        store.group(PAYMENTS).write(payments, batch="all")
        created = seconds(
            1, lambda: store.create(TrainingSet(name="set", of="payments", joined=["cards"]))
        )[0]
        what = "a training dataset, read, joined, hashed, written"
        print(f"{rows:>12,}  {what:52} {created:8.3f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{rows:>12,}  {'peak memory':52} {peak:8.2f} GB", flush=True)


def line(rows: int, what: str, ours: float, hand: float) -> None:
    """Print one line."""
    print(f"{rows:>12,}  {what:52} {ours:8.3f} s {hand:8.3f} s {ours / hand:6.2f} ×", flush=True)


def beside_feast(rows: int, folder: Path, feast: Feast, ours: float) -> None:
    """Print how long Feast takes to read and join the files in a folder."""
    if not feast.python:
        print(f"{rows:>12,}  Feast: not asked for; see --feast-python", flush=True)
        return
    for store in ("dask", "duckdb"):
        what = f"Feast on {store}, read and join"
        program = Path(__file__).with_name("store_feast.py")
        command = [feast.python, str(program), str(folder), store, "--known"]
        try:
            run = subprocess.run(
                command, capture_output=True, text=True, check=True, timeout=60 * feast.minutes
            )
        except subprocess.TimeoutExpired:
            longer = 60 * feast.minutes / ours
            print(f"{rows:>12,}  {what:52} stopped after {feast.minutes:g} minutes, {longer:.0f} ×")
        except subprocess.CalledProcessError as error:
            reason = (error.stderr.strip().splitlines() or ["killed"])[-1][:60]
            print(f"{rows:>12,}  {what:52} ended without a result: {reason}")
        else:
            found = json.loads(run.stdout)
            took = found["seconds"]
            peak = found["mb"] / 1024
            print(
                f"{rows:>12,}  {what:52} {ours:8.3f} s {took:8.3f} s {took / ours:6.1f} × as long, "
                f"{found['rows']:,} rows, {peak:.1f} GB",
                flush=True,
            )


def alone(rows: int, runs: int, feast: Feast, memory: int) -> None:
    """Measure one size in this process, with so many bytes of memory at most."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    measure(rows, runs, feast)


def main() -> None:
    """Measure the sizes that are asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, action="append", help="How many payments; repeatable.")
    parser.add_argument("--runs", type=int, default=5, help="Of which the median counts.")
    parser.add_argument("--memory", type=float, default=8, help="GB of memory of a process.")
    parser.add_argument("--feast-python", default="", help="An interpreter that has Feast.")
    parser.add_argument("--minutes", type=float, default=10, help="After which Feast is stopped.")
    given = parser.parse_args()
    feast = Feast(given.feast_python, given.minutes)
    print(f"memory of a process: at most {given.memory:g} GB")
    print(f"{'payments':>12}  {'':52} {'store':>10} {'other':>10} {'ratio':>8}", flush=True)
    for rows in given.rows or [100_000, 1_000_000, 10_000_000]:
        memory = int(given.memory * 1024**3)
        process = multiprocessing.get_context("spawn").Process(
            target=alone, args=(rows, given.runs, feast, memory)
        )
        process.start()
        process.join()
        if process.exitcode:
            print(f"{rows:>12,}  ended with {process.exitcode}: see above")


if __name__ == "__main__":
    main()
