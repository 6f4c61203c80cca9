"""Rows to learn from and sessions to score with, shared by the tests of detectors."""

from __future__ import annotations

import numpy as np
import onnxruntime

from shroff.arrays import Labels, Matrix, Scores
from shroff.detect.base import Detector

NOMINAL = {1: 4, 3: 3}


def payments(rows: int = 400, *, seed: int = 0) -> tuple[Matrix, Labels]:
    """Columns: gaps in training, nominal, no gaps, nominal."""
    rng = np.random.default_rng(seed)
    X = np.column_stack(
        [
            rng.normal(size=rows),
            rng.integers(0, 4, rows),
            rng.normal(size=rows),
            rng.integers(0, 3, rows),
        ]
    )
    fraud = X[:, 0] + (X[:, 1] == 2) + rng.normal(size=rows) > 2.0
    X[rng.random(rows) < 0.2, 0] = np.nan
    return X.astype(np.float32), fraud


def graph_scores(detector: Detector, X: Matrix) -> Scores:
    """The scores of the detector's graph."""
    session = onnxruntime.InferenceSession(detector.to_onnx().SerializeToString())
    (scores,) = session.run(["score"], {"X": X})
    return np.asarray(scores, dtype=np.float64)
