"""The check before packaging: the ONNX graph must give the detector's scores."""

from __future__ import annotations

import numpy as np

from shroff.arrays import Floats, Floats32
from shroff.errors import BundleError


def check_model(model: bytes, X: Floats32, score: Floats, *, tolerance: float = 1e-5) -> None:
    """Compare an ONNX model with the detector's own scores.

    Args:
        X: prepared inputs [n, inputs].
        score: the detector's scores of them [n].
        tolerance: largest difference allowed, relative to scores above 1.

    Raises:
        BundleError: a score differs by more.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    got = np.asarray(session.run(["score"], {"X": X})[0], np.float64).reshape(-1)
    worst = float(np.max(np.abs(got - score) / np.maximum(np.abs(score), 1.0), initial=0.0))
    if not worst <= tolerance:
        raise BundleError(
            f"the ONNX model differs from the detector by up to {worst:.1e} (allowed "
            f"{tolerance:.0e}); not packaged."
        )
