"""Contributions: what each input adds is the score, but for a constant, and points where the score points."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from detect.rows import NOMINAL, payments
from shroff.detect import KNN, BoostedTrees, Detector, LinearSVM, LogisticRegression
from shroff.detect.base import Explaining, Matrix

X, FRAUD = payments(1_000)


def added(detector: Detector, rows: Matrix) -> np.ndarray:
    assert isinstance(detector, Explaining)
    graph = detector.contributions_to_onnx()
    assert graph is not None
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["contributions"], {"X": rows})[0], dtype=np.float64)


@pytest.mark.parametrize("detector", [BoostedTrees(n_trees=60), LogisticRegression(), LinearSVM()], ids=str)
def test_they_add_up_to_the_score(detector: Detector) -> None:
    fitted = detector.fit(X, FRAUD, nominal=NOMINAL)
    parts = added(fitted, X)
    assert parts.shape == X.shape
    rest = fitted.score(X) - parts.sum(axis=1)
    assert np.ptp(rest) < 1e-4
    # the first column and code 2 of the second tell fraud
    assert np.abs(parts).mean(axis=0).argsort()[::-1][:2].tolist() == [0, 1]
    high = np.nan_to_num(X[:, 0]) > 1.5
    assert (parts[high, 0] > 0).mean() > 0.9
    assert parts[X[:, 1] == 2, 1].mean() > parts[X[:, 1] != 2, 1].mean()


def test_a_tree_credits_the_change_of_the_mean_on_the_way_down() -> None:
    rows = np.repeat([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], 50, axis=0).astype(np.float32)
    fraud = (rows[:, 0] > 0) & (rows[:, 1] > 0)
    stump = BoostedTrees(n_trees=1, max_depth=1, num_leaves=2, subsample=1.0, colsample=1.0).fit(rows, fraud)
    parts = added(stump, rows)
    asked = int(np.abs(parts).sum(axis=0).argmax())
    assert np.allclose(parts[:, 1 - asked], 0.0)
    assert np.allclose(parts[:, asked], stump.score(rows) - stump.score(rows).mean(), atol=1e-6)


def test_who_does_not_know_says_so() -> None:
    assert not isinstance(KNN(), Explaining)
    kernel = LinearSVM(approximation="nystroem", components=20).fit(X, FRAUD, nominal=NOMINAL)
    assert kernel.contributions_to_onnx() is None
