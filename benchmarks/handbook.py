"""Our detectors beside the published ones on the public handbook's simulated card payments.

    SHROFF_BENCH_DATA=handbook.parquet python benchmarks/handbook.py [--only WORD,WORD]

The prequential protocol of Le Borgne et al., *Reproducible Machine Learning for Credit Card Fraud
Detection* (2022), chapter 5: four test folds of 7 days, each 7 days after the last day learned
from, cards known to be compromised left out. Everything that is chosen (parameters, inputs, days to
learn from) is chosen by average precision on the four validation folds, which end before the first
test day; then the choice is judged once on the test folds. Labels enter features no sooner than 7
days after their payment.

Autoencoder, Deep SVDD and GAN draw at most 40 batches of 128 payments per pass and KNN keeps 2,000,
so they need no sample to be done in seconds.

Published figures: the same book, chapters 5 and 7 (repository
Fraud-Detection-Handbook/fraud-detection-handbook, commit 81cf7d17), parameters picked on the
validation folds for each figure by itself.
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from shroff.collect import clean, read
from shroff.detect import (
    GAN,
    KNN,
    MLP,
    Autoencoder,
    Blend,
    BoostedTrees,
    DeepSVDD,
    Detector,
    IsolationForest,
    LinearSVM,
    LogisticRegression,
    Mahalanobis,
)
from shroff.evaluate import Split, TemporalSplit
from shroff.experiment import Dataset
from shroff.experiment.prequential import judge
from shroff.project import Project

PROJECT = Path(__file__).parents[1] / "examples" / "handbook" / "informed.py"
TEST = TemporalSplit(date(2018, 7, 25), 7, 7, 28, known_cards="drop", folds=4).successive
VALIDATION = TemporalSplit(date(2018, 6, 20), 7, 7, 28, known_cards="drop", folds=4).successive
GENUINE_KEPT = 0.3
"""Share of the genuine payments learned from where more than 7 days are: frauds are what there is
too little of.
"""


class Figures(NamedTuple):
    """ROC AUC, average precision, card precision at 100."""

    auc: float
    ap: float
    cp: float


@dataclass(frozen=True)
class Entry:
    """A row of the table: candidates of which the best on the validation folds is judged on the
    test folds.
    """

    name: str
    inputs: str
    days: int
    candidates: tuple[Detector, ...]


ONE_SIDED = (
    IsolationForest(side="upper", sample=1024),
    Mahalanobis(side="upper", shrinkage=1.0),
    KNN(side="upper", k=20, distance="mean"),
)

DIRTY: Mapping[str, Any] = {"contamination": 0.05}
"""Nobody has taken the frauds out of the payments that are learned from."""

READINGS: tuple[Mapping[str, Any], ...] = (
    {},
    DIRTY,
    {"scaling": "quantile", **DIRTY},
    {"scaling": "quantile", "contamination": 0.1},
)

GENUINE: tuple[Mapping[str, Any], ...] = tuple(
    {"side": "upper", "scaling": scaling, "contamination": share}
    for scaling in ("quantile", "surprise")
    for share in (0.1, 0.45)
)
"""Ranks or surprises, learned from what is surely genuine."""

SHARP_GAN = GAN(side="upper", n_centres=16, scaling="quantile", contamination=0.05)

TREES = BoostedTrees(colsample=0.6, reg_lambda=5.0)
FEWER_TREES = BoostedTrees(n_trees=150, colsample=0.6, reg_lambda=5.0)
SHALLOW_TREES = BoostedTrees(n_trees=150, max_depth=3, colsample=0.6, reg_lambda=5.0)

LABELLED = (
    Entry(
        "LogisticRegression", "classic", 7, (LogisticRegression(C=1.0), LogisticRegression(C=100.0))
    ),
    Entry("LinearSVM", "classic", 7, (LinearSVM(C=0.1), LinearSVM(C=1.0))),
    Entry("MLP", "classic", 7, (MLP(), MLP(epochs=40))),
    Entry("BoostedTrees", "classic", 7, (BoostedTrees(n_trees=150, max_depth=3), TREES)),
    Entry(
        "LogisticRegression",
        "informed",
        28,
        (LogisticRegression(C=1.0), LogisticRegression(C=100.0)),
    ),
    Entry(
        "LinearSVM", "informed", 28, (LinearSVM(C=0.1), LinearSVM(C=0.1, approximation="nystroem"))
    ),
    Entry("MLP", "informed", 28, (MLP(), MLP(hidden=(64, 32)))),
    Entry("BoostedTrees", "informed", 28, (BoostedTrees(), TREES)),
    Entry(
        "Blend of trees and MLP",
        "informed",
        28,
        (Blend([TREES, MLP()]), Blend([TREES, MLP()], how="rank")),
    ),
    Entry(
        "LogisticRegression",
        "probable",
        28,
        (LogisticRegression(C=1.0), LogisticRegression(C=100.0)),
    ),
    Entry("MLP", "probable", 28, (MLP(), MLP(hidden=(64, 32)))),
    Entry("BoostedTrees", "probable", 28, (FEWER_TREES, SHALLOW_TREES, TREES)),
    Entry(
        "Blend of trees and MLP",
        "probable",
        28,
        tuple(Blend([trees, MLP(hidden=(64, 32))]) for trees in (FEWER_TREES, SHALLOW_TREES)),
    ),
)

UNLABELLED = (
    Entry("IsolationForest", "classic", 7, (IsolationForest(), IsolationForest(sample=1024))),
    Entry("Mahalanobis", "classic", 7, (Mahalanobis(), Mahalanobis(keep=1.0, shrinkage=0.01))),
    Entry("KNN", "classic", 7, (KNN(), KNN(k=20, distance="mean"))),
    Entry("Autoencoder", "classic", 7, (Autoencoder(), Autoencoder(**DIRTY))),
    Entry("DeepSVDD", "classic", 7, (DeepSVDD(), DeepSVDD(**DIRTY))),
    Entry("GAN", "classic", 7, (GAN(), GAN(**DIRTY))),
    Entry("IsolationForest", "suspicious", 7, (IsolationForest(side="upper"), ONE_SIDED[0])),
    Entry("Mahalanobis", "suspicious", 7, (Mahalanobis(side="upper"), ONE_SIDED[1])),
    Entry("KNN", "suspicious", 7, (KNN(side="upper"), ONE_SIDED[2])),
    Entry(
        "Autoencoder", "suspicious", 7, tuple(Autoencoder(side="upper", **how) for how in READINGS)
    ),
    Entry("DeepSVDD", "suspicious", 7, tuple(DeepSVDD(side="upper", **how) for how in READINGS)),
    Entry(
        "GAN",
        "suspicious",
        7,
        tuple(GAN(side="upper", n_centres=n, **how) for n in (256, 16) for how in READINGS),
    ),
    Entry("IsolationForest", "recent", 7, (IsolationForest(side="upper"), ONE_SIDED[0])),
    Entry(
        "DeepSVDD",
        "recent",
        7,
        (
            *(DeepSVDD(**how) for how in GENUINE),
            DeepSVDD(side="upper", scaling="surprise", n_centres=1),
        ),
    ),
    Entry("GAN", "recent", 7, tuple(GAN(**how) for how in GENUINE)),
    Entry("Blend of the first three", "suspicious", 7, (Blend(ONE_SIDED, how="rank"),)),
    Entry("Blend with a GAN", "suspicious", 7, (Blend([*ONE_SIDED, SHARP_GAN], how="rank"),)),
)

PUBLISHED = {
    "Decision tree": Figures(0.7972, 0.5789, 0.2843),
    "Logistic regression": Figures(0.8677, 0.6233, 0.2971),
    "Random forest": Figures(0.8704, 0.6777, 0.2993),
    "XGBoost": Figures(0.8694, 0.6865, 0.3032),
    "Neural network": Figures(0.8765, 0.6749, 0.3032),
    "CNN": Figures(0.8718, 0.5992, 0.2879),
    "LSTM": Figures(0.8763, 0.6653, 0.2968),
    "LSTM with attention": Figures(0.8743, 0.6672, 0.2954),
}
PUBLISHED_WITHOUT_LABELS = {
    "Autoencoder": Figures(0.836, 0.180, 0.217),
    "Isolation forest": Figures(0.808, 0.164, 0.190),
}
"""Published for the latest validation fold alone."""


@dataclass(frozen=True)
class Bench:
    """The payments with their features, and the named lists of inputs."""

    data: Dataset
    inputs: Mapping[str, Sequence[str]]

    @classmethod
    def load(cls, path: Path) -> Bench:
        """Clean the payments and compute every feature."""
        names = runpy.run_path(str(PROJECT))
        project: Project = names["project"]
        frame = clean(read(path), project.plan.schema, key=bytes(16), source=str(path)).frame
        lists = {name: names[name] for name in ("informed", "probable", "suspicious", "recent")}
        classic = [
            feature.name for feature in names["classic"].definitions if feature.name != "hour"
        ]
        data = Dataset.build(frame, project.plan, inputs=project.inputs, card=project.card)
        return cls(data, {"classic": ["TX_AMOUNT", *classic], **lists})

    def split(self, protocol: TemporalSplit, days: int) -> Split:
        """The rows of a fold, learning from the `days` days that end with its learning days."""
        data = self.data
        fold = protocol.rows(data.time, data.y, data.cards)
        if days == protocol.train_days:
            return fold
        end = np.datetime64(protocol.start + timedelta(days=protocol.train_days))
        learned = np.flatnonzero((data.time >= end - np.timedelta64(days, "D")) & (data.time < end))
        kept = np.random.default_rng(0).random(len(learned)) < GENUINE_KEPT
        return Split(train=learned[kept | data.y[learned]], test=fold.test)

    def judge(self, detector: Detector, inputs: str, fold: TemporalSplit, days: int) -> Figures:
        """Learn from one fold's training rows, and the figures on its test rows."""
        data = replace(self.data, numeric=tuple(self.inputs[inputs]), nominal=())
        found = judge(data, detector, self.split(fold, days))
        return Figures(found.roc_auc, found.average_precision, found.card_precision_at_k or 0.0)


