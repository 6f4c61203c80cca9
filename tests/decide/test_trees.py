"""Compiled trees give ONNX Runtime's scores to the bit, or are not used."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, cast

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from serve.fixtures import PREPARATION
from shroff import speedups
from shroff.arrays import Matrix
from shroff.decide.model import Model
from shroff.decide.trees import compiled_trees
from shroff.detect import BoostedTrees, Preparation
from shroff.detect.graph import DOUBLE, INPUT, INT64, ML_DOMAIN, Graph
from shroff.errors import BundleError
from shroff.sandbox import trees as sandbox_trees
from shroff.sandbox.trees import described_trees

needs_compiled = pytest.mark.skipif(
    speedups.compiled is None,
    reason="there are no compiled loops: no C compiler, or SHROFF_COMPILED=0",
)
compiled = cast(ModuleType, speedups.compiled)

COLUMNS: Final = 3
"""Two numbers, and a nominal column of three codes."""
ROWS: Final = np.zeros((9, COLUMNS), dtype=np.float32)
SINGLES = st.sampled_from([0.0, -0.0, 1e-45, -1e-45, 0.1, 1.0, -1.0, 3.4028234663852886e38])
NUMBERS = st.one_of(
    SINGLES.map(lambda one: float(np.float32(one))), st.floats(width=32), st.just(math.nan)
)
THRESHOLDS = st.one_of(
    SINGLES.flatmap(
        lambda one: st.sampled_from(
            [math.nextafter(float(np.float32(one)), to) for to in (one, -math.inf, math.inf)]
        )
    ),
    st.floats(allow_nan=False, allow_infinity=False),
)
LEAVES = st.one_of(st.floats(-5, 5), st.floats(allow_nan=False, allow_infinity=False))
Tree = Any
"""A leaf's value, or the input, threshold, side of missing values (1: left) and two trees."""


def grown(inputs: int) -> st.SearchStrategy[Tree]:
    return st.recursive(
        LEAVES,
        lambda inner: st.tuples(
            st.integers(0, inputs - 1), THRESHOLDS, st.integers(0, 1), inner, inner
        ),
        max_leaves=16,
    )


def nodes_of(tree: Tree, number: int, ids: list[int]) -> list[tuple[Any, ...]]:
    """The nodes, a parent before its children; the first of `ids` is the id of the first."""
    mine, *others = ids
    if isinstance(tree, float):
        return [(number, mine, "LEAF", 0, tree, 0, 0, 0)]
    feature, threshold, missing, left, right = tree
    many = size(left)
    root = (number, mine, "BRANCH_LEQ", feature, threshold, missing, others[0], others[many])
    return [root, *nodes_of(left, number, others[:many]), *nodes_of(right, number, others[many:])]


def size(tree: Tree) -> int:
    return 1 if isinstance(tree, float) else 1 + size(tree[3]) + size(tree[4])


def doubles(name: str, values: list[float]) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, dtype=np.float64), name)


