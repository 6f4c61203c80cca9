"""The expansion of inputs: one definition as rows, as sums and as a graph."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from scipy import sparse

from detect.rows import NOMINAL, payments
from shroff.arrays import Floats, Matrix
from shroff.detect.expansion import Expansion
from shroff.detect.graph import Graph


def dense(expansion: Expansion, X: Matrix) -> Floats:
    design = expansion.design(X)
    return np.asarray(design.toarray() if isinstance(design, sparse.csr_matrix) else design)


def test_columns_are_numbers_then_gaps_then_codes() -> None:
    X, _ = payments()
    gap = np.isnan(X[:, 0])
    expected = np.column_stack(
        [
            np.where(gap, 0, X[:, 0]),
            X[:, 2],
            gap,
            X[:, [1]] == np.arange(4),
            X[:, [3]] == np.arange(3),
        ]
    )
    expansion = Expansion.learn(X, NOMINAL)
    assert expansion.width == 10
    assert np.array_equal(dense(expansion, X), expected)


@pytest.mark.parametrize(
    ("columns", "nominal"), [([0, 1, 2, 3], NOMINAL), ([0, 2], {}), ([1, 3], {0: 4, 1: 3})]
)
def test_sums_and_graph_are_products_with_the_design(
    columns: list[int], nominal: dict[int, int]
) -> None:
    X = payments()[0][:, columns]
    expansion = Expansion.learn(X, nominal)
    weights = np.random.default_rng(1).normal(size=(expansion.width, 3))
    expected = dense(expansion, X) @ weights
    assert expansion.dot(X, weights) == pytest.approx(expected, abs=1e-12)
    graph = Graph()
    # the mean of three outputs, so that the graph has one
    mean = graph.add("ReduceMean", expansion.dot_graph(graph, weights), axes=[1])
    session = onnxruntime.InferenceSession(
        graph.model(mean, columns=X.shape[1]).SerializeToString()
    )
    (scores,) = session.run(["score"], {"X": X})
    assert scores == pytest.approx(expected.mean(axis=1), abs=1e-6)


def test_a_gap_first_seen_when_scoring_is_the_mean() -> None:
    X, _ = payments()
    expansion = Expansion.learn(X, NOMINAL)
    late = X[:1].copy()
    late[0, 2] = np.nan
    assert dense(expansion, late)[0, 1] == 0.0
    assert expansion.gaps.tolist() == [0]
