"""What `benchmarks.train` compares a run with: the same work as a script of one's own would do it.

Polars reads and builds the features, LightGBM learns with the parameters of `BoostedTrees`, SciPy
and scikit-learn calibrate and measure. Held-out scores come from the same days: each fit learns
from what lies before the judged days and the delay. The fits follow each other, each on as many
threads as it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import lightgbm
import numpy as np
import polars as pl
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

from benchmarks.features_peers import COLUMNS, with_polars
from shroff.arrays import Array, Bools, Floats, Ints, Matrix
from shroff.evaluate import TemporalSplit
from shroff.experiment.folds import within

NOMINAL: Final = ("mcc", "request_country", "account_country")
PARAMETERS: Final[dict[str, Any]] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "max_depth": 4,
    "num_leaves": 16,
    "min_data_in_leaf": 20,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "feature_fraction": 0.8,
    "lambda_l2": 1.0,
    "max_bin": 4095,
    "seed": 0,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
"""Those of `BoostedTrees()`."""
TREES: Final = 300
REPLICATES: Final = 200
PERMUTED_ROWS: Final = 5_000
PERMUTATIONS: Final = 3
Stage = Callable[[str], None]


def run(source: Path, split: TemporalSplit, *, threads: int, done: Stage) -> float:
    """The whole work; `done` is called after each stage with its name."""
    frame = pl.read_parquet(source).sort("at", maintain_order=True)
    done("read")
    frame = frame.hstack(with_polars(frame).drop("id"))
    done("features")
    day = frame["at"].to_numpy().astype("datetime64[D]")
    learn, judge = _parts(day, split)
    X, y = _inputs(frame, learn), frame["fraud"].to_numpy()
    held: list[Ints] = []
    scores: list[Floats] = []
    for fold in within(split):
        before, after = _parts(day, fold)
        scores.append(_predict(_fit(X[before], y[before], threads), X[after], threads))
        held.append(after)
    booster = _fit(X[learn], y[learn], threads)
    later, unseen = np.concatenate(held), np.concatenate(scores)
    platt = LogisticRegression(C=1e6).fit(unseen[:, None], y[later])
    done("fits")
    threshold = _best_threshold(y[later], _calibrated(platt, unseen))
    cards = frame["customer"].rank("dense").to_numpy().astype(np.int64)
    found = {}
    for name, rows in (("train", learn), ("test", judge)):
        probability = _calibrated(platt, _predict(booster, X[rows], threads))
        found[name] = _figures(y[rows], probability, threshold, day[rows], cards[rows])
    done("figures")
    _check(booster, X[learn], y[learn], X[judge], threads)
    done("doctor")
    _intervals(y[judge], probability, cards[judge])
    _importances(booster, X[judge], y[judge], threads)
    done("evaluation")
    return found["test"]["average_precision"]


def bare(source: Path, split: TemporalSplit, *, threads: int, done: Stage) -> float:
    """One fit on the training part; reading and features are not counted."""
    frame = pl.read_parquet(source).sort("at", maintain_order=True)
    frame = frame.hstack(with_polars(frame).drop("id"))
    learn, judge = _parts(frame["at"].to_numpy().astype("datetime64[D]"), split)
    X, y = _inputs(frame, learn), frame["fraud"].to_numpy()
    done("before")
    booster = _fit(X[learn], y[learn], threads)
    done("fits")
    return float(metrics.average_precision_score(y[judge], _predict(booster, X[judge], threads)))


def _parts(day: Array, split: TemporalSplit) -> tuple[Ints, Ints]:
    """Rows to learn from and to judge."""
    start = np.datetime64(split.start, "D")
    learned = start + np.timedelta64(split.train_days, "D")
    first = learned + np.timedelta64(split.delay_days, "D")
    last = first + np.timedelta64(split.test_days, "D")
    return (
        np.flatnonzero((day >= start) & (day < learned)),
        np.flatnonzero((day >= first) & (day < last)),
    )


def _inputs(frame: pl.DataFrame, learn: Ints) -> Matrix:
    """float32 [rows, columns]: numbers standardised, names as codes, both by the training rows."""
    numbers = frame.select(pl.col("cents") / 100, *COLUMNS).to_numpy().astype(np.float32)
    scaled = (numbers - numbers[learn].mean(axis=0)) / numbers[learn].std(axis=0)
    codes = []
    for name in NOMINAL:
        known = frame[name][learn].unique().sort().drop_nulls()
        codes.append(
            frame[name]
            .cast(pl.Enum(known), strict=False)
            .to_physical()
            .fill_null(len(known))
            .to_numpy()
        )
    return np.column_stack([scaled, *codes]).astype(np.float32)


def _fit(X: Matrix, y: Bools, threads: int) -> lightgbm.Booster:
    given = PARAMETERS | {"num_threads": threads}
    nominal = list(range(X.shape[1] - len(NOMINAL), X.shape[1]))
    data = lightgbm.Dataset(X, y, categorical_feature=nominal, params=given)
    return lightgbm.train(given, data, num_boost_round=TREES)


def _predict(booster: lightgbm.Booster, X: Matrix, threads: int) -> Floats:
    return np.asarray(booster.predict(X, raw_score=True, num_threads=threads), dtype=np.float64)


def _calibrated(platt: LogisticRegression, scores: Floats) -> Floats:
    found: Floats = platt.predict_proba(scores[:, None])[:, 1]
    return found


def _best_threshold(y: Bools, probability: Floats) -> float:
    precision, recall, cuts = metrics.precision_recall_curve(y, probability)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(cuts[np.argmax(f1[:-1])])


def _figures(
    y: Bools, probability: Floats, threshold: float, day: Array, cards: Ints
) -> dict[str, float]:
    flagged = probability >= threshold
    return {
        "accuracy": metrics.accuracy_score(y, flagged),
        "precision": metrics.precision_score(y, flagged),
        "recall": metrics.recall_score(y, flagged),
        "f1": metrics.f1_score(y, flagged),
        "roc_auc": metrics.roc_auc_score(y, probability),
        "average_precision": float(metrics.average_precision_score(y, probability)),
        "brier": metrics.brier_score_loss(y, probability),
        "log_loss": metrics.log_loss(y, probability),
        "calibration_error": _calibration_error(y, probability),
        "card_precision": _card_precision(day, cards, y, probability),
    }


def _calibration_error(y: Bools, probability: Floats, bins: int = 15) -> float:
    place = np.minimum((probability * bins).astype(int), bins - 1)
    gaps = np.bincount(place, y, bins) - np.bincount(place, probability, bins)
    return float(np.abs(gaps).sum() / len(y))


def _card_precision(day: Array, cards: Ints, y: Bools, probability: Floats, k: int = 100) -> float:
    table = pl.DataFrame({"day": day, "card": cards, "p": probability, "fraud": y})
    daily = table.group_by("day", "card").agg(pl.col("p").max(), pl.col("fraud").any())
    caught: set[int] = set()
    found = []
    for _, today in daily.sort("day", "card").group_by("day", maintain_order=True):
        top = today.filter(~pl.col("card").is_in(list(caught))).top_k(k, by="p")
        hits = top.filter("fraud")["card"]
        caught.update(hits)
        found.append(len(hits) / k)
    return float(np.mean(found))


def _check(booster: lightgbm.Booster, X: Matrix, y: Bools, held: Matrix, threads: int) -> None:
    """Inputs that give the label away, and scores that fail on a gap or depend on the order."""
    for column in X.T:
        metrics.roc_auc_score(y, np.nan_to_num(column))
    some = held[np.linspace(0, len(held) - 1, 1_000).astype(int)]
    expected = _predict(booster, some, threads)
    if not np.allclose(expected[::-1], _predict(booster, some[::-1], threads)):
        raise SystemExit("scores depend on the order of rows")
    for column in range(X.shape[1] - len(NOMINAL)):
        gap = some[::10].copy()
        gap[:, column] = np.nan
        if not np.isfinite(_predict(booster, gap, threads)).all():
            raise SystemExit(f"no score without input {column}")


def _intervals(y: Bools, probability: Floats, cards: Ints) -> Floats:
    """95 % of ROC AUC and average precision, cards resampled; computed over bins of probability."""
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, 1_000)))
    place = np.searchsorted(edges, probability, side="right")
    _, number = np.unique(cards, return_inverse=True)
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(REPLICATES):
        weight = random.poisson(1.0, number.max() + 1)[number]
        frauds = np.bincount(place[y], weight[y], len(edges) + 1)[::-1]
        genuine = np.bincount(place[~y], weight[~y], len(edges) + 1)[::-1]
        caught, flagged = frauds.cumsum(), (frauds + genuine).cumsum()
        area = (genuine * (caught - frauds / 2)).sum() / (frauds.sum() * genuine.sum())
        precise = (frauds * caught / np.maximum(flagged, 1)).sum() / frauds.sum()
        drawn.append((area, precise))
    found: Floats = np.percentile(drawn, [2.5, 97.5], axis=0)
    return found


def _importances(booster: lightgbm.Booster, X: Matrix, y: Bools, threads: int) -> list[float]:
    """The fall of average precision where an input is shuffled."""
    random = np.random.default_rng(0)
    frauds = random.permutation(np.flatnonzero(y))[: PERMUTED_ROWS // 2]
    rows = np.append(frauds, random.permutation(np.flatnonzero(~y))[: PERMUTED_ROWS - len(frauds)])
    X, y = X[rows], y[rows]
    before = metrics.average_precision_score(y, _predict(booster, X, threads))
    found = []
    for column in range(X.shape[1]):
        fall = 0.0
        for _ in range(PERMUTATIONS):
            shuffled = X.copy()
            shuffled[:, column] = random.permutation(shuffled[:, column])
            fall += before - metrics.average_precision_score(
                y, _predict(booster, shuffled, threads)
            )
        found.append(fall / PERMUTATIONS)
    return found
