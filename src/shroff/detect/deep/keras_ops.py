"""Formulas in Keras: no other file imports it. `KERAS_BACKEND`, its setting, names the backend."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shroff.detect.deep.ops import Formula, Tensor
from shroff.errors import MissingExtra


def keras_module() -> Any:
    """Keras; raises `MissingExtra` where it is not installed."""
    # silences TensorFlow's build notice on standard error; must be set before it loads
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        return import_module("keras")
    except ImportError as error:
        raise MissingExtra(
            "the neural detectors learn with Keras: pip install 'shroff[deep]'"
        ) from error


class KerasOps:
    """A formula in Keras: single precision to train, double precision to export."""

    def __init__(self, *, dtype: str = "float32", seeds: Any = None) -> None:
        self._keras, self._dtype, self._seeds = keras_module(), dtype, seeds

    def constant(self, value: npt.ArrayLike) -> Tensor:
        return self._keras.ops.convert_to_tensor(np.asarray(value), dtype=self._dtype)

    def columns(self, x: Tensor, at: Sequence[int]) -> Tensor:
        return self._keras.ops.take(x, np.array(at, dtype=np.int32), axis=1)

    def missing(self, x: Tensor) -> Tensor:
        return self._keras.ops.cast(self._keras.ops.isnan(x), self._dtype)

    def known(self, x: Tensor) -> Tensor:
        return self._keras.ops.where(self._keras.ops.isnan(x), self._keras.ops.zeros_like(x), x)

    def lookup(self, table: Tensor, codes: Tensor) -> Tensor:
        return self._keras.ops.take(table, self._keras.ops.cast(codes[:, 0], "int32"), axis=0)

    def concat(self, blocks: Sequence[Tensor]) -> Tensor:
        return self._keras.ops.concatenate(list(blocks), axis=1)

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        return self._keras.ops.matmul(a, b)

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        # not ops.add: Keras 3.15 broadcasts a column [n, 1] over a matrix [n, n] as if it were a
        # row
        return self._keras.ops.convert_to_tensor(a) + self._keras.ops.convert_to_tensor(b)

    def multiply(self, a: Tensor, b: Tensor) -> Tensor:
        return self._keras.ops.multiply(a, b)

    def subtract(self, a: Tensor, b: Tensor) -> Tensor:
        return self._keras.ops.convert_to_tensor(a) - self._keras.ops.convert_to_tensor(b)

    def relu(self, x: Tensor) -> Tensor:
        return self._keras.ops.relu(x)

    def leaky_relu(self, x: Tensor, leak: float) -> Tensor:
        return self._keras.ops.leaky_relu(x, leak)

    def minimum(self, a: Tensor, b: Tensor) -> Tensor:
        return self._keras.ops.minimum(a, b)

    def exp(self, x: Tensor) -> Tensor:
        return self._keras.ops.exp(x)

    def log(self, x: Tensor) -> Tensor:
        return self._keras.ops.log(x)

    def tanh(self, x: Tensor) -> Tensor:
        return self._keras.ops.tanh(x)

    def sigmoid(self, x: Tensor) -> Tensor:
        return self._keras.ops.sigmoid(x)

    def row_sum(self, x: Tensor) -> Tensor:
        # as a matrix product: TensorFlow builds one gradient node for it, and nine for a sum
        return self._keras.ops.matmul(x, self.constant(np.ones((x.shape[1], 1))))

    def row_max(self, x: Tensor) -> Tensor:
        return self._keras.ops.stop_gradient(self._keras.ops.max(x, axis=1, keepdims=True))

    def stop_gradient(self, x: Tensor) -> Tensor:
        return self._keras.ops.stop_gradient(x)

    def mean(self, x: Tensor) -> Tensor:
        mean = self.column_mean(x)
        return mean if x.shape[1] == 1 else self.row_sum(mean) * (1.0 / x.shape[1])

    def column_mean(self, x: Tensor) -> Tensor:
        return self._keras.ops.matmul(self.constant(np.full((1, x.shape[0]), 1.0 / x.shape[0])), x)

    def square(self, x: Tensor) -> Tensor:
        return self._keras.ops.square(x)

    def quantile(self, x: Tensor, share: float) -> Tensor:
        return self._keras.ops.quantile(x, share)

    def sqrt(self, x: Tensor) -> Tensor:
        return self._keras.ops.sqrt(x)

    def absolute(self, x: Tensor) -> Tensor:
        return self._keras.ops.absolute(x)

    def softplus(self, x: Tensor) -> Tensor:
        return self._keras.ops.softplus(x)

    def positive(self, x: Tensor) -> Tensor:
        return self._keras.ops.cast(x > 0, self._dtype)

    def stack(self, blocks: Sequence[Tensor]) -> Tensor:
        return self._keras.ops.concatenate(list(blocks), axis=0)

    def unstack(self, x: Tensor, rows: int) -> tuple[Tensor, Tensor]:
        if x.shape[0] == 2 * rows:
            first, others = self._keras.ops.split(x, 2, axis=0)
            return first, others
        return x[:rows], x[rows:]

    def split(self, x: Tensor, width: int) -> tuple[Tensor, Tensor]:
        return x[:, :width], x[:, width:]

    def transpose(self, x: Tensor) -> Tensor:
        return self._keras.ops.transpose(x)

    def normal(self, like: Tensor, width: int) -> Tensor:
        return self._keras.random.normal((self._keras.ops.shape(like)[0], width), seed=self._seeds)

    def uniform(self, like: Tensor, width: int) -> Tensor:
        return self._keras.random.uniform((self._keras.ops.shape(like)[0], width), seed=self._seeds)

    def dropout(self, x: Tensor, rate: float) -> Tensor:
        return self._keras.random.dropout(x, rate, seed=self._seeds)

    def drift(self, variable: Tensor, value: Tensor, momentum: float) -> None:
        variable.assign(momentum * variable + (1.0 - momentum) * self.stop_gradient(value))

    def draw(self, table: Tensor, rows: int) -> Tensor:
        """`rows` rows of `table`, drawn with replacement."""
        at = self._keras.random.randint((rows,), 0, table.shape[0], seed=self._seeds)
        return self._keras.ops.take(table, at, axis=0)


def save(formula: Formula, folder: Path, *, columns: int) -> None:
    """Write `formula` as a TensorFlow SavedModel: `X` float32 [N, columns] to `score` [N]."""
    keras = keras_module()

    class ScoringModel(keras.Model):  # type: ignore[misc, name-defined]  # Keras ships no types
        def call(self, X: Tensor) -> Mapping[str, Tensor]:
            ops = KerasOps(dtype="float64")
            score = formula(ops, keras.ops.cast(X, "float64"))
            return {"score": keras.ops.cast(score[:, 0], "float32")}

    scorer = ScoringModel()
    scorer(np.zeros((1, columns), np.float32))
    signature = [keras.InputSpec(shape=(None, columns), dtype="float32", name="X")]
    scorer.export(str(folder), format="tf_saved_model", input_signature=signature, verbose=False)
