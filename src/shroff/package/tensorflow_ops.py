"""The ONNX operators of networks and linear models, as TensorFlow's; ONNX defines what each does.

A detector whose graph has other operators, such as trees, is no SavedModel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import onnx
from onnx import helper, numpy_helper

from shroff.detect.graph import INPUT, OUTPUT
from shroff.errors import BundleError

Tensor = Any
_Operator = Callable[[Any, Sequence[Tensor], Mapping[str, Any]], Tensor]


def _axes(given: Sequence[Tensor], attributes: Mapping[str, Any]) -> Tensor:
    return given[1] if len(given) > 1 else attributes["axes"]


def _total(tf: Any, given: Sequence[Tensor], one: Mapping[str, Any]) -> Tensor:
    return tf.reduce_sum(given[0], _axes(given, one), keepdims=bool(one.get("keepdims", 1)))


def _largest(tf: Any, given: Sequence[Tensor], one: Mapping[str, Any]) -> Tensor:
    return tf.reduce_max(given[0], _axes(given, one), keepdims=bool(one.get("keepdims", 1)))


def _cast(tf: Any, given: Sequence[Tensor], one: Mapping[str, Any]) -> Tensor:
    return tf.cast(given[0], tf.as_dtype(helper.tensor_dtype_to_np_dtype(one["to"])))


_OPERATORS: Final[dict[str, _Operator]] = {
    "Abs": lambda tf, given, _: tf.abs(*given),
    "Add": lambda tf, given, _: tf.add(*given),
    "Cast": _cast,
    "Concat": lambda tf, given, one: tf.concat(list(given), one["axis"]),
    "Div": lambda tf, given, _: tf.divide(*given),
    "Exp": lambda tf, given, _: tf.exp(*given),
    "Gather": lambda tf, given, one: tf.gather(*given, axis=one.get("axis", 0)),
    "IsNaN": lambda tf, given, _: tf.math.is_nan(*given),
    "Log": lambda tf, given, _: tf.math.log(*given),
    "MatMul": lambda tf, given, _: tf.matmul(*given),
    "Max": lambda tf, given, _: tf.maximum(*given),
    "Min": lambda tf, given, _: tf.minimum(*given),
    "Mul": lambda tf, given, _: tf.multiply(*given),
    "Neg": lambda tf, given, _: tf.negative(*given),
    "ReduceMax": _largest,
    "ReduceSum": _total,
    "Relu": lambda tf, given, _: tf.nn.relu(*given),
    "Reshape": lambda tf, given, _: tf.reshape(*given),
    "Sigmoid": lambda tf, given, _: tf.sigmoid(*given),
    "Sqrt": lambda tf, given, _: tf.sqrt(*given),
    "Squeeze": lambda tf, given, _: tf.squeeze(given[0], [int(one) for one in given[1]]),
    "Sub": lambda tf, given, _: tf.subtract(*given),
    "Tanh": lambda tf, given, _: tf.tanh(*given),
    "Where": lambda tf, given, _: tf.where(*given),
}


class TensorflowScore:
    """The score of an ONNX graph, for TensorFlow: `X` float32 [rows, inputs] to float32 [rows].

    Raises:
        BundleError: it has operators that are none of these.
    """

    def __init__(self, content: bytes, name: str) -> None:
        self._graph = onnx.load_model_from_string(content).graph
        others = {node.op_type for node in self._graph.node} - _OPERATORS.keys()
        if others:
            raise BundleError(
                f"the detector `{name}` is no network that TensorFlow can hold (ONNX operator "
                f"{', '.join(sorted(others))}): package it with `--flavour pyfunc`."
            )

    def __call__(self, tf: Any, rows: Tensor) -> Tensor:
        """The tensor of scores, by the operators of `tf`."""
        values: dict[str, Tensor] = {
            one.name: numpy_helper.to_array(one) for one in self._graph.initializer
        }
        values[INPUT] = rows
        for node in self._graph.node:
            attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
            given = [values[name] for name in node.input]
            values[node.output[0]] = _OPERATORS[node.op_type](tf, given, attributes)
        return values[OUTPUT]
