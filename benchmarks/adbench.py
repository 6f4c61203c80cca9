"""Our one-class detectors on the ADBench sets, beside published figures and PyOD's deep detectors.

    python benchmarks/adbench.py --data FOLDER [--seeds 5] [--sets thyroid,cardio]
        [--peers /path/to/python]

FOLDER holds the collection's `NUMBER_Name.npz` files with `X` and `y`. The protocol is that of
Livernoche, Jain, Hezaveh and Ravanbakhsh, On Diffusion Modeling for Anomaly Detection, ICLR 2024:
the first half of the normal rows in file order to learn from, the rest and all anomalies to judge
on; at most 50,000 rows, drawn and shuffled by the seed; z-scores by the rows to learn from; seeds 0
to 4. One default for all sets. A set of under 1,000 rows is drawn to 1,000 with replacement, as the
collection's generator does behind the published figures: rows to learn from then recur among those
to judge on, which flatters whatever remembers them. So a second mean leaves these sets out.

Prints the mean ROC AUC x 100 over the seeds and the mean seconds of one fit on one thread, by the
clock and of the processor, after a first fit on a few rows that is not counted. `--peers` names an
interpreter that has PyOD (`pip install pyod torch`); without it PyOD's columns are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

MAX_ROWS = 50_000
MIN_ROWS = 1_000
"""Smaller sets are drawn to so many rows, with replacement."""

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"
)


def on_one_thread() -> None:
    """Start this process again where its libraries may use more threads: they read how many when
    they are loaded, and NumPy is by now.
    """
    if any(os.environ.get(name) != threads for name, threads in ONE_THREAD.items()):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | ONE_THREAD)


OURS = ("DeepSVDD", "GAN", "Autoencoder", "KNN", "IsolationForest")
"""In `shroff.detect`, with the parameters they have by default."""

PEERS = {
    "pyod DeepSVDD": ("pyod.models.deep_svdd", "DeepSVDD"),
    "pyod ALAD": ("pyod.models.alad", "ALAD"),
}
"""With the parameters they have by default."""

# From the table in the README of the paper's repository: of its 26 methods, the deep ones nearest
# to ours, the two best deep ones over all sets, and the three others that are hard to beat.
PUBLISHED = """
dataset          DeepSVDD GANomaly      ICL    DTE-C  IForest      KNN   DTE-NP
aloi                50.89    53.94    47.50    50.44    50.74    51.04    51.19
amazon              51.20    53.42    54.21    56.71    56.40    60.58    60.82
annthyroid          55.01    67.52    81.11    97.52    90.28    92.81    92.90
backdoor            91.14    87.17    93.62    91.65    74.89    93.75    93.31
breastw             96.96    94.75    98.28    92.78    99.50    99.05    99.28
campaign            62.21    69.21    80.92    77.95    73.64    78.48    78.79
cardio              65.43    86.06    80.01    87.26    93.32    92.00    91.80
cardiotocography    47.75    62.77    54.20    60.13    74.24    62.11    63.76
celeba              56.17    52.25    72.21    82.18    71.23    73.14    70.40
census              54.16    68.07    70.56    69.62    62.55    72.26    72.10
cover               49.12    76.35    89.34    97.76    86.31    97.54    97.73
donors              72.95    75.34    99.90    98.15    89.44    99.49    99.26
fault               54.31    59.50    60.63    59.46    55.86    58.73    58.64
fraud               83.13    93.25    92.78    93.52    94.73    95.43    95.64
glass               83.67    79.77    99.44    92.42    81.09    92.04    89.64
hepatitis           99.57    87.39    99.94    98.78    82.69    96.46    93.22
http                61.31    50.14    98.24    99.45    99.35   100.00    99.98
imdb                49.97    51.58    52.34    48.05    49.53    50.08    50.43
internetads         72.96    69.86    72.20    77.57    47.87    68.08    69.96
ionosphere          97.20    93.89    98.98    95.42    91.21    97.44    97.77
landsat             59.44    55.34    65.13    52.79    58.80    68.25    68.20
letter              36.40    34.02    42.68    36.72    32.04    35.43    34.38
lymphography        99.73    99.09   100.00    98.99    99.45    99.93    99.93
magic.gamma         62.97    59.18    75.56    87.50    77.09    83.27    83.57
mammography         71.50    85.54    71.87    86.42    88.02    87.58    87.62
mnist               66.37    77.90    90.11    87.43    86.60    93.85    94.02
musk                99.99   100.00    99.37   100.00    90.58   100.00   100.00
optdigits           39.45    74.30    97.18    82.38    81.07    93.72    94.28
pageblocks          78.39    72.83    88.39    89.89    82.64    89.65    89.32
pendigits           46.29    67.93    96.71    97.79    97.22    99.87    99.61
pima                57.99    60.45    79.68    69.88    74.26    76.94    81.50
satellite           76.19    79.87    85.15    78.61    77.46    82.24    82.11
satimage-2          92.94    97.57    99.48    99.34    99.12    99.71    99.67
shuttle             99.79    97.53    99.92    99.75    99.65    99.91    99.93
skin                59.95    48.48     6.58    91.77    89.42    99.49    98.86
smtp                85.24    54.55    74.36    95.27    90.36    92.43    92.98
spambase            70.24    82.57    83.53    83.01    85.18    83.36    83.74
speech              48.88    38.70    48.86    38.17    37.70    36.36    41.37
stamps              71.09    66.20    96.68    91.60    93.47    95.89    97.87
thyroid             88.77    94.78    95.40    98.74    98.96    98.68    98.63
vertebral           44.79    50.67    79.19    66.41    45.64    57.67    54.30
vowels              55.73    63.11    85.10    86.93    61.83    82.21    81.42
waveform            59.94    75.95    68.68    65.21    72.29    75.21    74.48
wbc                 91.44    95.91    99.66    80.53    99.41    99.12    99.54
wdbc                99.31    96.22    99.78    98.48    98.73    99.05    99.52
wilt                34.41    44.01    76.42    85.10    47.97    63.66    62.91
wine                92.16    74.32    99.87    99.97    93.92    99.19    99.44
wpbc                82.67    60.11    96.61    68.88    56.33    63.67    83.16
yeast               47.62    47.64    48.98    47.08    41.80    44.74    44.58
yelp                49.90    56.11    55.79    59.94    61.07    68.07    68.66
mnist-c             64.70    80.08    85.62    86.10    76.75    84.11    84.74
fashionmnist        75.45    89.43    90.56    90.21    84.15    89.87    90.14
cifar10             56.12    67.19    63.60    68.53    64.04    67.53    67.82
svhn                53.92    61.25    61.70    62.91    58.99    61.69    62.13
mvtec-ad            89.55    81.10    94.75    89.39    77.38    81.51    89.66
20news              55.64    59.68    61.30    64.30    54.91    57.36    59.97
agnews              49.83    58.63    62.55    68.16    58.43    67.05    67.98
"""


class Cell(NamedTuple):
    """ROC AUC x 100, and what a fit took."""

    auc: float
    seconds: float
    processor: float


class Split(NamedTuple):
    """Z-scored rows to learn from and to judge on; `fraud` tells the anomalies of the latter."""

    train: npt.NDArray[np.float32]
    test: npt.NDArray[np.float32]
    fraud: npt.NDArray[np.bool_]


def split(path: Path, seed: int) -> Split:
    """One set as the protocol splits it."""
    with np.load(path) as file:
        X, y = file["X"].astype(np.float64), file["y"].astype(np.int64)
    if len(X) < MIN_ROWS:
        drawn = np.random.RandomState(seed).choice(len(X), MIN_ROWS, replace=True)
        X, y = X[drawn], y[drawn]
    if len(X) > MAX_ROWS:
        drawn = np.random.default_rng(seed).permutation(len(X))[:MAX_ROWS]
        X, y = X[drawn], y[drawn]
    normal = np.flatnonzero(y == 0)
    learn = np.zeros(len(y), dtype=np.bool_)
    learn[normal[: len(normal) // 2]] = True
    mean, std = X[learn].mean(axis=0), X[learn].std(axis=0)
    Z = ((X - mean) / np.where(std > 0, std, 1.0)).astype(np.float32)
    return Split(Z[learn], Z[~learn], y[~learn] == 1)


def roc_auc(fraud: npt.NDArray[np.bool_], score: npt.NDArray[np.float64]) -> float:
    """Area under the ROC curve x 100, ties counted by half."""
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    frauds = int(fraud.sum())
    above = float(rank[fraud].sum()) - frauds * (frauds + 1) / 2
    return 100.0 * above / (frauds * (len(fraud) - frauds))


def measure(path: Path, seed: int, names: Iterable[str]) -> dict[str, Cell]:
    """Our detectors of those names on one set of one seed."""
    part, found = split(path, seed), {}
    for name in names:
        detector = getattr(importlib.import_module("shroff.detect"), name)()
        if "seed" in detector.get_params():
            detector.set_params(seed=seed)
        spent = fit(detector, part)
        found[name] = Cell(roc_auc(part.fraud, detector.score(part.test)), *spent)
    return found


def fit(detector: Any, part: Split) -> tuple[float, float]:
    """Seconds by the clock and of the processor, when a detector of the kind has learned before in
    this process.
    """
    if type(detector) not in _KNOWN:
        copy.deepcopy(detector).fit(part.train[:64])
        _KNOWN.add(type(detector))
    start, worked = time.perf_counter(), time.process_time()
    detector.fit(part.train)
    return time.perf_counter() - start, time.process_time() - worked


_KNOWN: set[type] = set()


def measure_peers(python: str, path: Path, seed: int, theirs: str) -> dict[str, Cell]:
    """PyOD's detectors in another interpreter, none where it fails: standard error tells why."""
    command = [python, __file__, "--data", str(path), "--peer-seed", str(seed), "--theirs", theirs]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        print(
            f"PyOD skipped on {path.stem}: {run.stderr.strip().splitlines()[-1]}", file=sys.stderr
        )
        return {}
    return {
        name: Cell(*figures) for name, figures in json.loads(run.stdout.splitlines()[-1]).items()
    }


