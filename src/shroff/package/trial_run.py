"""The trial's process: runs a graph within limits on rows from standard input.

`trial` runs it as a file; it imports nothing of ours, which would take a third of a second.
"""

from __future__ import annotations

import json
import random
import resource
import sys
from itertools import groupby
from typing import Any, BinaryIO, Final

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

_LOOP_OPERATOR: Final = "Loop"
"""The only operator that may run for ever on some payments: all others end."""
_DOMAINS: Final = ("", "ai.onnx", "ai.onnx.ml")
"""Where operators are of which it is known what they may do; ONNX Runtime has others."""
_SIZED_BY: Final = {
    **dict.fromkeys(("Expand", "Tile", "Pad", "CenterCropPad", "OneHot", "Upsample"), (1,)),
    **dict.fromkeys(("ConstantOfShape", "HannWindow", "HammingWindow", "BlackmanWindow"), (0,)),
    **dict.fromkeys(("Range", "MelWeightMatrix"), (0, 1, 2, 3, 4)),
    "Resize": (2, 3),
    "DFT": (1,),
    "MaxUnpool": (2,),
    "Col2Im": (1, 2),
    "AffineGrid": (1,),
}
"""Operators whose output may be larger than all their inputs, and the inputs that say how large."""
_SHAPED_BY: Final = {
    **dict.fromkeys(("NonZero", "Unique", "If", "StringSplit"), (0,)),
    **dict.fromkeys(("Reshape", "Compress", "TopK", "Split", "Slice"), (1, 2, 3, 4)),
    "NonMaxSuppression": (0, 1, 2, 3, 4),
}
"""Those whose output is of another shape for other values, never larger, and the inputs that say
which.
"""
_BATCH_ROWS: Final = (2, 3, 4, 5, 8, 16, 31, 64)
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


def main(source: BinaryIO) -> dict[str, Any]:
    """The head is a line of JSON: `seconds`, `memory`, the `model`'s bytes, the `columns` of two
    blocks of rows, and whether `trees` are asked for.
    """
    head = json.loads(source.readline())
    resource.setrlimit(resource.RLIMIT_CPU, (head["seconds"], head["seconds"] + 1))
    content = source.read(head["model"])
    usual, wild = (_rows(source, size, head["columns"]) for size in (head["usual"], head["wild"]))
    _bound_memory(head["memory"])
    model = onnx.load_model_from_string(content)
    if any(map(_loops, (model.graph, *model.functions))):
        return {
            "refused": "has a loop, which could go on for ever: use operators that end by "
            "themselves"
        }
    own = {one.name for one in model.functions}
    known = {*_DOMAINS, *(one.domain for one in model.functions)}
    if any(_is_foreign(one, known) for one in (model.graph, *model.functions)):
        return {"refused": "uses operators of another domain than `ai.onnx` and `ai.onnx.ml`"}
    if _grows(model.graph, {"X"}, set(), own) or any(
        _grows(one, set(one.input), set(), own) for one in model.functions
    ):
        return {
            "refused": "lets the values of a payment say how large something is, which could take "
            "all memory: give such an operator (Range, Expand, Tile, ConstantOfShape …) constants "
            "or shapes"
        }
    session = _session(content)
    scores = session.run(["score"], {"X": usual})[0]
    if (
        not isinstance(scores, np.ndarray)
        or scores.shape != (len(usual),)
        or scores.dtype.kind != "f"
    ):
        return {"refused": "gives no output `score` of one float for each row of `X`"}
    alone = _in_batches(session, wild, 1)
    return {
        "numbers": int(np.isfinite(scores).sum()),
        "together": all(_in_batches(session, wild, size) == alone for size in _BATCH_ROWS),
        "trees": _trees(model, wild) if head["trees"] else None,
    }


def _session(content: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _rows(source: BinaryIO, size: int, columns: int) -> Any:
    return np.frombuffer(source.read(4 * size * columns), np.float32).reshape(size, columns)


def _in_batches(session: Any, rows: Any, size: int) -> bytes:
    batches = [rows[at : at + size] for at in range(0, len(rows), size)]
    return b"".join(session.run(["score"], {"X": batch})[0].tobytes() for batch in batches)


def _trees(model: Any, rows: Any) -> str | None:
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
        session, right = _session(other.SerializeToString()), np.float32(values.cumsum()[-1])
        for size in (1, *_BATCH_ROWS):
            scores = np.frombuffer(_in_batches(session, rows, size), np.float32)
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


def _bound_memory(more: int) -> None:
    """Limit this process to so many more bytes, and forbid files, such as those a graph names.

    Only Linux reports and enforces it.
    """
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  # nothing else needs pathlib
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + more, used + more))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))


def _inside(node: Any) -> list[Any]:
    """The graphs inside of a node, such as the branches of `If`."""
    return [each for one in node.attribute for each in (one.g, *one.graphs)]


def _loops(graph: Any) -> bool:
    """Whether a loop is among the nodes of a graph or function, or of the graphs inside of them."""
    return any(
        node.op_type == _LOOP_OPERATOR or any(map(_loops, _inside(node))) for node in graph.node
    )


def _is_foreign(graph: Any, known: set[str]) -> bool:
    """Whether a node of a graph or function, or of the graphs inside of them, is of no known
    domain.
    """
    return any(
        node.domain not in known or any(_is_foreign(one, known) for one in _inside(node))
        for node in graph.node
    )


def _grows(graph: Any, valued: set[str], shaped: set[str], own: set[str]) -> bool:
    """Whether the values of rows may say how large an output is.

    Args:
        valued: the names of what depends on values; grows.
        shaped: the names of what has another shape for other values; grows.
        own: the names of the model's functions.
    """
    for node in graph.node:
        for one in _inside(node):
            valued.update(each.name for each in one.input)  # such as the rows of a `Scan`
            if _grows(one, valued, shaped, own):
                return True
        name = node.op_type
        says = {at for at, given in enumerate(node.input) if given in valued}
        if says & {*_SIZED_BY.get(name, ())}:
            return True
        ends = {each.name for one in _inside(node) for each in one.output}
        if name in ("Shape", "Size"):
            if not shaped.isdisjoint(node.input):
                valued.update(node.output)
            continue
        if says or ends & valued:
            valued.update(node.output)
        if (
            (says and name in own)
            or says & {*_SHAPED_BY.get(name, ())}
            or not shaped.isdisjoint((*node.input, *ends))
        ):
            shaped.update(node.output)
    return False


def _why(error: Exception) -> str:
    """What is wrong with the model, in our words: ONNX Runtime's repeat names from the model."""
    if isinstance(error, MemoryError) or "alloc" in str(error):
        return "needs more memory than a trial may take"
    return f"cannot be loaded and run by ONNX Runtime ({type(error).__name__})"


if __name__ == "__main__":
    try:
        found = main(sys.stdin.buffer)
    except Exception as error:  # noqa: BLE001  # ONNX Runtime has no common base class
        found = {"refused": _why(error)}
    json.dump(found, sys.stdout)
