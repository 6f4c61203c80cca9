"""What unlabelled frauds among the training rows cost detectors that learn without labels.

    python -m benchmarks.contamination --data ADBENCH [--sets thyroid,cardio]
    SHROFF_BENCH_DATA=handbook.parquet python -m benchmarks.contamination

The sets are split as in `adbench.py`. Half of the anomalies are always judged; of the other half as
many join the rows to learn from as the share asks for, and where they are too few, fewer normal
rows are learned from. On the handbook's payments 10,000 genuine payments are learned from, and
frauds of the same days join them; the first two validation folds are judged. Prints the mean ROC
AUC x 100 by share, with every default (and one side on the handbook's payments); `declared` means
that `contamination` names the share.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from benchmarks.adbench import Split, on_one_thread, roc_auc, sets, split

SHARES: Final = (0.0, 0.005, 0.02, 0.05)
GENUINE: Final = 10_000
Study = tuple[str, Callable[[float], Split], Mapping[str, Any]]
"""A title, the rows by share of frauds, and what its detectors are given."""


def detectors(share: float, how: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Each detector by its name in the table."""
    from shroff.detect import GAN, KNN, DeepSVDD, IsolationForest

    found = {
        kind.__name__: kind(seed=seed, **how) for kind in (DeepSVDD, GAN, KNN, IsolationForest)
    }
    return found | {
        f"{kind.__name__}, declared": kind(seed=seed, contamination=share, **how)
        for kind in (DeepSVDD, GAN)
    }


def dirty(part: Split, share: float, *, seed: int) -> Split:
    """The set with a share of anomalies among the rows to learn from, scaled by these."""
    rng = np.random.default_rng(seed)
    anomalies = rng.permutation(np.flatnonzero(part.fraud))
    judged, spare = np.split(anomalies, [(len(anomalies) + 1) // 2])
    wanted = round(share / (1.0 - share) * len(part.train))
    learned = part.train
    if wanted > len(spare):
        fewer, wanted = int(len(spare) * (1.0 - share) / share), len(spare)
        learned = learned[np.sort(rng.choice(len(learned), fewer, replace=False))]
    learned = np.concatenate([learned, part.test[spare[:wanted]]])
    rows = np.concatenate([np.flatnonzero(~part.fraud), judged])
    return scaled(learned, part.test[rows], part.fraud[rows])


def scaled(
    learned: npt.NDArray[Any], judged: npt.NDArray[Any], fraud: npt.NDArray[np.bool_]
) -> Split:
    """Z-scores by the rows to learn from."""
    mean, std = learned.mean(axis=0), learned.std(axis=0)
    z = [
        ((rows - mean) / np.where(std > 0, std, 1.0)).astype(np.float32)
        for rows in (learned, judged)
    ]
    return Split(z[0], z[1], fraud)


def adbench(folder: Path, names: str | None, seed: int) -> Iterator[Study]:
    """The sets of a folder."""
    found = sets(folder)
    for name in found if names is None else names.lower().split(","):
        part = split(found[name], seed)
        yield name, partial(dirty, part, seed=seed), {}


def handbook(file: Path, seed: int) -> Iterator[Study]:
    """The handbook's suspicious inputs, by validation fold."""
    from benchmarks.handbook import VALIDATION, Bench

    bench = Bench.load(file)
    X = bench.data.table.select(bench.inputs["suspicious"]).to_numpy().astype(np.float64)
    X, y = np.nan_to_num(X), bench.data.y
    for at, fold in enumerate(VALIDATION[:2]):
        rows = bench.split(fold, 7)

        def drawn(share: float, rows: Any = rows) -> Split:
            rng = np.random.default_rng(seed)
            genuine = rng.choice(rows.train[~y[rows.train]], GENUINE, replace=False)
            frauds = rng.permutation(rows.train[y[rows.train]])
            wanted = round(share / (1.0 - share) * GENUINE)
            learned = np.concatenate([genuine, frauds[:wanted]])
            return scaled(X[learned], X[rows.test], y[rows.test])

        yield f"handbook, fold {at + 1}", drawn, {"side": "upper"}


def measure(study: Study, seed: int) -> dict[str, list[float]]:
    """ROC AUC x 100 by detector, a figure per share."""
    _, rows, how = study
    found: dict[str, list[float]] = {}
    for share in SHARES:
        part = rows(share)
        for name, detector in detectors(share, how, seed).items():
            if share == 0.0 and "declared" in name:
                figure = found[name.split(",")[0]][0]  # nothing to declare: the same detector
            else:
                figure = roc_auc(part.fraud, detector.fit(part.train).score(part.test))
            found.setdefault(name, []).append(figure)
    return found


def show(title: str, figures: Mapping[str, list[float]]) -> Table:
    """A row per detector, a column per share."""
    table = Table("detector", *(f"{share:.1%}" for share in SHARES), title=title)
    for name, row in figures.items():
        table.add_row(name, *(f"{figure:.2f}" for figure in row))
    return table


def main() -> None:
    """Print a table per study, and their mean."""
    on_one_thread()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of ADBench's npz files")
    parser.add_argument("--sets", help="data sets by name, separated by commas; all by default")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    payments = os.environ.get("SHROFF_BENCH_DATA")
    if (given.data is None) == (payments is None):
        parser.error("name a folder by --data, or the handbook's payments by SHROFF_BENCH_DATA")
    studies = (
        adbench(given.data, given.sets, given.seed)
        if payments is None
        else handbook(Path(payments), given.seed)
    )
    console, found = Console(width=100), []
    for study in studies:
        found.append(measure(study, given.seed))
        console.print(show(study[0], found[-1]))
    means = {name: np.mean([one[name] for one in found], axis=0).tolist() for name in found[0]}
    console.print(show(f"mean of {len(found)}", means))


if __name__ == "__main__":
    main()