def run(bench: Bench, entry: Entry, table: Table) -> None:
    """Choose on the validation folds, judge on the test folds, add a row."""
    started = time.perf_counter()
    judged = [
        [bench.judge(one, entry.inputs, fold, entry.days) for fold in VALIDATION]
        for one in entry.candidates
    ]
    best = int(np.argmax([np.mean([figures.ap for figures in folds]) for folds in judged]))
    seconds = (time.perf_counter() - started) / (len(VALIDATION) * len(entry.candidates))
    test = [bench.judge(entry.candidates[best], entry.inputs, fold, entry.days) for fold in TEST]
    table.add_row(
        entry.name,
        f"{entry.inputs} {entry.days} d",
        shown(judged[best][-1]),
        shown(mean(judged[best])),
        shown(mean(test)),
        " ".join(f"{spread:.3f}" for spread in np.std(test, axis=0)),
        f"{seconds:.1f}",
    )
    print(f"{entry.name} on {entry.inputs}: {entry.candidates[best]}", file=sys.stderr)


def mean(folds: Sequence[Figures]) -> Figures:
    """The mean of each figure over folds."""
    return Figures(*(float(figure) for figure in np.mean(folds, axis=0)))


def shown(figures: Figures) -> str:
    """Three figures, to three places."""
    return " ".join(f"{figure:.3f}" for figure in figures)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description="Our detectors beside the published ones on the handbook's payments."
    )
    parser.add_argument(
        "--only",
        default="",
        help="run the rows whose detector or inputs contain one of these words",
    )
    only = parser.parse_args().only.lower().split(",")
    path = os.environ.get("SHROFF_BENCH_DATA")
    if path is None:
        parser.error("set SHROFF_BENCH_DATA to the handbook's payments, a Parquet file")
    started = time.perf_counter()
    bench = Bench.load(Path(path))
    seconds = time.perf_counter() - started
    table = Table(title="ROC AUC, average precision, card precision at 100", box=box.SIMPLE_HEAD)
    for title in (
        "Detector",
        "inputs, learned",
        "validation 07-11",
        "validation, 4 folds",
        "test, 4 folds",
        "± std",
    ):
        table.add_column(title, no_wrap=True)
    table.add_column("s/fold", justify="right", no_wrap=True)
    for name, published in PUBLISHED.items():
        table.add_row(f"{name} (published)", "classic 7 d", "", "", shown(published), "", "")
    table.add_section()
    wanted = [
        [
            entry
            for entry in part
            if any(word in f"{entry.name} {entry.inputs}".lower() for word in only)
        ]
        for part in (LABELLED, UNLABELLED)
    ]
    for entry in wanted[0]:
        run(bench, entry, table)
    table.add_section()
    for name, published in PUBLISHED_WITHOUT_LABELS.items():
        table.add_row(f"{name} (published)", "classic 7 d", shown(published), "", "", "", "")
    table.add_section()
    for entry in wanted[1]:
        run(bench, entry, table)
    rows, columns = bench.data.table.shape
    table.caption = (
        f"{rows:,} payments cleaned and given {columns} columns in {seconds:.0f} s; the last two "
        "parts: trained "
        f"without labels; over 7 days, {GENUINE_KEPT:.0%} of the genuine payments are learned from"
    )
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
