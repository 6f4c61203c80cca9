"""Out-of-fold scores: no row is scored by a detector that learned from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from shroff.arrays import Matrix, Scores
from shroff.detect.base import ALL_NUMERIC, Detector
from shroff.detect.crossfit import out_of_fold_scores
from shroff.detect.linear import LogisticRegression
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
