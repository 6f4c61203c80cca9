"""The same formula gives the same numbers in every engine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shroff.arrays import Floats
from shroff.detect.deep.activations import ACTIVATIONS
from shroff.detect.deep.keras_ops import KerasOps
from shroff.detect.deep.ops import GraphOps, NumpyOps, Ops, Tensor, log_ratio
from shroff.detect.graph import DOUBLE, INPUT, Graph

FORMULAS: dict[str, Callable[[Ops, Tensor], Tensor]] = {
    "missing": lambda ops, x: ops.missing(x),
    "known": lambda ops, x: ops.known(x),
    "columns": lambda ops, x: ops.known(ops.columns(x, [2, 0])),
    "concat": lambda ops, x: ops.concat([ops.known(x), ops.missing(x)]),
    "matmul": lambda ops, x: ops.matmul(ops.known(x), ops.constant(np.arange(6.0).reshape(3, 2))),
    "extremes": lambda ops, x: ops.subtract(
        ops.relu(ops.known(x)), ops.minimum(ops.known(x), ops.constant(1.0))
    ),
    "tamed": lambda ops, x: log_ratio(
        ops, ops.row_sum(ops.multiply(ops.known(x), ops.known(x))), 2.0
    ),
    "highest": lambda ops, x: ops.row_max(ops.known(x)),
} | {
    name: lambda ops, x, activation=activation: activation.formula(ops, ops.known(x))
    for name, activation in ACTIVATIONS.items()
}


def in_onnx(formula: Callable[[Ops, Tensor], Tensor], X: Floats) -> Floats:
    graph = Graph()
    ops = GraphOps(graph)
    value = ops.row_sum(formula(ops, graph.add("Cast", INPUT, to=DOUBLE)))
    session = onnxruntime.InferenceSession(
        graph.model(value, columns=X.shape[1]).SerializeToString()
    )
    (score,) = session.run(None, {INPUT: X.astype(np.float32)})
    return np.asarray(score, dtype=np.float64)


@pytest.mark.parametrize("name", FORMULAS)
@given(X=arrays(np.float32, (4, 3), elements=st.floats(-50, 50, width=32) | st.just(float("nan"))))
@settings(max_examples=10)
def test_onnx_computes_what_numpy_does(name: str, X: Floats) -> None:
    ops = NumpyOps()
    expected = ops.row_sum(FORMULAS[name](ops, X.astype(np.float64)))[:, 0]
    assert in_onnx(FORMULAS[name], X) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", FORMULAS)
def test_keras_computes_what_numpy_does(name: str) -> None:
    keras = pytest.importorskip("keras")
    X = np.random.default_rng(0).normal(size=(5, 3)) * 3
    X[1, 2] = np.nan
    expected = FORMULAS[name](NumpyOps(), X)
    found = FORMULAS[name](KerasOps(dtype="float64"), keras.ops.convert_to_tensor(X))
    assert np.array(found) == pytest.approx(expected, rel=1e-9)


def test_a_column_is_added_to_each_row_also_of_a_square_matrix() -> None:
    pytest.importorskip("keras")
    ops = KerasOps()
    square, column = np.zeros((3, 3)), np.array([[1.0], [2.0], [3.0]])
    total = ops.add(ops.constant(square), ops.constant(column))
    assert np.array(total).tolist() == [[1.0] * 3, [2.0] * 3, [3.0] * 3]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_slope_is_the_derivative(name: str) -> None:
    pytest.importorskip("keras")
    ops, x, step = KerasOps(dtype="float64"), np.array([[-2.0, -0.3, 0.4, 3.0]]), 1e-6
    formula, slope = ACTIVATIONS[name]
    rise = formula(NumpyOps(), x + step) - formula(NumpyOps(), x - step)
    assert np.array(slope(ops, ops.constant(x))) == pytest.approx(rise / (2 * step), rel=1e-5)
