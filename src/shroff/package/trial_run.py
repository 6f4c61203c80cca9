"""The trial's process: runs a graph within limits on rows from standard input.

`trial` runs it as a file; it imports nothing of ours, which would take a third of a second.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import Any, BinaryIO, Final

import numpy as np
import onnx
import onnxruntime

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


def main(source: BinaryIO) -> dict[str, Any]:
    """The head is a line of JSON: `seconds`, `memory`, the `model`'s bytes, and the `columns` of
    two blocks of rows.
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
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    scores = session.run(["score"], {"X": usual})[0]
    if (
        not isinstance(scores, np.ndarray)
        or scores.shape != (len(usual),)
        or scores.dtype.kind != "f"
    ):
        return {"refused": "gives no output `score` of one float for each row of `X`"}
    alone = b"".join(
        session.run(["score"], {"X": wild[at : at + 1]})[0].tobytes() for at in range(len(wild))
    )
    return {
        "numbers": int(np.isfinite(scores).sum()),
        "together": all(_in_batches(session, wild, size) == alone for size in _BATCH_ROWS),
    }


def _rows(source: BinaryIO, size: int, columns: int) -> Any:
    return np.frombuffer(source.read(4 * size * columns), np.float32).reshape(size, columns)


def _in_batches(session: Any, rows: Any, size: int) -> bytes:
    batches = [rows[at : at + size] for at in range(0, len(rows), size)]
    return b"".join(session.run(["score"], {"X": batch})[0].tobytes() for batch in batches)


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
