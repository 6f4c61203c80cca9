"""Rules beside detectors at equal false positives: how many more frauds does a detector find?

    python benchmarks/rules.py [--payments 200000]                    # simulated payments
    SHROFF_BENCH_DATA=handbook.parquet python benchmarks/rules.py     # and the public handbook's

The rules are such as a bank's analysts write: few, each with a reason that can be told to a
customer. Their limits were set by hand while looking at the training days only. On the test days
they flag some genuine payments; every detector is then given exactly as many genuine payments to
flag as the rules flagged, so the frauds it finds compare one to one. Isolation forest, Deep SVDD
and GAN learn the genuine payments of the training days and no fraud, from the few inputs of which
much is suspicious, with the parameters that `handbook.py` chose on its validation folds for both
logs; boosted trees learn from labels, from all inputs of the project.
"""

from __future__ import annotations

import argparse
import os
import runpy
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from shroff.detect import GAN, BoostedTrees, DeepSVDD, Detector, IsolationForest, Preparation, Rules
from shroff.errors import ConfigurationError
from shroff.evaluate import LatestSplit, RandomSplit, Split, parse_split
from shroff.experiment import Dataset
from shroff.pipeline import collect_table
from shroff.project import Project, load_project
from shroff.simulate import simulate, write

EXAMPLES = Path(__file__).parents[1] / "examples"
LISTS = {"red_countries": ["NG", "RU", "VN", "BR"]}

PAYMENT_RULES = (
    "card_count_1h > 5",  # nobody shops so fast: a stolen card is tried until it fails
    "card_failed_1d >= 3",
    "host_distinct_card_id_1h > 3",  # many cards from one computer
    "account_distinct_card_id_1d > 3",
    "card_count_1d > 3 AND amount > 500 AND request_country IN red_countries",
    "amount > 2000 AND amount_to_card_mean > 10 AND same_country = 0",
)
PAYMENT_INPUTS = (
    "amount_to_card_mean",
    "card_count_1h",
    "card_failed_1d",
    "host_distinct_card_id_1h",
    "host_failed_1h",
    "account_distinct_card_id_1d",
)
HANDBOOK_RULES = (
    "TX_AMOUNT > 220",  # no genuine payment of this log is larger
    "amount_to_usual > 4 AND TX_AMOUNT > 100",
    "terminal_frauds_7d >= 2",
    "customer_high_14d >= 3 AND amount_to_usual > 2.5",
)


@dataclass(frozen=True)
class Case:
    """A log with its rules; `suspicious` are the inputs of which much is suspicious."""

    title: str
    data: Dataset
    rows: Split
    rules: Sequence[str]
    suspicious: Sequence[str]

    def flagged(self) -> NDArray[np.bool_]:
        """Which test payments any rule flags."""
        holds = self.data.conditions(self.rules, LISTS)[self.rows.test]
        detector = Rules(self.rules)
        X = Preparation.plain(self.rules).matrix(holds)
        return detector.fit(X).score(X) > 0

    def scores(self, detector: Detector) -> NDArray[np.float64]:
        """The test payments' scores of a detector after its fit on the training payments."""
        data, learn = self.data, self.rows.train
        if detector.needs_labels:
            preparation = Preparation.learn(
                data.table[learn], numeric=data.numeric, nominal=data.nominal
            )
            X, y, nominal = (
                preparation.matrix(data.table[learn]),
                data.y[learn],
                preparation.nominal_codes,
            )
            return detector.fit(X, y, nominal=nominal).score(
                preparation.matrix(data.table[self.rows.test])
            )
        genuine = data.table[learn[~data.y[learn]]]
        preparation = Preparation.learn(genuine, numeric=self.suspicious, nominal=[])
        return detector.fit(preparation.matrix(genuine)).score(
            preparation.matrix(data.table[self.rows.test])
        )


DETECTORS: Mapping[str, Detector] = {
    "IsolationForest, genuine only": IsolationForest(side="upper", sample=1024),
    "DeepSVDD, genuine only": DeepSVDD(side="upper", scaling="quantile", contamination=0.1),
    "GAN, genuine only": GAN(side="upper", scaling="quantile", contamination=0.1, n_centres=16),
    "BoostedTrees, with labels": BoostedTrees(),
}


def case(
    title: str,
    project: Project,
    file: Path,
    split: str,
    rules: Sequence[str],
    suspicious: Sequence[str],
) -> Case:
    """Features and rows of a log."""
    frame = collect_table(project, file, key=bytes(16)).frame
    data = Dataset.build(frame, project.plan, inputs=project.inputs, card=project.card_column)
    chosen = parse_split(split)
    days = chosen.over(data.time) if isinstance(chosen, LatestSplit) else chosen
    if isinstance(days, RandomSplit):
        raise ConfigurationError(f"expected a split in time, got {days}")
    return Case(title, data, days.rows(data.time, data.y, data.cards), rules, suspicious)


def found(fraud: NDArray[np.bool_], scores: NDArray[np.float64], false_positives: int) -> int:
    """Frauds above the score that lets through no more than so many genuine payments."""
    limit = np.sort(scores[~fraud])[::-1][false_positives]
    return int((scores[fraud] > limit).sum())


def show(one: Case, console: Console) -> None:
    """Measure a case and print its table."""
    fraud, flagged = one.data.y[one.rows.test], one.flagged()
    wrong, right = int((flagged & ~fraud).sum()), int((flagged & fraud).sum())
    table = Table(
        title=f"{one.title}: {wrong:,} genuine payments flagged by each", box=box.SIMPLE_HEAD
    )
    for title in ("Detector", "frauds found", f"of {fraud.sum():,}", "beside the rules", "s"):
        table.add_column(title, justify="left" if title == "Detector" else "right")
    table.add_row("Rules", f"{right:,}", f"{right / fraud.sum():.1%}", "", "")
    for name, detector in DETECTORS.items():
        started = time.perf_counter()
        frauds = found(fraud, one.scores(detector), wrong)
        seconds = time.perf_counter() - started
        more = f"{(frauds - right) / right:+.0%}"
        table.add_row(name, f"{frauds:,}", f"{frauds / fraud.sum():.1%}", more, f"{seconds:.1f}")
    table.caption = f"{len(one.rows.train):,} payments to learn from, {len(fraud):,} to judge on"
    console.print(table)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Rules beside detectors at equal false positives.")
    parser.add_argument(
        "--payments", type=int, default=200_000, help="how many payments to simulate"
    )
    payments = parser.parse_args().payments
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "payments.parquet"
        write(simulate(payments, fraud_rate=0.01, seed=1), file)
        project = load_project(EXAMPLES / "payments")
        show(
            case("Simulated payments", project, file, "time:70/30", PAYMENT_RULES, PAYMENT_INPUTS),
            console,
        )
    handbook = os.environ.get("SHROFF_BENCH_DATA")
    if handbook:
        names = runpy.run_path(str(EXAMPLES / "handbook" / "informed.py"))
        project = names["project"]
        title, suspicious = "The handbook's payments", names["suspicious"]
        show(
            case(title, project, Path(handbook), project.split, HANDBOOK_RULES, suspicious), console
        )


if __name__ == "__main__":
    main()