def attributes(rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    names = (
        *("treeids", "nodeids", "modes", "featureids", "values"),
        *("missing_value_tracks_true", "truenodeids", "falsenodeids"),
    )
    table: dict[str, Any] = {
        f"nodes_{name}": list(cells)
        for name, cells in zip(names, zip(*rows, strict=True), strict=True)
    }
    leaves = [row for row in rows if row[2] == "LEAF"]
    return table | {
        "nodes_values_as_tensor": doubles("thresholds", table.pop("nodes_values")),
        "target_treeids": [row[0] for row in leaves],
        "target_nodeids": [row[1] for row in leaves],
        "target_ids": [0] * len(leaves),
        "target_weights_as_tensor": doubles("leaves", [row[4] for row in leaves]),
        "n_targets": 1,
    }


def graph_of(table: dict[str, Any], outside: Matrix | None) -> onnx.ModelProto:
    """As `detect/ensemble.py` writes it."""
    graph = Graph()
    inputs = graph.add("Cast", INPUT, to=DOUBLE)
    if outside is not None:
        code = graph.add("Gather", INPUT, graph.constant(np.int64(2)), axis=1)
        found = graph.add(
            "Gather", graph.constant(outside.astype(np.uint8)), graph.add("Cast", code, to=INT64)
        )
        more = graph.add("Cast", graph.add("Concat", found, axis=1), to=DOUBLE)
        inputs = graph.add("Concat", inputs, more, axis=1)
    score = graph.add("TreeEnsembleRegressor", inputs, domain=ML_DOMAIN, **table)
    return graph.model(score, columns=COLUMNS)


def scorer(model: onnx.ModelProto) -> Callable[[Matrix], list[float]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return lambda rows: session.run(["score"], {"X": rows})[0].tolist()


def bits(scores: list[float]) -> bytes:
    return np.array(scores).tobytes()


@needs_compiled
@settings(max_examples=40, deadline=None)
@given(data=st.data(), sets=st.integers(0, 3), first=st.integers(0, 2), step=st.integers(1, 3))
def test_any_trees_score_as_onnx_runtime_scores_them(
    data: st.DataObject, sets: int, first: int, step: int
) -> None:
    trees = data.draw(st.lists(grown(COLUMNS + sets), min_size=1, max_size=6))
    table: list[tuple[Any, ...]] = []
    for at, tree in enumerate(trees):
        ids = data.draw(st.permutations(range(size(tree))))
        root, *others = nodes_of(tree, first + step * at, ids)
        # ONNX Runtime begins at the node that is listed first
        table += [root, *data.draw(st.permutations(others))]
    outside = np.array(data.draw(st.lists(st.integers(0, 1), min_size=3 * sets, max_size=3 * sets)))
    model = graph_of(attributes(table), outside.reshape(3, sets) if sets else None)
    rows = data.draw(
        st.lists(st.tuples(NUMBERS, NUMBERS, st.sampled_from([0.0, 1.0, 2.0])), max_size=70)
    )
    inputs = np.array(rows, dtype=np.float32).reshape(len(rows), COLUMNS)
    described, score = described_trees(model, ROWS), scorer(model)
    assert described is not None
    found = compiled.Trees(**json.loads(described))
    assert bits(found.score(inputs)) == bits(score(inputs))
    assert compiled_trees(described, score) is not None


def learned(**parameters: Any) -> tuple[Matrix, onnx.ModelProto]:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(2_000, 10)).astype(np.float32)
    inputs[:, 8:] = random.integers(0, 3, (2_000, 2))
    inputs[:, :8][random.random((2_000, 8)) < 0.1] = np.nan
    inputs[:, 1] = np.nan_to_num(inputs[:, 1])
    fraud = (np.nan_to_num(inputs[:, 0]) > 1) ^ (inputs[:, 8] == 2) ^ (inputs[:, 1] > 0)
    trees = BoostedTrees(n_trees=40, **parameters)
    return inputs, trees.fit(inputs, fraud, nominal=PREPARATION.nominal_codes).to_onnx()


@needs_compiled
@pytest.mark.parametrize(
    "parameters", [{}, {"max_depth": -1, "num_leaves": 63, "min_child_samples": 1}]
)
def test_learned_trees_are_scored_by_compiled_loops(parameters: dict[str, Any]) -> None:
    inputs, model = learned(**parameters)
    loaded, right = Model(model.SerializeToString(), PREPARATION), scorer(model)(inputs)
    assert loaded._trees is not None
    assert bits(loaded.score(inputs)) == bits(right)
    assert bits([loaded.score(inputs[at : at + 1])[0] for at in range(99)]) == bits(right[:99])
    assert loaded.score(inputs[::-1]) == right[::-1]
    assert loaded.score(inputs[:0]) == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speedups, "compiled", None)
        plain = Model(model.SerializeToString(), PREPARATION)
    assert plain._trees is None
    assert bits(plain.score(inputs)) == bits(right)


