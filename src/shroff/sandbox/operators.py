"""What a graph may contain: operators that end, and whose output's size no payment's values say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

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


def why_refused(model: Any) -> str | None:
    """Why a model must not run on payments; None if it may."""
    graphs = (model.graph, *model.functions)
    nodes = [node for graph in graphs for node in _nodes(graph)]
    if any(node.op_type == _LOOP_OPERATOR for node in nodes):
        return "has a loop, which could go on for ever: use operators that end by themselves"
    known = {*_DOMAINS, *(one.domain for one in model.functions)}
    if any(node.domain not in known for node in nodes):
        return "uses operators of another domain than `ai.onnx` and `ai.onnx.ml`"
    own = {one.name for one in model.functions}
    if _grows(model.graph, {"X"}, set(), own) or any(
        _grows(one, set(one.input), set(), own) for one in model.functions
    ):
        return (
            "lets the values of a payment say how large something is, which could take all memory: "
            "give such an operator (Range, Expand, Tile, ConstantOfShape …) constants or shapes"
        )
    return None


def _nodes(graph: Any) -> Iterator[Any]:
    """The nodes of a graph or function, and of the graphs inside of them."""
    for node in graph.node:
        yield node
        for inner in _inside(node):
            yield from _nodes(inner)


def _inside(node: Any) -> list[Any]:
    """The graphs inside of a node, such as the branches of `If`."""
    return [each for one in node.attribute for each in (one.g, *one.graphs)]


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
