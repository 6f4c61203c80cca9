"""Activation functions, with the derivatives that gradient penalties need."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from shroff.detect.deep.ops import Ops, Tensor, TrainingOps

LEAK = float(np.float32(0.1))
"""Slope of `leaky_relu` below 0, as TensorFlow keeps it."""


class Activation(NamedTuple):
    """A function of one unit in every engine, and its derivative for training."""

    formula: Callable[[Ops, Tensor], Tensor]
    slope: Callable[[TrainingOps, Tensor], Tensor]


def _relu(ops: Ops, x: Tensor) -> Tensor:
    return ops.relu(x)


def _leaky_relu(ops: Ops, x: Tensor) -> Tensor:
    return ops.leaky_relu(x, LEAK)


def _elu(ops: Ops, x: Tensor) -> Tensor:
    below = ops.add(ops.exp(ops.minimum(x, ops.constant(0.0))), ops.constant(-1.0))
    return ops.add(ops.relu(x), below)


def _silu(ops: Ops, x: Tensor) -> Tensor:
    return ops.multiply(x, ops.sigmoid(x))


def _silu_slope(ops: TrainingOps, x: Tensor) -> Tensor:
    gate = ops.sigmoid(x)
    return gate * (1.0 + x * (1.0 - gate))


ACTIVATIONS = {
    "leaky_relu": Activation(_leaky_relu, lambda ops, x: LEAK + (1.0 - LEAK) * ops.positive(x)),
    "relu": Activation(_relu, lambda ops, x: ops.positive(x)),
    "elu": Activation(_elu, lambda ops, x: ops.exp(ops.minimum(x, 0.0))),
    "silu": Activation(_silu, _silu_slope),
    "tanh": Activation(lambda ops, x: ops.tanh(x), lambda ops, x: 1.0 - ops.square(ops.tanh(x))),
}
