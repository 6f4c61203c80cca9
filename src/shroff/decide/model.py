"""The model of a bundle in ONNX Runtime, which only this file of the service imports."""

from __future__ import annotations

from typing import Final

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from shroff.arrays import Matrix
from shroff.decide.trees import compiled_trees
from shroff.detect.preparation import Preparation
from shroff.errors import BundleError
from shroff.package import try_model

# ONNX Runtime has no common base class for its errors
_ERRORS: Final = tuple(
    kind
    for kind in vars(runtime).values()
    if isinstance(kind, type) and issubclass(kind, Exception)
)


def _session(content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # one row is too little work to share, and waiting threads spin
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except _ERRORS as error:
        raise BundleError(
            f"ONNX Runtime cannot load the model ({type(error).__name__}); train it again."
        ) from None


class Model:
    """Scores prepared inputs; a row's score does not depend on the other rows.

    Some graphs round differently in a batch than alone (a matrix product may use another kernel).
    To replay decisions to the bit, a trial (`package/trial.py`) scores rows alone and in batches of
    several sizes: if any score differs, rows are scored one by one (`together` is false).

    Boosted trees are scored by compiled loops that give the same scores faster (`decide/trees.py`).

    Raises:
        BundleError: the graph does not pass its trial, or ONNX Runtime cannot load it.
    """

    def __init__(self, content: bytes, preparation: Preparation) -> None:
        verdict = try_model(content, preparation)
        self.together = verdict.together
        self._run = _session(content).run
        self._trees = None
        if verdict.together and verdict.trees is not None:
            self._trees = compiled_trees(verdict.trees, self._run_session)

    def score(self, rows: Matrix) -> list[float]:
        """The score of each row, float32 [n, inputs].

        Raises:
            BundleError: ONNX Runtime fails.
        """
        if not len(rows):
            return []
        if self._trees is not None:
            found: list[float] | None = self._trees.score(rows)
            if found is not None:
                return found
        return self._run_session(rows)

    def _run_session(self, rows: Matrix) -> list[float]:
        try:
            if self.together:
                return self._checked(self._run(["score"], {"X": rows})[0], len(rows))
            each = [self._run(["score"], {"X": rows[at : at + 1]})[0] for at in range(len(rows))]
        except _ERRORS as error:
            raise BundleError(
                f"ONNX Runtime cannot run the model ({type(error).__name__})."
            ) from None
        return [self._checked(one, 1)[0] for one in each]

    def _checked(self, scores: Matrix, rows: int) -> list[float]:
        if scores.shape != (rows,):
            raise BundleError("the model gives another number of scores than it has rows.")
        found: list[float] = scores.tolist()
        return found