@needs_compiled
@pytest.mark.parametrize("code", [50.0, -1.0, math.nan, math.inf])
def test_what_is_no_code_is_left_to_onnx_runtime(code: float) -> None:
    inputs, model = learned()
    loaded = Model(model.SerializeToString(), PREPARATION)
    assert loaded._trees is not None
    inputs[40, 8] = code
    assert loaded._trees.score(inputs) is None
    wrong = inputs[:, :9]
    assert loaded._trees.score(wrong) is None
    with pytest.raises(BundleError):
        loaded.score(wrong)


STUMP: Final = [
    (0, 0, "BRANCH_LEQ", 0, 0.5, 0, 1, 2),
    (0, 1, "LEAF", 0, 0.1, 0, 0, 0),
    (0, 2, "LEAF", 0, 0.2, 0, 0, 0),
]
CHANGED: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "post_transform": lambda table: {"post_transform": "LOGISTIC"},
    "base_values": lambda table: {"base_values_as_tensor": doubles("base", [1.0])},
    "aggregate": lambda table: {"aggregate_function": "MAX"},
    "mode": lambda table: {"nodes_modes": ["BRANCH_LT", "LEAF", "LEAF"]},
    "missing": lambda table: {"nodes_missing_value_tracks_true": [2, 0, 0]},
    "threshold": lambda table: {"nodes_values_as_tensor": doubles("t", [math.inf, 0.0, 0.0])},
    "leaf": lambda table: {"target_weights_as_tensor": doubles("l", [math.nan, 0.0])},
    "input": lambda table: {"nodes_featureids": [-1, 0, 0]},
    "target": lambda table: {"target_ids": [0, 1], "n_targets": 2},
    "twice": lambda table: {"target_nodeids": [1, 1]},
    "shared": lambda table: {"nodes_falsenodeids": [1, 0, 0]},
    "circle": lambda table: {"nodes_falsenodeids": [0, 0, 0]},
    "order": lambda table: {"nodes_treeids": [1, 0, 1], "target_treeids": [0, 1]},
    "no leaf": lambda table: {"nodes_modes": ["BRANCH_LEQ", "LEAF", "BRANCH_LEQ"]},
}


@pytest.mark.parametrize("name", CHANGED)
def test_other_ensembles_are_left_to_onnx_runtime(name: str) -> None:
    table = attributes(STUMP)
    assert described_trees(graph_of(table, None), ROWS) is not None
    assert described_trees(graph_of(table | CHANGED[name](table), None), ROWS) is None


def with_node(model: onnx.ModelProto) -> None:
    model.graph.node[-1].input[0] = "negative"
    model.graph.node.insert(3, helper.make_node("Neg", ["v2"], ["negative"]))


def with_single(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute[0].i = onnx.TensorProto.FLOAT


def with_version(model: onnx.ModelProto) -> None:
    model.opset_import[1].version = 1


def with_function(model: onnx.ModelProto) -> None:
    model.functions.add().name = "Cast"


def with_shape(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.array([1]), "c0"))


@pytest.mark.parametrize(
    "change", [with_node, with_single, with_version, with_function, with_shape]
)
def test_other_graphs_are_left_to_onnx_runtime(change: Callable[[onnx.ModelProto], None]) -> None:
    model = graph_of(attributes(STUMP), None)
    change(model)
    assert described_trees(model, ROWS) is None


def test_a_graph_of_another_detector_is_left_to_onnx_runtime(model: bytes) -> None:
    loaded = Model(model, PREPARATION)
    assert loaded._trees is None


@needs_compiled
def test_a_graph_that_is_not_read_is_scored_by_onnx_runtime() -> None:
    table = attributes(STUMP) | {"base_values_as_tensor": doubles("base", [1.0])}
    loaded = Model(
        graph_of(table, None).SerializeToString(), Preparation.plain(["one", "other", "third"])
    )
    assert loaded._trees is None
    assert loaded.score(np.zeros((1, 3), np.float32)) == [float(np.float32(1.1))]


