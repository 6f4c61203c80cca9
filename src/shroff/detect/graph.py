"""ONNX graphs, node by node. Only this file knows the versions we write.

Operator set 17 and `ai.onnx.ml` 3, IR version 8: every ONNX Runtime since 1.12 reads them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from shroff.errors import ConfigurationError

OPSET = 17
ML_DOMAIN = "ai.onnx.ml"
ML_OPSET = 3
IR_VERSION = 8

DOUBLE = TensorProto.DOUBLE
INT64 = TensorProto.INT64

_VERSIONS = {"": OPSET, ML_DOMAIN: ML_OPSET}

INPUT = "X"
OUTPUT = "score"


class Graph:
    """A graph under construction: `add` nodes and `constant`s, then `model` closes it.

    >>> graph = Graph()
    >>> total = graph.add("ReduceSum", INPUT, graph.constant(np.array([1])), keepdims=0)
    >>> [node.op_type for node in graph.model(total, columns=3).graph.node]
    ['ReduceSum', 'Reshape', 'Cast']
    """

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, value: npt.ArrayLike) -> str:
        """A learned array; returns its name in the graph."""
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """A node with one output; returns the name of that output."""
        name = f"v{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(operator, list(inputs), [name], domain=domain, **attributes)
        )
        return name

    def total(self, *terms: str) -> str:
        """The sum of one or more values of the same element type."""
        result, *rest = terms
        for term in rest:
            result = self.add("Add", result, term)
        return result

    def smallest(self, values: str, k: int) -> str:
        """The `k` smallest values of each row, in no order."""
        names = [f"v{len(self._nodes)}", f"v{len(self._nodes)}_at"]
        count = self.constant(np.array([k]))
        self._nodes.append(
            helper.make_node("TopK", [values, count], names, axis=1, largest=0, sorted=0)
        )
        return names[0]

    def embed(self, model: onnx.ModelProto) -> str:
        """The score of another detector's model on the same `X`, a double [N].

        Raises ConfigurationError for a model of other operator sets than `Graph` writes.
        """
        if any(_VERSIONS.get(one.domain) != one.version for one in model.opset_import):
            raise ConfigurationError(
                f"expected a model of ONNX operator sets {_VERSIONS}, got others"
            )
        prefix = f"v{len(self._nodes)}_"
        inner = compose.add_prefix_graph(model.graph, prefix, rename_inputs=False)
        *nodes, last = inner.node
        narrowed = last.op_type == "Cast" and last.attribute[0].i == TensorProto.FLOAT
        # drop the inner rounding to single precision: the outer graph rounds once, at its end
        self._nodes += nodes if narrowed else inner.node
        self._constants += inner.initializer
        return self.add("Cast", last.input[0] if narrowed else inner.output[0].name, to=DOUBLE)

    def model(self, score: str, *, columns: int) -> onnx.ModelProto:
        """The graph, checked by `onnx.checker`: `X` float32 [N, columns] to `score` float32 [N]."""
        flat = self.add("Reshape", score, self.constant(np.array([-1], dtype=np.int64)))
        self._nodes.append(helper.make_node("Cast", [flat], [OUTPUT], to=TensorProto.FLOAT))
        graph = helper.make_graph(
            self._nodes,
            "detector",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", columns])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N"])],
            self._constants,
        )
        model = helper.make_model(
            graph,
            producer_name="shroff",
            ir_version=IR_VERSION,
            opset_imports=[
                helper.make_opsetid("", OPSET),
                helper.make_opsetid(ML_DOMAIN, ML_OPSET),
            ],
        )
        onnx.checker.check_model(model, full_check=True)
        return model
