"""Rows and checks for the tests of the neural detectors."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from shroff.arrays import Labels, Matrix
from shroff.detect.deep.detector import NeuralDetector

# not by importing it: TensorFlow takes seconds, in each worker that collects a test
needs_keras = pytest.mark.skipif(find_spec("keras") is None, reason="Keras is not installed")


def payments(rows: int = 500, *, seed: int = 0) -> tuple[Matrix, Labels]:
    """Two groups of normal rows, gaps in one column, a nominal one; frauds lie between the
    groups.
    """
    rng = np.random.default_rng(seed)
    fraud = np.arange(rows) < rows // 20
    side = np.where(fraud, 0.0, rng.choice([-4.0, 4.0], rows))
    X = np.column_stack(
        [
            side + rng.normal(size=rows) * 0.5,
            side + rng.normal(size=rows) * 0.5,
            rng.normal(size=rows),
        ]
    )
    X[rng.random(rows) < 0.1, 2] = np.nan
    return np.column_stack([X, rng.integers(0, 3, rows)]).astype(np.float32), fraud


NOMINAL = {3: 4}


def arcs(rows: int, *, seed: int = 0) -> tuple[Matrix, Matrix]:
    """Rows on five thin half circles about one middle, turned into five columns, and rows between
    the circles.
    """
    rng = np.random.default_rng(seed)
    turn = rng.normal(size=(2, 5))

    def on(circle: npt.NDArray[np.int64], off: npt.ArrayLike) -> Matrix:
        radius, angle = 1.0 + 0.2 * circle + np.asarray(off), rng.uniform(0.0, np.pi, len(circle))
        place = np.column_stack([np.cos(angle), np.sin(angle)]) * radius[:, None]
        turned: Matrix = (place @ turn).astype(np.float32)
        return turned

    normal = on(rng.integers(0, 5, rows), rng.uniform(-0.02, 0.02, rows))
    return normal, on(rng.integers(0, 4, 200), 0.1)


def same_everywhere(detector: NeuralDetector, X: Matrix, folder: Path) -> None:
    """ONNX and the SavedModel score as the detector does."""
    expected = detector.score(X)
    session = onnxruntime.InferenceSession(detector.to_onnx().SerializeToString())
    (in_onnx,) = session.run(["score"], {"X": X})
    assert in_onnx == pytest.approx(expected, rel=1e-6, abs=1e-6)
    detector.to_saved_model(folder)
    assert served(folder, X) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def served(folder: Path, X: Matrix) -> npt.NDArray[np.float32]:
    """The answer that TensorFlow Serving would give."""
    tensorflow = pytest.importorskip("tensorflow")
    signature = tensorflow.saved_model.load(str(folder)).signatures["serving_default"]
    return np.asarray(signature(X=tensorflow.constant(X))["score"].numpy())