def be_peer(path: Path, seed: int, names: Iterable[str]) -> None:
    """What `measure_peers` starts: prints detector to the figures of a cell as JSON."""
    part, found = split(path, seed), {}
    with contextlib.redirect_stdout(sys.stderr):
        torch = importlib.import_module("torch")
        torch.set_num_threads(1)
        for name in names:
            home, kind = PEERS[name]
            torch.manual_seed(seed)
            demanded: dict[str, Any] = (
                {"n_features": part.train.shape[1]} if kind == "DeepSVDD" else {}
            )
            detector = getattr(importlib.import_module(home), kind)(**demanded)
            spent = fit(detector, part)
            found[name] = [roc_auc(part.fraud, detector.decision_function(part.test)), *spent]
    print(json.dumps(found))


def mean(cells: list[dict[str, Cell]]) -> dict[str, Cell]:
    """The mean over the seeds, for each detector that every seed has."""
    shared = [name for name in cells[0] if all(name in cell for cell in cells)]
    return {
        name: Cell(*np.mean([cell[name] for cell in cells], axis=0).tolist()) for name in shared
    }


def sets(folder: Path) -> dict[str, Path]:
    """The files of a folder by the name of their set, in lower case."""
    return {path.stem.split("_", 1)[-1].lower(): path for path in sorted(folder.glob("*.npz"))}


