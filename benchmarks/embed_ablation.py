"""Whether features of token vectors, links and journeys find more fraud, on the same payments.

    SHROFF_BENCH_DATA=handbook.parquet python -m benchmarks.embed_ablation --out arms.jsonl \\
        [--payments 30000] [--seeds 5] [--coles-python COLES/bin/python]

Boosted trees and the GAN learn from the inputs of the example's project (`velocity`), and with
the payment's vector, habits and distances (`vectors`), with links and journeys (`links`), and with
both; the trees also with the states of CoLES (`coles`), learned from the same columns of the same
payments by pytorch-lifestream (see `embed_coles.py`). Both kinds of vectors are learned before the
test begins.

All payments are in the features, and 30 % of the genuine ones of the training part are learned
from. AP is average precision on the test part, `value` the share of the frauds' amounts among the
most suspicious 0.5 % of payments. Each is a mean over seeds; the gain is the mean of the
differences to `velocity` by seed, with its 95 % interval (Student's t). `--out` keeps a line of
JSON per finished arm, and arms that it has are not run again; without SHROFF_BENCH_DATA there is no
handbook.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table
from scipy.stats import t as student

from benchmarks.embed_logs import Case, handbook, simulated
from shroff.arrays import Bools, Floats, Ints
from shroff.detect import GAN, BoostedTrees, Detector, Preparation
from shroff.embed import learn
from shroff.evaluate import Split, average_precision, fit_split, parse_split
from shroff.experiment import Dataset
from shroff.features.engines.batch import compute_plan
from shroff.features.group import with_vectors
from shroff.features.plan import Plan

ALERTS = 0.005
GENUINE_KEPT = 0.3
"""Share of the genuine payments that are learned from; frauds are what there is too little of."""
WAYS = ("velocity", "vectors", "links", "both")
ARMS = (
    *((name, way) for name in ("BoostedTrees", "GAN") for way in WAYS),
    ("BoostedTrees", "coles"),
)
Arm = tuple[str, str]
"""Detector and features."""
Key = tuple[str, int, int, str, str]
"""The log, how many payments were asked for, seed, detector, features."""


class Figures(NamedTuple):
    """On the test part: average precision, the share of value, and how many frauds there are."""

    ap: float
    value: float
    frauds: int


def scored(
    data: Dataset, rows: Split, seed: int, detector: str = "BoostedTrees"
) -> tuple[Floats, Bools, Ints]:
    """Of the test part, by a detector fitted on the training part: scores and labels [n], and the
    rows of the alerts.
    """
    learned = data.table[rows.train]
    prepared = Preparation.learn(learned, numeric=data.numeric, nominal=data.nominal)
    found: Detector = GAN(seed=seed) if detector == "GAN" else BoostedTrees(seed=seed)
    found.fit(prepared.matrix(learned), data.y[rows.train], nominal=prepared.nominal_codes)
    scores = found.score(prepared.matrix(data.table[rows.test]))
    worst = np.argsort(-scores, kind="stable")[: round(ALERTS * len(scores))]
    return scores, data.y[rows.test], worst


def judged(data: Dataset, rows: Split, seed: int, detector: str) -> Figures:
    """The figures of one arm."""
    scores, fraud, worst = scored(data, rows, seed, detector)
    amounts = np.where(fraud, data.amount[rows.test], 0.0)
    value = float(amounts[worst].sum() / amounts.sum())
    return Figures(average_precision(fraud, scores), value, int(fraud.sum()))


class Inputs:
    """A case's payments with every feature, and what each way learns from."""

    def __init__(self, case: Case) -> None:
        plain = Dataset.build(
            case.frame,
            case.project.plan,
            inputs=case.project.inputs,
            card=case.project.card_column,
        )
        _, rows = fit_split(parse_split(case.split), plain.time, plain.y, plain.cards)
        kept = np.random.default_rng(case.seed).random(len(rows.train)) < GENUINE_KEPT
        self.rows = replace(rows, train=rows.train[kept | plain.y[rows.train]])
        self.cut = plain.time[self.rows.test].min()
        before = int(self.cut.astype("datetime64[us]").astype(int))
        found = learn(case.vectors, case.schema, case.frame, before=before)
        habits, velocity = case.habits(found), [*plain.numeric, *plain.nominal]
        plan = Plan(
            with_vectors([*case.project.features, habits, case.links], [found.table]), case.schema
        )
        added = {
            "vectors": [one.name for one in habits.definitions],
            "links": [one.name for one in case.links.definitions if one.name not in case.helpers],
        }
        self.case = case
        self.ways = {"velocity": velocity} | {
            way: [*velocity, *names] for way, names in added.items()
        }
        self.ways["both"] = [*velocity, *added["vectors"], *added["links"]]
        self.every = Dataset.build(
            case.frame,
            plan,
            features=compute_plan(plan, case.frame),
            inputs=self.ways["both"],
            card=case.project.card_column,
        )

    def of(self, way: str) -> Dataset:
        """The payments with the inputs of one way."""
        chosen = set(self.ways[way])
        return replace(
            self.every,
            numeric=tuple(name for name in self.every.numeric if name in chosen),
            nominal=tuple(name for name in self.every.nominal if name in chosen),
        )

    def with_coles(self, python: str) -> Dataset:
        """The payments with the inputs of velocity and the states of CoLES."""
        data, table = self.of("velocity"), self.every.table
        tokens = [name for name in self.case.vectors.tokens if name in data.schema.nominal]
        codes = [pl.col(name).rank("dense").fill_null(0).cast(pl.Int64) for name in tokens]
        time = pl.col(data.schema.time)
        asked = table.select(
            pl.col(self.case.card.key[0]).rank("dense").fill_null(0).alias("key"),
            (time.dt.epoch("us") // 1_000_000).alias("time"),
            pl.col(data.schema.amount).fill_null(0.0).alias("amount"),
            pl.Series("learned", data.time < self.cut),
            *codes,
            (time.dt.hour().cast(pl.Int64) + 1).alias("hour"),
        )
        with TemporaryDirectory() as folder:
            payments, states = f"{folder}/payments.parquet", f"{folder}/states.parquet"
            asked.write_parquet(payments)
            program = Path(__file__).with_name("embed_coles.py")
            command = [python, str(program), payments, states, "--seed", str(self.case.seed)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            found = pl.read_parquet(states)
        return replace(
            data,
            table=table.hstack(found.cast(pl.Float64)),
            numeric=(*data.numeric, *found.columns),
        )


def run(case: Callable[[], Case], wanted: list[Arm], coles: str) -> Iterator[tuple[Arm, Figures]]:
    """The arms of one log and seed, each as it is finished."""
    if not wanted:
        return
    inputs = Inputs(case())
    for detector, way in wanted:
        data = inputs.with_coles(coles) if way == "coles" else inputs.of(way)
        yield (detector, way), judged(data, inputs.rows, inputs.case.seed, detector)


def finished(file: Path | None) -> dict[Key, Figures]:
    """The arms that a file has."""
    if file is None or not file.exists():
        return {}
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return {tuple(line["arm"]): Figures(**line["figures"]) for line in lines}


def interval(gains: Floats) -> str:
    """The mean of paired differences with its 95 % interval."""
    if len(gains) < 2:
        return f"{gains.mean():+.3f}"
    half = student.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / np.sqrt(len(gains))
    return f"{gains.mean():+.3f} ± {half:.3f}"


def show(found: dict[Key, Figures]) -> None:
    """Print the table."""
    heads = ("log", "detector", "features", "seeds", "frauds", "AP", "gain", "value", "gain")
    table = Table(*heads, box=box.SIMPLE_HEAD)
    for log, payments in dict.fromkeys(key[:2] for key in found):
        for detector, way in ARMS:
            base, mine = (
                {
                    key[2]: one
                    for key, one in found.items()
                    if key == (log, payments, key[2], detector, name)
                }
                for name in ("velocity", way)
            )
            if mine:
                table.add_row(log, detector, way, *row(mine, base, first=way == "velocity"))
    Console(width=140).print(table)


def row(mine: dict[int, Figures], base: dict[int, Figures], *, first: bool) -> Iterator[str]:
    """Seeds, frauds, and each figure with its gain over `base`, which the first way has not."""
    yield str(len(mine))
    yield str(sum(one.frauds for one in mine.values()))
    for name in ("ap", "value"):
        yield f"{np.mean([getattr(one, name) for one in mine.values()]):.3f}"
        gains = [getattr(mine[n], name) - getattr(base[n], name) for n in mine.keys() & base.keys()]
        yield "" if first or not gains else interval(np.array(gains))


def main() -> None:
    """Run what is not finished, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--payments", type=int, default=30_000, help="of a simulated log; 0: none")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="a file of finished arms, to go on from")
    parser.add_argument("--coles-python", help="an interpreter that has pytorch-lifestream")
    given = parser.parse_args()
    if not given.coles_python:
        print(
            "CoLES is left out: name an interpreter that has pytorch-lifestream with --coles-python"
        )
    logs: dict[tuple[str, int], Callable[[int], Case]] = {}
    if given.payments:
        logs["simulated", given.payments] = partial(simulated, given.payments)
    if file := os.environ.get("SHROFF_BENCH_DATA"):
        logs["handbook", 0] = partial(handbook, Path(file))
    arms = [arm for arm in ARMS if given.coles_python or arm[1] != "coles"]
    found = finished(given.out)
    for seed, (log, make) in product(range(given.seeds), logs.items()):
        wanted = [arm for arm in arms if (*log, seed, *arm) not in found]
        for arm, figures in run(partial(make, seed), wanted, given.coles_python):
            found[*log, seed, *arm] = figures
            keep(given.out, (*log, seed, *arm), figures)
    show(found)


def keep(file: Path | None, arm: Key, figures: Figures) -> None:
    """Add a finished arm to the file."""
    line = json.dumps({"arm": arm, "figures": figures._asdict()})
    print(line, file=sys.stderr, flush=True)
    if file is not None:
        with file.open("a") as lines:
            lines.write(f"{line}\n")


if __name__ == "__main__":
    main()
