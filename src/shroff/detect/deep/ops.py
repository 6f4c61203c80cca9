"""The operations of a detector's formula, and two engines for them: NumPy and ONNX.

Values are matrices [rows, width] or [1, width]. Scores are computed in double precision by both
engines, so they agree to a rounding error; the third engine, Keras, is in `keras_ops`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from shroff.arrays import Floats
from shroff.detect.graph import DOUBLE, INT64, Graph

Tensor: TypeAlias = Any
"""An engine's own value: a NumPy array, a name in an ONNX graph, a Keras tensor."""


Formula: TypeAlias = "Callable[[Ops, Tensor], Tensor]"
"""A score in every engine: X [rows, columns] to [rows, 1]."""


class Ops(Protocol):
    """The operations of scoring, on tensors; only `constant` takes a learned array."""

    def constant(self, value: npt.ArrayLike) -> Tensor:
        """A learned array."""

    def columns(self, x: Tensor, at: Sequence[int]) -> Tensor:
        """The columns `at` of `x`."""

    def missing(self, x: Tensor) -> Tensor:
        """1 where `x` is NaN, else 0."""

    def known(self, x: Tensor) -> Tensor:
        """`x` with 0 where it is NaN."""

    def lookup(self, table: Tensor, codes: Tensor) -> Tensor:
        """Rows of `table` [codes, width] by `codes` [rows, 1]: [rows, width]."""

    def concat(self, blocks: Sequence[Tensor]) -> Tensor:
        """Blocks side by side."""

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        """The matrix product."""

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        """Sum, with broadcasting."""

    def multiply(self, a: Tensor, b: Tensor) -> Tensor:
        """Product, with broadcasting."""

    def subtract(self, a: Tensor, b: Tensor) -> Tensor:
        """Difference, with broadcasting."""

    def relu(self, x: Tensor) -> Tensor:
        """`x` where it is above 0, else 0."""

    def leaky_relu(self, x: Tensor, leak: float) -> Tensor:
        """`x` where it is above 0, else `leak` times it; `leak` is below 1."""

    def minimum(self, a: Tensor, b: Tensor) -> Tensor:
        """The smaller, with broadcasting."""

    def exp(self, x: Tensor) -> Tensor:
        """The exponential."""

    def log(self, x: Tensor) -> Tensor:
        """The natural logarithm."""

    def tanh(self, x: Tensor) -> Tensor:
        """The hyperbolic tangent."""

    def sigmoid(self, x: Tensor) -> Tensor:
        """1 / (1 + exp(-x))."""

    def row_sum(self, x: Tensor) -> Tensor:
        """The sum of each row, [rows, 1]."""

    def row_max(self, x: Tensor) -> Tensor:
        """The maximum of each row, [rows, 1]; no gradient flows through it."""


class TrainingOps(Ops, Protocol):
    """More operations, for training: tensors take + - * / and **; draws follow the seed."""

    def stop_gradient(self, x: Tensor) -> Tensor:
        """`x` as if it were a constant."""

    def mean(self, x: Tensor) -> Tensor:
        """The mean of all values, [1, 1]."""

    def column_mean(self, x: Tensor) -> Tensor:
        """The mean of each column, [1, width]."""

    def square(self, x: Tensor) -> Tensor:
        """`x` times itself."""

    def quantile(self, x: Tensor, share: float) -> Tensor:
        """The value that a share of all values lies below."""

    def sqrt(self, x: Tensor) -> Tensor:
        """The square root."""

    def absolute(self, x: Tensor) -> Tensor:
        """The size without the sign."""

    def softplus(self, x: Tensor) -> Tensor:
        """log(1 + exp(x))."""

    def positive(self, x: Tensor) -> Tensor:
        """1 where `x` > 0, else 0."""

    def stack(self, blocks: Sequence[Tensor]) -> Tensor:
        """Blocks one above the other."""

    def unstack(self, x: Tensor, rows: int) -> tuple[Tensor, Tensor]:
        """The first `rows` rows, and the others."""

    def split(self, x: Tensor, width: int) -> tuple[Tensor, Tensor]:
        """The first `width` columns, and the others."""

    def transpose(self, x: Tensor) -> Tensor:
        """Rows and columns exchanged."""

    def normal(self, like: Tensor, width: int) -> Tensor:
        """Standard normal draws [rows of `like`, width]."""

    def uniform(self, like: Tensor, width: int) -> Tensor:
        """Draws from [0, 1) [rows of `like`, width]."""

    def dropout(self, x: Tensor, rate: float) -> Tensor:
        """`x` with a share `rate` of its values at 0, the others scaled up."""

    def drift(self, variable: Tensor, value: Tensor, momentum: float) -> None:
        """Move a learned statistic towards a batch's."""


