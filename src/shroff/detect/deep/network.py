"""Dense networks as named arrays and a formula over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from shroff.arrays import Floats32
from shroff.detect.deep.activations import ACTIVATIONS
from shroff.detect.deep.ops import Ops, Tensor, TrainingOps
from shroff.errors import ConfigurationError

Arrays = dict[str, Floats32]
"""Weights by name; `…/mean` and `…/variance` are statistics of batch normalisation."""

Weights = Mapping[str, Tensor]
"""The weights as an engine's tensors."""

_VARIANCE_EPSILON = 1e-4
_STATISTICS_MOMENTUM = 0.9


@dataclass(frozen=True)
class Dense:
    """A stack of dense layers: hidden ones of `n_neurons` with an activation, and a linear last
    one.

    Attributes:
        n_layers: hidden layers; 0: a linear map.
        bias: off for Deep SVDD, where a bias lets the network map every row to the centre.
        batch_norm: whether each hidden unit is standardised over the batch before its activation.
        dropout_rate: share of hidden units left out in a training step.
        last_gain: factor of the last layer's initial weights.

    Raises:
        ConfigurationError: a value out of range.

    >>> stack = Dense("encoder", inputs=3, outputs=2, n_neurons=8, n_layers=1)
    >>> {name: array.shape for name, array in stack.initial(np.random.default_rng(0)).items()}
    {'encoder/0/kernel': (3, 8), 'encoder/0/bias': (1, 8), 'encoder/1/kernel': (8, 2),
    'encoder/1/bias': (1, 2)}
    """

    name: str
    inputs: int
    outputs: int
    n_neurons: int = 64
    n_layers: int = 2
    activation: str = "leaky_relu"
    bias: bool = True
    batch_norm: bool = False
    dropout_rate: float = 0.0
    last_gain: float = 1.0

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ConfigurationError(
                f"expected an activation out of {', '.join(ACTIVATIONS)}, got `{self.activation}`"
            )
        if self.n_neurons < 1 or self.n_layers < 0:
            raise ConfigurationError(
                "expected n_neurons of at least 1 and n_layers of at least 0, got "
                f"{self.n_neurons} and {self.n_layers}"
            )
        if not 0.0 <= self.dropout_rate < 1.0:
            raise ConfigurationError(
                f"expected a dropout_rate from 0 to below 1, got {self.dropout_rate}"
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """Numbers per row before, between and after the layers."""
        return (self.inputs, *[self.n_neurons] * self.n_layers, self.outputs)

    def initial(self, rng: np.random.Generator) -> Arrays:
        """Random weights (He et al., 2015), biases of 0."""
        arrays: Arrays = {}
        for at, (fan_in, fan_out) in enumerate(pairwise(self.widths)):
            gain = np.sqrt(2.0) if at < self.n_layers else self.last_gain
            kernel = rng.normal(size=(fan_in, fan_out)) * gain / np.sqrt(fan_in)
            arrays[self._named(at, "kernel")] = kernel.astype(np.float32)
            if self.bias:
                arrays[self._named(at, "bias")] = np.zeros((1, fan_out), np.float32)
            if self.batch_norm and at < self.n_layers:
                arrays[self._named(at, "mean")] = np.zeros((1, fan_out), np.float32)
                arrays[self._named(at, "variance")] = np.ones((1, fan_out), np.float32)
        return arrays

    def _named(self, at: int, kind: str) -> str:
        return f"{self.name}/{at}/{kind}"

    def formula(self, ops: Ops, weights: Weights, x: Tensor) -> Tensor:
        """[rows, inputs] to [rows, outputs], with the learned statistics and every unit."""

        def after(at: int, h: Tensor) -> Tensor:
            if self.batch_norm:
                variance = ops.add(
                    weights[self._named(at, "variance")], ops.constant(_VARIANCE_EPSILON)
                )
                scale = ops.exp(ops.multiply(ops.log(variance), ops.constant(-0.5)))
                h = ops.multiply(ops.subtract(h, weights[self._named(at, "mean")]), scale)
            return ACTIVATIONS[self.activation].formula(ops, h)

        return self._through(ops, weights, x, after)

    def train(self, ops: TrainingOps, weights: Weights, x: Tensor, *, keep: bool = True) -> Tensor:
        """`formula` in training, by the batch's own statistics; `keep` updates the learned ones."""

        def after(at: int, h: Tensor) -> Tensor:
            if self.batch_norm:
                mean = ops.column_mean(h)
                variance = ops.column_mean(ops.square(h - mean))
                if keep:
                    ops.drift(weights[self._named(at, "mean")], mean, _STATISTICS_MOMENTUM)
                    ops.drift(weights[self._named(at, "variance")], variance, _STATISTICS_MOMENTUM)
                h = (h - mean) / ops.sqrt(variance + _VARIANCE_EPSILON)
            h = ACTIVATIONS[self.activation].formula(ops, h)
            return ops.dropout(h, self.dropout_rate) if self.dropout_rate else h

        return self._through(ops, weights, x, after)

    def _through(
        self, ops: Ops, weights: Weights, x: Tensor, after: Callable[[int, Tensor], Tensor]
    ) -> Tensor:
        for at in range(self.n_layers + 1):
            x = self._layer(ops, weights, x, at)
            if at < self.n_layers:
                x = after(at, x)
        return x

    def _layer(self, ops: Ops, weights: Weights, x: Tensor, at: int) -> Tensor:
        h = ops.matmul(x, weights[self._named(at, "kernel")])
        return ops.add(h, weights[self._named(at, "bias")]) if self.bias else h

    def slope(self, ops: TrainingOps, weights: Weights, x: Tensor, above: Tensor) -> Tensor:
        """The gradient by `x` [rows, inputs] of a sum whose gradient by the outputs is `above`
        [rows, outputs].

        Written out, so that a gradient penalty trains on any backend. Raises ConfigurationError
        with batch_norm, which makes rows depend on each other (Gulrajani et al., 2017).
        """
        if self.batch_norm:
            raise ConfigurationError(
                "a gradient penalty needs a network without batch_norm: switch one of the two off"
            )
        before = []
        for at in range(self.n_layers):
            before.append(self._layer(ops, weights, x, at))
            x = ACTIVATIONS[self.activation].formula(ops, before[-1])
        for at in reversed(range(self.n_layers + 1)):
            above = ops.matmul(above, ops.transpose(weights[self._named(at, "kernel")]))
            if at:
                above = above * ACTIVATIONS[self.activation].slope(ops, before[at - 1])
        return above
