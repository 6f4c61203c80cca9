"""LightGBM's trees as an ONNX graph with the same decisions for every float32 row.

Inputs are cast to double and compared with LightGBM's own double thresholds, so no threshold is
rounded; leaves are summed in double. A split on a nominal column asks whether the code is in a set:
each distinct set becomes one more input of the ensemble, 0 for the codes in it and 1 for the
others, looked up by the code.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from onnx import numpy_helper

from shroff.detect.graph import DOUBLE, INPUT, INT64, ML_DOMAIN, Graph

if TYPE_CHECKING:
    import onnx

Node = Mapping[str, Any]
"""A node as `Booster.dump_model()` gives it: JSON."""

CodeSet = tuple[int, tuple[int, ...]]
"""A nominal column and those of its codes that go left."""


_ZERO_THRESHOLD = float(np.float32(1e-35))
"""LightGBM reads values up to this size as 0 (its `kZeroThreshold`)."""


class _Row(NamedTuple):
    """A node, named as ONNX names its attributes after `nodes_`; a leaf's value is in `values`."""

    treeids: int
    nodeids: int
    modes: str
    featureids: int = 0
    values: float = 0.0
    missing_value_tracks_true: int = 0
    truenodeids: int = 0
    falsenodeids: int = 0


def ensemble_model(
    trees: Sequence[Node], *, columns: int, nominal: Mapping[int, int]
) -> onnx.ModelProto:
    """The sum of `trees` (`dump_model()["tree_info"]`) over `X` [N, columns].

    `nominal` maps a nominal column to its number of codes. LightGBM's `zero_as_missing` and
    `linear_tree` must be off.
    """
    grown = [_preorder(tree["tree_structure"]) for tree in trees]
    sets = sorted({_code_set(node) for nodes in grown for node in nodes if _is_nominal(node)})
    places = {code_set: columns + at for at, code_set in enumerate(sets)}
    graph = Graph()
    inputs = graph.add("Cast", INPUT, to=DOUBLE)
    if sets:
        inputs = graph.add("Concat", inputs, _outside(graph, sets, nominal), axis=1)
    score = graph.add(
        "TreeEnsembleRegressor", inputs, domain=ML_DOMAIN, **_attributes(grown, places)
    )
    return graph.model(score, columns=columns)


def add_ensemble(graph: Graph, inputs: str, trees: Sequence[Node]) -> str:
    """The sum of `trees` without nominal splits over `inputs`, a double [N, columns] of `graph`."""
    grown = [_preorder(tree["tree_structure"]) for tree in trees]
    return graph.add("TreeEnsembleRegressor", inputs, domain=ML_DOMAIN, **_attributes(grown, {}))


def _preorder(root: Node) -> list[Node]:
    nodes, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        if "left_child" in node:
            waiting += [node["right_child"], node["left_child"]]
    return nodes


def _is_nominal(node: Node) -> bool:
    return node.get("decision_type") == "=="


def _code_set(node: Node) -> CodeSet:
    return node["split_feature"], tuple(int(code) for code in node["threshold"].split("||"))


def _outside(graph: Graph, sets: Iterable[CodeSet], nominal: Mapping[int, int]) -> str:
    """[N, sets]: 0 where the row's code is in the set, 1 where it is not."""
    blocks = []
    for column, group in groupby(sets, key=lambda code_set: code_set[0]):
        members = [list(codes) for _, codes in group]
        table = np.ones((nominal[column], len(members)), dtype=np.uint8)
        for at, codes in enumerate(members):
            table[codes, at] = 0
        code = graph.add("Gather", INPUT, graph.constant(np.int64(column)), axis=1)
        blocks.append(graph.add("Gather", graph.constant(table), graph.add("Cast", code, to=INT64)))
    return graph.add("Cast", graph.add("Concat", *blocks, axis=1), to=DOUBLE)


def _rows(tree: int, nodes: Sequence[Node], places: Mapping[CodeSet, int]) -> Iterator[_Row]:
    at = {id(node): number for number, node in enumerate(nodes)}
    for number, node in enumerate(nodes):
        if "left_child" not in node:
            yield _Row(tree, number, "LEAF", values=node["leaf_value"])
            continue
        feature, threshold, missing_left = _decision(node, places)
        left, right = at[id(node["left_child"])], at[id(node["right_child"])]
        yield _Row(tree, number, "BRANCH_LEQ", feature, threshold, missing_left, left, right)


def _attributes(grown: Sequence[Sequence[Node]], places: Mapping[CodeSet, int]) -> dict[str, Any]:
    rows = [row for tree, nodes in enumerate(grown) for row in _rows(tree, nodes, places)]
    leaves = [row for row in rows if row.modes == "LEAF"]
    table = {f"nodes_{name}": [getattr(row, name) for row in rows] for name in _Row._fields}
    thresholds = table.pop("nodes_values")
    return table | {
        "nodes_values_as_tensor": _doubles("thresholds", thresholds),
        "target_treeids": [leaf.treeids for leaf in leaves],
        "target_nodeids": [leaf.nodeids for leaf in leaves],
        "target_ids": [0] * len(leaves),
        "target_weights_as_tensor": _doubles("leaves", [leaf.values for leaf in leaves]),
        "n_targets": 1,
    }


def _doubles(name: str, values: Sequence[float]) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, dtype=np.float64), name)


def _decision(node: Node, places: Mapping[CodeSet, int]) -> tuple[int, float, int]:
    """The compared input, its threshold, and whether a missing value goes left."""
    if _is_nominal(node):
        return places[_code_set(node)], 0.5, 0
    threshold = float(node["threshold"])
    # where a column had no missing values in training, LightGBM reads a missing one as 0
    left = node["default_left"] if node["missing_type"] == "NaN" else threshold >= 0.0
    return node["split_feature"], _as_compared(threshold), int(left)


def _as_compared(threshold: float) -> float:
    """The threshold with the same decisions on raw values: LightGBM reads values next to 0 as 0."""
    if not -_ZERO_THRESHOLD <= threshold <= _ZERO_THRESHOLD:
        return threshold
    return _ZERO_THRESHOLD if threshold >= 0.0 else math.nextafter(-_ZERO_THRESHOLD, -math.inf)
