"""Why links lose in `embed_ablation.py`: its simulated logs, features apart, frauds by pattern.

    python -m benchmarks.embed_links [--payments 30000] [--seeds 2]

A line per log says how many frauds of each pattern there are to learn from and to judge by, and a
line per link feature in how many genuine payments it is above 0, by part of the log. Then a line
per set of inputs of boosted trees: average precision on the test part, mean and range over two
seeds of the trees, and the share of each pattern's frauds among the most suspicious 0.5 %. `noise`
has as many columns of random numbers as `links` has features: what any column costs where frauds
are few.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from benchmarks.embed_ablation import Inputs, scored
from benchmarks.embed_logs import FRAUD_RATE, RINGS, simulated
from shroff.arrays import Ints
from shroff.evaluate import average_precision
from shroff.experiment import Dataset
from shroff.simulate import simulate

TREES = 2


def patterns(data: Dataset, payments: int, seed: int) -> pl.Series:
    """The pattern of each fraud, null for genuine payments."""
    raw = simulate(payments, fraud_rate=FRAUD_RATE, rings=RINGS, seed=seed)
    known = raw.select(data.schema.id, "fraud_pattern")
    rows = data.table.select(data.schema.id)
    whole = rows.join(known, on=data.schema.id, how="left", maintain_order="left")
    return whole["fraud_pattern"].set(pl.Series(~data.y), None)


def chosen(data: Dataset, names: Sequence[str]) -> Dataset:
    """The payments with these inputs."""
    return replace(
        data,
        numeric=tuple(name for name in data.numeric if name in names),
        nominal=tuple(name for name in data.nominal if name in names),
    )


def measure(payments: int, seed: int) -> None:
    """Print the lines of one log."""
    inputs = Inputs(simulated(payments, seed))
    data, rows, velocity = inputs.every, inputs.rows, inputs.ways["velocity"]
    added = [name for name in inputs.ways["links"] if name not in velocity]
    links = [name for name in added if "linked" in name]
    chance = np.random.default_rng(seed)
    noise = {f"noise_{name}": pl.Series(chance.normal(size=len(data.table))) for name in links}
    data = replace(data, table=data.table.with_columns(**noise), numeric=(*data.numeric, *noise))
    pattern = patterns(data, payments, seed)
    there = sorted(pattern.drop_nulls().unique())
    counts = [
        f"{one} {(pattern[rows.train] == one).sum()}/{(pattern[rows.test] == one).sum()}"
        for one in there
    ]
    print(f"log {seed}: frauds to learn from / to judge by: {', '.join(counts)}")
    spread(data, rows.train, rows.test, links)
    arms: dict[str, list[str]] = {
        "velocity": [],
        "links": links,
        "links without frauds()": [name for name in links if "frauds" not in name],
        "journeys": [name for name in added if name not in links],
        "noise": list(noise),
    }
    judged = pattern[rows.test]
    for arm, more in arms.items():
        precisions: list[float] = []
        found: list[list[float]] = []
        for tree in range(TREES):
            scores, fraud, worst = scored(chosen(data, [*velocity, *more]), rows, seed + tree)
            precisions.append(average_precision(fraud, scores))
            found.append([(judged[worst] == one).sum() / (judged == one).sum() for one in there])
        recall = zip(there, np.mean(found, axis=0), strict=True)
        shares = ", ".join(f"{one} {share:.2f}" for one, share in recall)
        ends = f"{min(precisions):.3f}–{max(precisions):.3f}"
        print(f"  {arm:24}AP {np.mean(precisions):.3f} ({ends})  {shares}", flush=True)


def spread(data: Dataset, train: Ints, test: Ints, names: Sequence[str]) -> None:
    """Print in how many genuine payments a feature is above 0."""
    month = data.time[train] < data.time[train].min() + np.timedelta64(30, "D")
    parts = {"the first month": train[month], "later training": train[~month], "test": test}
    for name in names:
        above = data.table[name].cast(pl.Float64).to_numpy() > 0
        told = [f"{part} {above[rows[~data.y[rows]]].mean():.2f}" for part, rows in parts.items()]
        print(f"  {name} above 0, genuine: {', '.join(told)}")


def main() -> None:
    """Print the lines of each log."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--payments", type=int, default=30_000)
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    for seed in range(given.seeds):
        measure(given.payments, seed)


if __name__ == "__main__":
    main()