class Exact:
    """A session in which what cancels out leaves nothing, as no sum in the order of trees does."""

    def __init__(self, content: bytes) -> None: ...

    def run(self, names: list[str], inputs: dict[str, Matrix]) -> list[Matrix]:
        return [np.zeros(len(inputs["X"]), np.float32)]


def test_trees_are_left_to_a_runtime_that_adds_in_another_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs, model = learned()
    rows = np.nan_to_num(inputs[:64])
    assert described_trees(model, rows) is not None
    monkeypatch.setattr(sandbox_trees, "session_of", Exact)
    assert described_trees(model, rows) is None


def above(trees: list[Any]) -> None:
    trees[3][0][1] = float(np.nextafter(np.float32(trees[3][0][1]), np.float32(np.inf)))


def below(trees: list[Any]) -> None:
    trees[3][0][1] = float(np.nextafter(np.float32(trees[3][0][1]), np.float32(-np.inf)))


def other_side(trees: list[Any]) -> None:
    node = next(node for node in trees[3] if len(node) > 1 and node[0] < 16)
    node[0] = (node[0] + 8) % 16


@needs_compiled
@pytest.mark.parametrize("change", [above, below, other_side])
def test_trees_that_differ_at_all_are_not_used(change: Callable[[list[Any]], None]) -> None:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(2_000, 8)).astype(np.float32)
    inputs[random.random(inputs.shape) < 0.1] = np.nan
    model = BoostedTrees(n_trees=40).fit(inputs, inputs[:, :3].sum(axis=1) > 1).to_onnx()
    described = described_trees(model, inputs[:64])
    assert described is not None
    assert compiled_trees(described, scorer(model)) is not None
    parts = json.loads(described)
    change(parts["trees"])
    assert compiled_trees(json.dumps(parts), scorer(model)) is None


@needs_compiled
@pytest.mark.parametrize(
    ("columns", "tables", "trees"),
    [
        (0, [], []),
        (2**40, [], []),
        (1, [], [[]]),
        (1, [], [None]),
        (1, [], [[[0, 0.5], [1.0]]]),
        (1, [], [[[0, 0.5], [1.0], [1.0], [1.0]]]),
        (1, [], [[[2, 0.5], [1.0], [1.0]]]),
        (1, [], [[[-1, 0.5], [1.0], [1.0]]]),
        (1, [], [[[2**16, 0.5], [1.0], [1.0]]]),
        (1, [], [[[0, math.inf], [1.0], [1.0]]]),
        (1, [], [[[0, math.nan], [1.0], [1.0]]]),
        (1, [], [[["0", 0.5], [1.0], [1.0]]]),
        (1, [], [[[1.0]] * 70_000]),
        (1, [(1, ["1"])], []),
        (1, [(-1, ["1"])], []),
        (1, [(0, [])], []),
        (1, [(0, [""])], []),
        (1, [(0, ["1", ""])], []),
        (1, [(0, ["1", None])], []),
        (1, [(0, ["1", ["1"]])], []),
        (1, [(0, ["1" * 70_000])], []),
        (1, None, []),
    ],
)
def test_what_are_no_trees_is_refused(columns: int, tables: Any, trees: Any) -> None:
    """Rather than followed to memory that is another's."""
    with pytest.raises((TypeError, ValueError, OverflowError)):
        compiled.Trees(columns, tables, trees)
    if tables is not None:
        described = json.dumps({"columns": columns, "tables": tables, "trees": trees})
        assert compiled_trees(described, lambda rows: [0.0] * len(rows)) is None


@needs_compiled
def test_trees_score_single_precision_alone() -> None:
    trees = compiled.Trees(1, [], [[[1.5]]])
    assert trees.score(np.zeros((2, 1), np.float32)) == [1.5, 1.5]
    for wrong in (None, np.zeros((2, 1)), np.zeros(2, np.float32)):
        with pytest.raises((TypeError, ValueError)):
            trees.score(wrong)