class NumpyOps:
    """The formula in NumPy, in double precision.

    >>> ops = NumpyOps()
    >>> ops.row_sum(ops.known(ops.constant([[1.0, float("nan")], [2.0, 3.0]]))).tolist()
    [[1.0], [5.0]]
    """

    def constant(self, value: npt.ArrayLike) -> Floats:
        return np.asarray(value, dtype=np.float64)

    def columns(self, x: Floats, at: Sequence[int]) -> Floats:
        return x[:, list(at)]

    def missing(self, x: Floats) -> Floats:
        return np.isnan(x).astype(np.float64)

    def known(self, x: Floats) -> Floats:
        return np.where(np.isnan(x), 0.0, x)

    def lookup(self, table: Floats, codes: Floats) -> Floats:
        rows: Floats = table[codes[:, 0].astype(np.int64)]
        return rows

    def concat(self, blocks: Sequence[Floats]) -> Floats:
        return np.concatenate(blocks, axis=1)

    def matmul(self, a: Floats, b: Floats) -> Floats:
        product: Floats = a @ b
        return product

    def add(self, a: Floats, b: Floats) -> Floats:
        return a + b

    def multiply(self, a: Floats, b: Floats) -> Floats:
        return a * b

    def subtract(self, a: Floats, b: Floats) -> Floats:
        return a - b

    def relu(self, x: Floats) -> Floats:
        return np.maximum(x, 0.0)

    def leaky_relu(self, x: Floats, leak: float) -> Floats:
        return np.maximum(x, leak * x)

    def minimum(self, a: Floats, b: Floats) -> Floats:
        return np.minimum(a, b)

    def exp(self, x: Floats) -> Floats:
        return np.exp(x)

    def log(self, x: Floats) -> Floats:
        return np.log(x)

    def tanh(self, x: Floats) -> Floats:
        return np.tanh(x)

    def sigmoid(self, x: Floats) -> Floats:
        return 0.5 * (1.0 + np.tanh(0.5 * x))

    def row_sum(self, x: Floats) -> Floats:
        total: Floats = x.sum(axis=1, keepdims=True)
        return total

    def row_max(self, x: Floats) -> Floats:
        highest: Floats = x.max(axis=1, keepdims=True)
        return highest


class GraphOps:
    """The formula as nodes of an ONNX graph, in double precision."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def constant(self, value: npt.ArrayLike) -> str:
        return self._graph.constant(np.asarray(value, dtype=np.float64))

    def columns(self, x: str, at: Sequence[int]) -> str:
        return self._graph.add(
            "Gather", x, self._graph.constant(np.array(at, dtype=np.int64)), axis=1
        )

    def missing(self, x: str) -> str:
        return self._graph.add("Cast", self._graph.add("IsNaN", x), to=DOUBLE)

    def known(self, x: str) -> str:
        return self._graph.add("Where", self._graph.add("IsNaN", x), self.constant(0.0), x)

    def lookup(self, table: str, codes: str) -> str:
        at = self._graph.add("Squeeze", codes, self._graph.constant(np.array([1])))
        return self._graph.add("Gather", table, self._graph.add("Cast", at, to=INT64))

    def concat(self, blocks: Sequence[str]) -> str:
        return self._graph.add("Concat", *blocks, axis=1)

    def matmul(self, a: str, b: str) -> str:
        return self._graph.add("MatMul", a, b)

    def add(self, a: str, b: str) -> str:
        return self._graph.add("Add", a, b)

    def multiply(self, a: str, b: str) -> str:
        return self._graph.add("Mul", a, b)

    def subtract(self, a: str, b: str) -> str:
        return self._graph.add("Sub", a, b)

    def relu(self, x: str) -> str:
        return self._graph.add("Max", x, self.constant(0.0))

    def leaky_relu(self, x: str, leak: float) -> str:
        # ONNX Runtime has its own LeakyRelu in single precision only
        return self._graph.add("Max", x, self.multiply(x, self.constant(leak)))

    def minimum(self, a: str, b: str) -> str:
        return self._graph.add("Min", a, b)

    def exp(self, x: str) -> str:
        return self._graph.add("Exp", x)

    def log(self, x: str) -> str:
        return self._graph.add("Log", x)

    def tanh(self, x: str) -> str:
        return self._graph.add("Tanh", x)

    def sigmoid(self, x: str) -> str:
        half = self.constant(0.5)
        rise = self.tanh(self.multiply(x, half))
        return self.add(self.multiply(rise, half), half)

    def row_sum(self, x: str) -> str:
        return self._graph.add("ReduceSum", x, self._graph.constant(np.array([1])), keepdims=1)

    def row_max(self, x: str) -> str:
        return self._graph.add("ReduceMax", x, axes=[1], keepdims=1)


MIN_DIVISOR = 1e-6
"""Smallest divisor of a score."""


def log_ratio(ops: Ops, x: Tensor, typical: float) -> Tensor:
    """log(1 + x / typical): without a unit, and moderate for extreme payments."""
    return ops.log(ops.add(ops.multiply(x, ops.constant(1.0 / typical)), ops.constant(1.0)))