def rows(path: Path) -> int:
    """How many rows a set has."""
    with np.load(path) as file:
        return len(file["y"])


def results(given: argparse.Namespace) -> Iterator[tuple[str, dict[str, Cell]]]:
    """Each set with what was measured on it."""
    found = sets(given.data)
    wanted = sorted(found) if given.sets is None else given.sets.lower().split(",")
    for name in wanted:
        cells = mean(
            [measure(found[name], seed, given.ours.split(",")) for seed in range(given.seeds)]
        )
        if given.peers:
            cells |= mean(
                [
                    measure_peers(given.peers, found[name], seed, given.theirs)
                    for seed in range(given.peer_seeds)
                ]
            )
        print(
            name,
            " ".join(f"{cell.auc:.2f}" for cell in cells.values()),
            file=sys.stderr,
            flush=True,
        )
        yield name, cells


def published() -> dict[str, dict[str, float]]:
    """Data set in lower case to method to figure."""
    header, *rows = [text.split() for text in PUBLISHED.strip().splitlines()]
    return {
        name: dict(zip(header[1:], map(float, figures), strict=True)) for name, *figures in rows
    }


def column(cells: dict[str, dict[str, Cell]], figure: str) -> dict[str, dict[str, float]]:
    """Data set to detector to one figure."""
    return {
        name: {detector: getattr(cell, figure) for detector, cell in row.items()}
        for name, row in cells.items()
    }


