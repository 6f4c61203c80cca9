"""Whether features of token vectors find more fraud: boosted trees with and without them, on the
same payments.

    python -m benchmarks.embed_ablation [--payments 100000] [--seeds 3]
    SHROFF_BENCH_DATA=handbook.parquet python -m benchmarks.embed_ablation

`without` are the inputs of the example's project; `with` also has the payment's vector, habit and
distance of the card over 7 and 30 days, and the distance to the other entity's habit over 7.
Vectors are learned before the test begins. AP is average precision on the test part, `value` the
share of the frauds' amounts among the most suspicious 0.5 % of payments. Of simulated payments each
seed makes another log; the handbook's log is one, and the seed is the trees'.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table

from shroff import Entity, FeatureGroup, Project
from shroff.arrays import Bools, Floats, Ints
from shroff.collect import clean
from shroff.detect import BoostedTrees, Preparation
from shroff.embed import Vectors, learn
from shroff.evaluate import Split, average_precision, fit_split, parse_split
from shroff.experiment import Dataset
from shroff.features.engines.batch import compute_plan
from shroff.features.group import Feature, with_vectors
from shroff.features.plan import Plan
from shroff.pipeline import collect_table
from shroff.project import load_project
from shroff.simulate import simulate

EXAMPLES = Path(__file__).parents[1] / "examples"
ALERTS = 0.005
CUSTOMER, TERMINAL = Entity("customer", "CUSTOMER_ID"), Entity("terminal", "TERMINAL_ID")


class Figures(NamedTuple):
    """On the test part."""

    ap: float
    value: float


class Case(NamedTuple):
    """A log and what is computed of it."""

    project: Project
    frame: pl.DataFrame
    split: str
    vectors: Vectors
    entities: tuple[Entity, Entity]
    seed: int


def compare(case: Case) -> dict[str, Figures]:
    """The figures with the features of vectors and without."""
    project, frame = case.project, case.frame
    plain = Dataset.build(frame, project.plan, inputs=project.inputs, card=project.card_column)
    _, rows = fit_split(parse_split(case.split), plain.time, plain.y, plain.cards)
    cut = int(plain.time[rows.test].min().astype("datetime64[us]").astype(int))
    card, other = case.entities
    found = learn(case.vectors, project.plan.schema, frame, before=cut)
    windows = ["7d", "30d"]
    features: list[Feature] = [
        *case.vectors.features(),
        *card.habit(case.vectors, windows),
        *card.distance(case.vectors, windows),
        *other.distance(case.vectors, "7d"),
    ]
    added = FeatureGroup("habits", features)
    plan = Plan(with_vectors([*project.features, added], [found.table]), project.schema)
    names = [*plain.numeric, *plain.nominal]
    full = Dataset.build(
        frame,
        plan,
        features=compute_plan(plan, frame),
        inputs=[*names, *(feature.name for feature in added.definitions)],
        card=project.card_column,
    )
    return {"without": judged(plain, rows, case.seed), "with": judged(full, rows, case.seed)}


def judged(data: Dataset, rows: Split, seed: int) -> Figures:
    """Trees fitted on the training part."""
    scores, fraud, worst = scored(data, rows, seed)
    amounts = np.where(fraud, data.amount[rows.test], 0.0)
    return Figures(average_precision(fraud, scores), float(amounts[worst].sum() / amounts.sum()))


def scored(data: Dataset, rows: Split, seed: int) -> tuple[Floats, Bools, Ints]:
    """Of the test part, by trees fitted on the training part: scores and labels [n], and the rows
    of the alerts.
    """
    learned = data.table[rows.train]
    prepared = Preparation.learn(learned, numeric=data.numeric, nominal=data.nominal)
    trees = BoostedTrees(seed=seed, threads=2)
    trees.fit(prepared.matrix(learned), data.y[rows.train], nominal=prepared.nominal_codes)
    scores = trees.score(prepared.matrix(data.table[rows.test]))
    worst = np.argsort(-scores, kind="stable")[: round(ALERTS * len(scores))]
    return scores, data.y[rows.test], worst


def simulated(payments: int, seeds: int) -> Iterator[Case]:
    """Logs of the simulator with the example's project."""
    project = load_project(EXAMPLES / "payments")
    (vectors,) = project.vectors
    for seed in range(seeds):
        raw = simulate(payments, fraud_rate=0.01, seed=seed)
        frame = clean(raw, project.plan.schema, key=b"k" * 32, max_bad=0.1).frame
        entities = Entity("card", "card_id"), Entity("merchant", "merchant_id")
        yield Case(project, frame, "time:70/30", vectors, entities, seed)


def handbook(file: Path, seeds: int) -> Iterator[Case]:
    """The handbook's log with its classic features; terminals are too many to be tokens."""
    project = load_project(EXAMPLES / "handbook")
    frame = collect_table(project, file, key=bytes(16)).frame
    vectors = Vectors(name="purchases", entity=CUSTOMER, tokens=["TX_AMOUNT", "TX_DATETIME"])
    for seed in range(seeds):
        yield Case(project, frame, str(project.split), vectors, (CUSTOMER, TERMINAL), seed)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--payments", type=int, default=100_000, help="of a simulated log; 0: none of those"
    )
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    logs = {"simulated": simulated(given.payments, given.seeds)} if given.payments else {}
    if file := os.environ.get("SHROFF_BENCH_DATA"):
        logs["handbook"] = handbook(Path(file), given.seeds)
    table = Table("log", "features", "AP", "least–most", "value", "least–most", box=box.SIMPLE_HEAD)
    for log, cases in logs.items():
        found = [compare(case) for case in cases]
        for way in ("without", "with"):
            figures = np.array([each[way] for each in found])
            row = [
                part
                for one in figures.T
                for part in (f"{one.mean():.4f}", f"{one.min():.4f}–{one.max():.4f}")
            ]
            table.add_row(log, way, *row)
        gains = np.array(
            [[b - a for a, b in zip(each["without"], each["with"], strict=True)] for each in found]
        )
        row = [
            part
            for one in gains.T
            for part in (f"{one.mean():+.4f}", f"{one.min():+.4f}–{one.max():+.4f}")
        ]
        table.add_row(log, "gain", *row)
    Console().print(table)


if __name__ == "__main__":
    main()
