"""The trees of a graph that `detect.ensemble.ensemble_model` wrote, for compiled loops."""

from __future__ import annotations

import json
import random
from itertools import groupby
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from shroff.sandbox.runtime import BATCH_ROWS, in_batches, session_of

_MAX_NODES: Final = 1 << 17
"""Larger ensembles are not read: it takes microseconds a node."""
_VERSIONS: Final = [("", 17), ("ai.onnx.ml", 3)]
_NODES: Final = (
    "treeids nodeids modes featureids missing_value_tracks_true truenodeids falsenodeids"
)
_ENSEMBLE: Final = {
    *(f"nodes_{name}" for name in (*_NODES.split(), "values_as_tensor")),
    *(f"target_{name}" for name in ("treeids", "nodeids", "ids", "weights_as_tensor")),
    "n_targets",
}


def described_trees(model: Any, rows: Any) -> str | None:
    """What `_speedups.Trees` takes, as JSON; None: `ensemble_model` writes no such graph, or ONNX
    Runtime does not add leaves in double precision and the order of their trees.
    """
    try:
        trees = _boosted(model, rows.shape[1])
        _require(_adds_in_order(model, rows))
    except Exception:  # noqa: BLE001  # whatever is unusual about it, ONNX Runtime can score it
        return None
    return json.dumps(trees)


def _adds_in_order(model: Any, rows: Any) -> bool:
    """Run the graph with one value for all leaves of a tree: values that cancel out, so that what
    is left of their sum is what was rounded on the way.
    """
    other = onnx.ModelProto.FromString(model.SerializeToString())
    (ensemble,) = (node for node in other.graph.node if node.op_type == "TreeEnsembleRegressor")
    attributes = {one.name: one for one in ensemble.attribute}
    trees, of_leaf = np.unique(attributes["target_treeids"].ints, return_inverse=True)
    half, values, source = len(trees) // 2, np.zeros(len(trees)), random.Random(0)
    for _ in range(3):
        values[:half] = [source.uniform(1e15, 1e16) for _ in range(half)]
        values[half : 2 * half] = -values[source.sample(range(half), half)]
        leaves = numpy_helper.from_array(values[of_leaf], "leaves")
        attributes["target_weights_as_tensor"].t.CopyFrom(leaves)
        session, right = session_of(other.SerializeToString()), np.float32(values.cumsum()[-1])
        for size in (1, *BATCH_ROWS):
            scores = np.frombuffer(in_batches(session, rows, size), np.float32)
            if not (scores == right).all():
                return False
    return True


def _boosted(model: Any, columns: int) -> dict[str, Any]:
    graph, blocks = model.graph, max(0, (len(model.graph.node) - 4) // 3 - 1)
    constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    (ensemble,) = (node for node in graph.node if node.op_type == "TreeEnsembleRegressor")
    table = {one.name: helper.get_attribute_value(one) for one in ensemble.attribute}
    tables = [(constants[f"c{2 * at}"], constants[f"c{2 * at + 1}"]) for at in range(blocks)]
    _require(
        list(graph.node) == _written(blocks, ensemble),
        [(one.domain, one.version) for one in model.opset_import] == _VERSIONS,
        not model.functions and len(constants) == len(graph.initializer) == 2 * blocks + 1,
        constants[f"c{2 * blocks}"].tolist() == [-1],
        all(column.shape == () for column, _ in tables),
        all(outside.dtype == np.uint8 and outside.max() <= 1 for _, outside in tables),
        set(table) == _ENSEMBLE and len(table) == len(ensemble.attribute),
        table["n_targets"] == 1 and not any(table["target_ids"]),
    )
    return {
        "columns": columns,
        "tables": [
            (int(column), [row.tobytes().decode() for row in outside + ord("0")])
            for column, outside in tables
        ],
        "trees": _grown(table, columns),
    }


def _require(*conditions: bool) -> None:
    if not all(conditions):
        raise ValueError


def _written(blocks: int, ensemble: Any) -> list[Any]:
    """The nodes that `ensemble_model` writes with so many nominal columns."""
    nodes: list[Any] = []

    def add(operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = f"v{len(nodes)}"
        nodes.append(helper.make_node(operator, inputs, [name], domain=domain, **attributes))
        return name

    inputs = add("Cast", "X", to=TensorProto.DOUBLE)
    outside = []
    for at in range(blocks):
        code = add("Cast", add("Gather", "X", f"c{2 * at}", axis=1), to=TensorProto.INT64)
        outside.append(add("Gather", f"c{2 * at + 1}", code))
    if outside:
        more = add("Cast", add("Concat", *outside, axis=1), to=TensorProto.DOUBLE)
        inputs = add("Concat", inputs, more, axis=1)
    score = add("TreeEnsembleRegressor", inputs, domain="ai.onnx.ml")
    nodes[-1].attribute.extend(ensemble.attribute)
    flat = add("Reshape", score, f"c{2 * blocks}")
    return [*nodes, helper.make_node("Cast", [flat], ["score"], to=TensorProto.FLOAT)]


def _grown(table: dict[str, Any], columns: int) -> list[list[tuple[float, ...]]]:
    """Of each tree its nodes in the order of their levels."""
    thresholds = _doubles(table["nodes_values_as_tensor"])
    # a float32 is above a double where it is above the largest float32 up to it
    with np.errstate(over="ignore"):
        single = thresholds.astype(np.float32)
        single = np.where(single > thresholds, np.nextafter(single, np.float32(-np.inf)), single)
    leaves = dict(
        zip(
            zip(table["target_treeids"], table["target_nodeids"], strict=True),
            _doubles(table["target_weights_as_tensor"]).tolist(),
            strict=True,
        )
    )
    rows = zip(*(table[f"nodes_{name}"] for name in _NODES.split()), single.tolist(), strict=True)
    groups = [(tree, list(group)) for tree, group in groupby(rows, key=lambda row: row[0])]
    trees = [_levels(group, leaves, columns) for _, group in groups]
    order = [tree for tree, _ in groups]
    _require(
        order == sorted(set(order)),
        not leaves,
        len(table["target_ids"]) == table["nodes_modes"].count(b"LEAF"),
    )
    return trees


def _levels(
    group: list[Any], leaves: dict[tuple[int, int], float], columns: int
) -> list[tuple[float, ...]]:
    """The nodes that are reached from the first one, each once; takes their `leaves`."""
    (tree, root, *_), waiting = group[0], {row[1]: row[2:] for row in group}
    nodes: list[tuple[float, ...]] = []
    level = [root]
    for node in level:
        mode, feature, missing, left, right, threshold = waiting.pop(node)
        if mode == b"LEAF":
            nodes.append((leaves.pop((tree, node)),))
            continue
        _require(mode == b"BRANCH_LEQ", missing in (0, 1), feature >= 0)
        # NaN is -inf in the first places and inf in the second, so it goes left or right
        nodes.append((feature if missing and feature < columns else columns + feature, threshold))
        level += [left, right]
    _require(len(nodes) == len(group))
    return nodes


def _doubles(tensor: Any) -> Any:
    values = numpy_helper.to_array(tensor)
    _require(
        values.dtype == np.float64,
        values.ndim == 1,
        len(values) <= _MAX_NODES,
        np.isfinite(values).all(),
    )
    return values