def show(title: str, table: dict[str, dict[str, float]], large: set[str]) -> None:
    """Print a table with the mean over those sets that have every figure, and over those of them
    that are large.
    """
    columns = list(dict.fromkeys(column for figures in table.values() for column in figures))
    full = {name: row for name, row in table.items() if len(row) == len(columns)}
    means = {f"mean of {len(full)}": average(full.values(), columns)}
    if not full.keys() <= large:
        kept = [row for name, row in full.items() if name in large]
        means[f"of {len(kept)} from {MIN_ROWS} rows"] = average(kept, columns)
    print(f"\n{title}\n{'':<20}" + "".join(f"{column:>16}" for column in columns))
    for name, figures in (table | means).items():
        cells = [f"{figures[column]:.2f}" if column in figures else "-" for column in columns]
        print(f"{name:<20}" + "".join(f"{cell:>16}" for cell in cells))


def average(lines: Collection[dict[str, float]], columns: Iterable[str]) -> dict[str, float]:
    """The mean of each column over a table's lines, if there are any."""
    return {name: float(np.mean([one[name] for one in lines])) for name in columns} if lines else {}


def options() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of the collection's npz files"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", help="data sets by name, separated by commas; all by default")
    parser.add_argument("--ours", default=",".join(OURS), help="our detectors to run")
    parser.add_argument("--peers", help="an interpreter that has PyOD")
    parser.add_argument("--theirs", default=",".join(PEERS), help="PyOD's detectors to run")
    parser.add_argument(
        "--peer-seeds", type=int, default=1, help="PyOD is slow: fewer seeds for it"
    )
    parser.add_argument("--peer-seed", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    on_one_thread()
    given = options()
    if given.peer_seed is not None:
        be_peer(given.data, given.peer_seed, given.theirs.split(","))
        return
    if not given.peers:
        print(
            "PyOD's columns are left out: name an interpreter that has it with --peers",
            file=sys.stderr,
        )
    cells = dict(results(given))
    known, paths = published(), sets(given.data)
    large = {name for name in cells if rows(paths[name]) >= MIN_ROWS}
    for title, table in (
        ("Measured here: ROC AUC x 100", column(cells, "auc")),
        ("Published: ROC AUC x 100", {name: known[name] for name in cells if name in known}),
        ("Seconds of one fit", column(cells, "seconds")),
        ("Processor seconds of one fit", column(cells, "processor")),
    ):
        show(title, table, large)


if __name__ == "__main__":
    main()
