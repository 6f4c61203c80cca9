"""The model of a bundle in ONNX Runtime: the one file of the service that knows it."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from shroff.detect.preparation import Preparation
from shroff.errors import BundleError

Matrix = NDArray[np.float32]

# ONNX Runtime has no common base class for its errors
_ERRORS: Final = tuple(
    kind for kind in vars(runtime).values() if isinstance(kind, type) and issubclass(kind, Exception)
)
_PROBES: Final = 64
_BATCHES: Final = (2, 3, 4, 5, 8, 16, 31, _PROBES)


def _session(content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # one row is too little to share, and waiting threads spin
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except _ERRORS as error:
        raise BundleError(f"ONNX Runtime cannot load the model ({type(error).__name__}); train it again.") from None


class Model:
    """Scores prepared inputs; the score of a row does not depend on the rows beside it.

    Some graphs round differently in a batch than alone (a matrix product may take another kernel). So that a
    decision can be repeated to the bit, the graph is tried at start: unless every row scores the same in batches
    of several sizes as alone, rows are scored one by one (`together` is false).

    Raises:
        BundleError: ONNX Runtime cannot load or run the graph.
    """

    def __init__(self, content: bytes, preparation: Preparation) -> None:
        self._run = _session(content).run
        self.together = True
        self.together = self._same_alone_and_together(_probes(preparation))

    def score(self, rows: Matrix) -> list[float]:
        """The score of each row, float32 [n, inputs].

        Raises:
            BundleError: ONNX Runtime fails.
        """
        if not len(rows):
            return []
        try:
            if self.together:
                scores: list[float] = self._run(["score"], {"X": rows})[0].tolist()
                return scores
            return [self._run(["score"], {"X": rows[at : at + 1]})[0].item() for at in range(len(rows))]
        except _ERRORS as error:
            raise BundleError(f"ONNX Runtime cannot run the model ({type(error).__name__}).") from None

    def _same_alone_and_together(self, probes: Matrix) -> bool:
        alone = [self.score(probes[at : at + 1])[0] for at in range(len(probes))]
        expected = np.array(alone, dtype=np.float32).tobytes()
        return all(
            np.array(
                [score for at in range(0, _PROBES, size) for score in self.score(probes[at : at + size])],
                dtype=np.float32,
            ).tobytes()
            == expected
            for size in _BATCHES
        )


def _probes(preparation: Preparation) -> Matrix:
    """Inputs of all sizes, some missing, with every nominal code in turn."""
    random = np.random.default_rng(0)
    probes = random.standard_normal((_PROBES, len(preparation.names))) * 10 ** random.uniform(-2, 2, (_PROBES, 1))
    probes[random.random(probes.shape) < 0.05] = np.nan
    for column, codes in preparation.nominal_codes.items():
        probes[:, column] = np.arange(_PROBES) % codes
    return probes.astype(np.float32)
