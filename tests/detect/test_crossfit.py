"""Out-of-fold scores: no row is scored by a detector that learned from it."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Barrier
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from sklearn.base import clone

from shroff.arrays import Matrix, Scores
from shroff.detect.base import ALL_NUMERIC, Detector
from shroff.detect.checks import planted
from shroff.detect.concurrency import run_at_once, score_at_once
from shroff.detect.crossfit import fit_and_hold_out, held_out_scores, out_of_fold_scores, rows_of
from shroff.detect.forest import IsolationForest
from shroff.detect.linear import LogisticRegression
from shroff.detect.trees import BoostedTrees
from shroff.errors import ConfigurationError, DataError


class Memory(Detector):
    """Scores 1 for a row it learned from, 0 for others."""

    name: ClassVar[str] = "memory"
    needs_labels: ClassVar[bool] = False

    def fit(
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> Self:
        self.seen_ = X[:, 0].copy()
        self.n_features_in_ = X.shape[1]
        return self

    def score(self, X: Matrix) -> Scores:
        return np.isin(X[:, 0], self.seen_).astype(np.float64)

    def to_onnx(self) -> onnx.ModelProto:
        raise NotImplementedError


def payments(rows: int = 300) -> tuple[Matrix, npt.NDArray[np.bool_]]:
    X = (np.arange(rows)[:, None] / rows).astype(np.float32)
    return X, np.arange(rows) % 10 == 0


def test_no_row_is_scored_by_a_detector_that_saw_it() -> None:
    X, fraud = payments()
    assert out_of_fold_scores(Memory(), X, fraud).tolist() == [0.0] * len(X)


def test_scores_come_in_the_order_of_the_rows_and_depend_on_the_seed() -> None:
    X, _ = payments()
    fraud = X[:, 0] > 0.6
    detector = LogisticRegression(C=100.0)
    scores = out_of_fold_scores(detector, X, fraud, folds=5)
    assert np.corrcoef(scores, X[:, 0])[0, 1] > 0.95
    assert np.array_equal(scores, out_of_fold_scores(detector, X, fraud, folds=5))
    assert not np.array_equal(scores, out_of_fold_scores(detector, X, fraud, folds=5, seed=1))
    assert not hasattr(detector, "n_features_in_")


def test_nominal_columns_reach_the_detector() -> None:
    X = np.tile([[0.0], [1.0], [2.0]], (40, 1)).astype(np.float32)
    fraud = (X[:, 0] == 1.0) & (np.arange(120) % 4 > 0)
    one_hot = out_of_fold_scores(LogisticRegression(), X, fraud, nominal={0: 3})
    assert one_hot[X[:, 0] == 1].min() > one_hot[X[:, 0] != 1].max()


def test_too_few_rows_of_a_kind_are_refused() -> None:
    X, fraud = payments(20)
    assert out_of_fold_scores(Memory(), X, fraud).tolist() == [0.0] * 20  # two frauds, so two folds
    with pytest.raises(DataError, match="at least 2 frauds and 2 genuine rows"):
        out_of_fold_scores(Memory(), X[:10], fraud[:10])
    with pytest.raises(ConfigurationError, match="at least 2 folds"):
        out_of_fold_scores(Memory(), X, fraud, folds=1)


class Broken(Memory):
    """Scores NaN."""

    def score(self, X: Matrix) -> Scores:
        return np.full(len(X), np.nan)


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(DataError, match="others from Broken"):
        out_of_fold_scores(Broken(), *payments())


@pytest.fixture(params=[1, 2, 5])
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("shroff.detect.concurrency.available_cores", lambda: request.param)
    return int(request.param)


@pytest.mark.parametrize("detector", [BoostedTrees(n_trees=20), IsolationForest(n_trees=20)])
def test_fits_at_the_same_time_are_those_of_one_after_the_other(
    detector: Detector, cores: int
) -> None:
    X, fraud, nominal = planted()
    rows = np.arange(len(X))
    folds = [(rows[:300], rows[350:400]), (rows[:400], rows[450:500]), (rows[::2], rows[501::2])]
    alone = clone(detector).fit(X, fraud, nominal=nominal)
    expected = np.zeros(len(X))
    for learn, hold in folds:
        fitted = clone(detector).fit(X[learn], fraud[learn], nominal=nominal)
        expected[hold] = fitted.score(X[hold])
    fitted, held, scores = fit_and_hold_out(clone(detector), X, fraud, folds, nominal=nominal)
    assert fitted.to_onnx().SerializeToString() == alone.to_onnx().SerializeToString()
    assert held.tolist() == sorted(row for _, hold in folds for row in hold)
    assert scores.tolist() == expected[held].tolist()
    assert (
        held_out_scores(detector, X, fraud, folds, nominal=nominal)[1].tolist() == scores.tolist()
    )
    many = np.tile(X, (100, 1))
    assert score_at_once(fitted, many).tolist() == fitted.score(many).tolist()


class Meeting(Memory):
    """Fits no sooner than another clone fits, too."""

    door = Barrier(2, timeout=30)

    @property
    def cores_per_fit(self) -> int | None:
        return 1

    def fit(
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> Self:
        self.door.wait()
        return super().fit(X, y, nominal=nominal)


def test_the_last_fit_runs_beside_the_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shroff.detect.concurrency.available_cores", lambda: 2)
    X, fraud = payments()
    fit_and_hold_out(Meeting(), X, fraud, [(np.arange(200), np.arange(200, 300))])


def test_the_first_error_is_raised_and_later_jobs_do_not_start() -> None:
    started: list[int] = []

    def job(number: int) -> None:
        started.append(number)
        raise ValueError(f"job {number}")

    with pytest.raises(ValueError, match="job 0"):
        run_at_once([lambda number=number: job(number) for number in range(50)], 1)  # type: ignore[misc]
    assert started == [0]


def test_rows_that_follow_each_other_are_not_copied() -> None:
    X, _ = payments(10)
    assert np.shares_memory(rows_of(X, np.arange(2, 7)), X)
    for rows in ([2, 3, 3, 5], [2, 4, 3, 5], [5], []):
        assert rows_of(X, np.array(rows, dtype=np.int64)).tolist() == X[rows].tolist()
