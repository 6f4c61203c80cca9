"""A model as MLflow's flavour `pyfunc` loads it: a table of features in, probabilities out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd

from .logistic import logistic

MISSING = "undefined"
"""The category of a missing text."""


class PortableModel:
    """Scores tables of features, as `shroff features` writes them.

    The folder holds `model.onnx` and `inputs.json`: `numeric` inputs with mean and std, `nominal`
    ones with their values, the calibration `a` and `b`, and whether rows score the same `together`
    as alone.
    """

    def __init__(self, folder: Path) -> None:
        self._about = json.loads((folder / "inputs.json").read_text(encoding="utf-8"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def predict(self, model_input: Any, params: Any = None) -> Any:
        """The probability of fraud of each row, float64 [rows]; NaN where the score is no number.

        Args:
            model_input: a pandas table with a column per feature, in any order. None and NaN are
                missing; a text that training did not see counts as any other such text.
            params: MLflow passes them; there are none.

        Raises:
            ValueError: a column is not there, or holds no numbers.
        """
        rows = self._rows(model_input)
        step = max(len(rows), 1) if self._about["together"] else 1
        parts = [
            self._session.run(["score"], {"X": rows[at : at + step]})[0]
            for at in range(0, len(rows), step)
        ]
        scores = np.concatenate([*parts, np.empty(0, np.float32)]).astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            return logistic(self._about["a"] * scores + self._about["b"])

    def _rows(self, frame: Any) -> Any:
        numeric, nominal = self._about["numeric"], self._about["nominal"]
        rows = np.empty((len(frame), len(numeric) + len(nominal)), np.float32)
        with np.errstate(over="ignore"):
            for at, one in enumerate(numeric):
                values = self._column(frame, one["name"])
                try:
                    numbers = pd.to_numeric(values).to_numpy(np.float64, na_value=np.nan)
                except (TypeError, ValueError):
                    raise ValueError(f"expected numbers in the column `{one['name']}`.") from None
                rows[:, at] = (numbers - one["mean"]) / one["std"]
        for at, one in enumerate(nominal, start=len(numeric)):
            texts = self._column(frame, one["name"])
            codes = {text: code for code, text in enumerate(one["values"], start=1)}
            known = texts.where(texts.notna(), MISSING)
            rows[:, at] = [codes.get(text, 0) for text in known]
        return rows

    def _column(self, frame: Any, name: str) -> Any:
        if name not in frame:
            raise ValueError(f"expected a table with the column `{name}`, got one without it.")
        return frame[name]


def _load_pyfunc(path: str) -> PortableModel:
    """What MLflow calls."""
    return PortableModel(Path(path))
