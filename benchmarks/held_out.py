"""What detectors are calibrated and picked on: random folds of the training payments, or folds in
time.

    python -m benchmarks.held_out
    SHROFF_BENCH_DATA=handbook.parquet SHROFF_BENCH_ULB=ulb_real.parquet python -m
    benchmarks.held_out

Each detector is fitted once on the training payments. It is calibrated, and its thresholds are
chosen, on scores held out both ways; both are judged on the test payments. `predicted` is the sum
of the probabilities over the number of frauds: 1.0 is right. `promised` and `paid` are the cost per
day that the held-out payments promise at the chosen thresholds, and what the test payments cost at
them, `best` what the best thresholds of the test payments would have.
"""

from __future__ import annotations

import argparse
import os
import runpy
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from shroff import Cost, Project, Schema
from shroff.arrays import Floats, Ints
from shroff.detect import BoostedTrees, Detector, IsolationForest, LogisticRegression
from shroff.evaluate import HeldOut, fit_split, parse_split
from shroff.experiment import Dataset, Trained
from shroff.experiment.folds import Folds, choose_folds, stratified
from shroff.experiment.training import TrainingJob
from shroff.pipeline import collect_table
from shroff.project import load_project
from shroff.simulate import simulate, write

EXAMPLES = Path(__file__).parents[1] / "examples"
DETECTORS: Sequence[Detector] = (BoostedTrees(), LogisticRegression(), IsolationForest())
COST = Cost(review=4.0, missed="amount", declined=15.0)


@dataclass(frozen=True)
class Log:
    """A log with features, its split, and what a day has of reviews."""

    title: str
    data: Dataset
    split: str


def compare(log: Log) -> Table:
    """Each detector on both kinds of folds."""
    data = log.data
    split, rows = fit_split(parse_split(log.split), data.time, data.y, data.cards)
    learn = rows.train
    in_time = choose_folds(split, data.time[learn], data.y[learn])
    ways = {"random": Folds(stratified(data.y[learn]), False, "random"), in_time.how: in_time}
    table = Table(
        title=f"{log.title}: {len(learn):,} to learn from, {len(rows.test):,} to judge",
        box=box.SIMPLE_HEAD,
    )
    for title in (
        "Detector",
        "held out",
        "AP held out",
        "AP test",
        "predicted",
        "promised",
        "paid",
        "best",
    ):
        table.add_column(title, justify="left" if title in ("Detector", "held out") else "right")
    best: dict[str, tuple[float, str]] = {}
    for detector in DETECTORS:
        for way, folds in ways.items():
            job = TrainingJob(data, rows, folds, detector, {}, COST, None, 100, thorough=False)
            trained = job.run(detector.name)
            table.add_row(detector.name, way, *_figures(trained, data, rows.test))
            best[way] = max(best.get(way, (0.0, "")), (trained.held_out, detector.name))
    table.caption = "picked: " + ", ".join(f"{name} by {way}" for way, (_, name) in best.items())
    return table


def _figures(trained: Trained, data: Dataset, judge: Ints) -> list[str]:
    probability = trained.calibration.probability(
        trained.detector.score(trained.preparation.matrix(data.table[judge]))
    )
    kept = _judged(probability, data, judge)
    promised = trained.kept.a_day(trained.thresholds, COST)["cost_per_day"]
    paid = kept.a_day(
        kept.at(trained.thresholds.review_at, trained.thresholds.decline_at, COST), COST
    )
    least = kept.a_day(kept.thresholds(COST), COST)
    return [
        f"{trained.held_out:.3f}",
        f"{trained.test.average_precision:.3f}",
        f"{probability.sum() / data.y[judge].sum():.2f}",
        f"{promised:,.0f}",
        f"{paid['cost_per_day']:,.0f}",
        f"{least['cost_per_day']:,.0f}",
    ]


def _judged(probability: Floats, data: Dataset, judge: Ints) -> HeldOut:
    days = len(np.unique(data.time[judge].astype("datetime64[D]")))
    return HeldOut.of(data.y[judge], probability, data.amount[judge], days=float(days))


def logs(payments: int) -> Iterator[Log]:
    """A simulated log, and those that the environment names."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "payments.parquet"
        write(simulate(payments, fraud_rate=0.01, seed=1), file)
        yield _log("Simulated payments", load_project(EXAMPLES / "payments"), file, "time:70/30")
    if handbook := os.environ.get("SHROFF_BENCH_DATA"):
        project: Project = runpy.run_path(str(EXAMPLES / "handbook" / "informed.py"))["project"]
        yield _log("The handbook's payments", project, Path(handbook), "time:2018-06-13/42/7/14")
    if ulb := os.environ.get("SHROFF_BENCH_ULB"):
        yield _ulb(Path(ulb))


def _log(title: str, project: Project, file: Path, split: str) -> Log:
    frame = collect_table(project, file, key=bytes(16)).frame
    return Log(
        title,
        Dataset.build(frame, project.plan, inputs=project.inputs, card=project.card_column),
        split,
    )


def _ulb(file: Path) -> Log:
    """Two real days: too few for folds in time."""
    import polars as pl

    columns = [f"V{number}" for number in range(1, 29)]
    with tempfile.TemporaryDirectory() as folder:
        frame = pl.read_parquet(file).with_row_index("id")
        time = pl.datetime(2013, 9, 1, time_zone="UTC") + pl.duration(seconds=pl.col("Time"))
        frame = frame.with_columns(
            pl.col("id").cast(pl.String), time=time, Class=pl.col("Class") == 1
        )
        frame.select("id", "time", "Amount", "Class", *columns).write_parquet(
            named := Path(folder) / "ulb.parquet"
        )
        schema = Schema(id="id", time="time", amount="Amount", label="Class", numeric=columns)
        project = Project(schema=schema, features=[], detectors=DETECTORS)
        return _log("Real payments of two days", project, named, "time:70/30,delay=0")


def main() -> None:
    """Print a table per log."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--payments", type=int, default=200_000, help="how many payments to simulate"
    )
    console = Console(width=120)
    for log in logs(parser.parse_args().payments):
        console.print(compare(log))


if __name__ == "__main__":
    main()
