"""The model: a row's score never depends on the rows beside it."""

from __future__ import annotations

import numpy as np
import pytest

from serve.fixtures import PREPARATION
from shroff.arrays import Matrix
from shroff.decide.model import Model
from shroff.detect import BoostedTrees, Preparation
from shroff.detect.graph import DOUBLE, INPUT, Graph
from shroff.errors import BundleError


def mixing_graph(columns: int) -> bytes:
    """The first input less the mean of it over the batch: as a graph should not be."""
    graph = Graph()
    first = graph.add("Gather", INPUT, graph.constant(np.array([0])), axis=1)
    known = graph.add("Where", graph.add("IsNaN", first), graph.constant(np.float32(0.0)), first)
    mean = graph.add("ReduceMean", known, axes=[0], keepdims=1)
    return bytes(
        graph.model(
            graph.add("Cast", graph.add("Sub", known, mean), to=DOUBLE), columns=columns
        ).SerializeToString()
    )


def rows(n: int) -> Matrix:
    random = np.random.default_rng(3)
    inputs = random.normal(size=(n, 10)).astype(np.float32)
    inputs[:, 8:] = random.integers(0, 3, (n, 2))
    return inputs


def test_our_linear_graph_scores_together(model: bytes) -> None:
    loaded = Model(model, PREPARATION)
    inputs = rows(40)
    assert loaded.together
    assert loaded.score(inputs) == [loaded.score(inputs[at : at + 1])[0] for at in range(40)]


def test_our_trees_score_together() -> None:
    inputs = rows(400)
    trees = BoostedTrees(n_trees=30).fit(
        inputs, inputs[:, 0] > 0.5, nominal=PREPARATION.nominal_codes
    )
    assert Model(bytes(trees.to_onnx().SerializeToString()), PREPARATION).together


def test_a_graph_that_mixes_rows_scores_them_one_by_one() -> None:
    preparation = Preparation.plain(["a", "b"])
    loaded = Model(mixing_graph(2), preparation)
    assert not loaded.together
    inputs = np.array([[1.0, 0.0], [3.0, 0.0]], dtype=np.float32)
    assert loaded.score(inputs) == [0.0, 0.0]


def test_no_rows_have_no_scores(model: bytes) -> None:
    assert Model(model, PREPARATION).score(rows(0)) == []


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(BundleError, match="cannot be loaded"):
        Model(b"no model", PREPARATION)


def test_a_model_of_other_inputs_is_refused(model: bytes) -> None:
    with pytest.raises(BundleError, match="cannot be loaded and run"):
        Model(model, Preparation.plain(["a"]))
