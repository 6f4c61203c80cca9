"""Dense layers trained by back-propagation, in NumPy: small networks for tables need no
deep-learning library.

Rows are float32 [rows, inputs], dense or sparse; targets are 1 for fraud. The last layer has one
output, the logit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy import sparse

from shroff.arrays import Floats32

Layer = tuple[Floats32, Floats32]
"""Weights [inputs, outputs] and biases [outputs]."""
Loss = Literal["log", "focal"]

_MIN_EPOCH_STEPS = 50  # so that small tables get enough steps to learn


@dataclass(frozen=True, kw_only=True)
class DenseTraining:
    """How a network learns: Adam (Kingma and Ba, 2015), its step falling to 0 along a cosine.

    An epoch has at least 50 steps, with smaller batches where rows are few. `dropout` is the share
    of hidden units that a batch leaves out, `l2` the decoupled weight decay per step of size 1,
    `focus` the exponent of the focal loss (Lin et al., 2017).
    """

    epochs: int
    batch_size: int
    learning_rate: float
    dropout: float
    l2: float
    loss: Loss
    focus: float
    seed: int


def train(
    X: Floats32 | sparse.csr_matrix,
    target: Floats32,
    weight: Floats32,
    hidden: Sequence[int],
    training: DenseTraining,
) -> list[Layer]:
    """The layers of a rectified network `inputs → hidden … → 1` after `training` on rows with a
    weight each.

    >>> X = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    >>> inside = (X[:, 0] ** 2 + X[:, 1] ** 2 < 1).astype(np.float32)
    >>> training = DenseTraining(
    ...     epochs=60,
    ...     batch_size=32,
    ...     learning_rate=0.01,
    ...     dropout=0.0,
    ...     l2=0.0,
    ...     loss="log",
    ...     focus=2.0,
    ...     seed=0,
    ... )
    >>> layers = train(X, inside, np.ones(400, np.float32), [16], training)
    >>> bool(np.mean((logit(X, layers) > 0) == inside) > 0.95)
    True
    """
    rng = np.random.default_rng(training.seed)
    share = float(np.average(target, weights=weight))
    layers = _start(rng, [X.shape[1], *hidden, 1], math.log(share / (1.0 - share)))
    adam = _Adam([array for layer in layers for array in layer], training.l2)
    batches = max(math.ceil(X.shape[0] / training.batch_size), min(_MIN_EPOCH_STEPS, X.shape[0]))
    for epoch in range(training.epochs):
        for at, rows in enumerate(np.array_split(rng.permutation(X.shape[0]), batches)):
            done = (epoch + at / batches) / training.epochs
            gradients = _gradients(X[rows], target[rows], weight[rows], layers, training, rng)
            adam.step(gradients, training.learning_rate * (1.0 + math.cos(math.pi * done)) / 2.0)
    return layers


def logit(X: Floats32 | sparse.csr_matrix, layers: Sequence[Layer]) -> Floats32:
    """The network's output, float32 [rows]."""
    values = X
    for weights, bias in layers[:-1]:
        values = np.maximum(values @ weights + bias, 0.0)
    weights, bias = layers[-1]
    output: Floats32 = (values @ weights + bias)[:, 0]
    return output


def slope(z: Floats32, target: Floats32, loss: Loss, focus: float) -> Floats32:
    """The derivative of the loss by the logit `z`, row by row.

    >>> slope(np.zeros(2, np.float32), np.array([1, 0], np.float32), "log", 0.0).tolist()
    [-0.5, 0.5]
    """
    sign = 2.0 * target - 1.0
    right = 1.0 / (
        1.0 + np.exp(-np.clip(sign * z, -60.0, 60.0))
    )  # the probability of the true class
    if loss == "log":
        return np.asarray(sign * (right - 1.0), dtype=np.float32)
    wrong = 1.0 - right
    surprise = np.log(np.maximum(right, np.float32(1e-30)))
    return np.asarray(sign * wrong**focus * (focus * right * surprise - wrong), dtype=np.float32)


def _start(rng: np.random.Generator, widths: Sequence[int], bias: float) -> list[Layer]:
    # He et al., 2015; the last layer starts small, its bias at the log-odds of fraud, which saves
    # the first steps
    layers: list[Layer] = []
    for inputs, outputs in pairwise(widths):
        weights = rng.normal(0.0, math.sqrt(2.0 / inputs), (inputs, outputs)).astype(np.float32)
        layers.append((weights, np.zeros(outputs, np.float32)))
    weights, biases = layers[-1]
    weights *= 0.1
    biases += bias
    return layers


def _gradients(
    X: Floats32 | sparse.csr_matrix,
    target: Floats32,
    weight: Floats32,
    layers: Sequence[Layer],
    training: DenseTraining,
    rng: np.random.Generator,
) -> list[Floats32]:
    entered: list[Floats32 | sparse.csr_matrix] = [X]
    passed: list[Floats32] = []
    keep = np.float32(1.0 - training.dropout)
    for weights, bias in layers[:-1]:
        values = entered[-1] @ weights + bias
        gate = (values > 0).astype(np.float32)
        if training.dropout:
            gate *= (rng.random(gate.shape, dtype=np.float32) < keep) / keep
        passed.append(gate)
        entered.append(values * gate)
    weights, bias = layers[-1]
    z = (entered[-1] @ weights + bias)[:, 0]
    back = (weight * slope(z, target, training.loss, training.focus) / len(z))[:, None]
    gradients: list[Floats32] = []
    for at in range(len(layers) - 1, -1, -1):
        gradients[:0] = [np.asarray(entered[at].T @ back), back.sum(axis=0)]
        if at:
            back = (back @ layers[at][0].T) * passed[at - 1]
    return gradients


class _Adam:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019), in place."""

    def __init__(self, arrays: Sequence[Floats32], l2: float) -> None:
        self.arrays = arrays
        self.l2 = l2
        self.first = [np.zeros_like(array) for array in arrays]
        self.second = [np.zeros_like(array) for array in arrays]
        self.steps = 0

    def step(self, gradients: Sequence[Floats32], rate: float) -> None:
        self.steps += 1
        scale = rate * math.sqrt(1.0 - 0.999**self.steps) / (1.0 - 0.9**self.steps)
        for array, first, second, gradient in zip(
            self.arrays, self.first, self.second, gradients, strict=True
        ):
            np.add(first, 0.1 * (gradient - first), out=first)
            np.add(second, 0.001 * (gradient * gradient - second), out=second)
            kept = 1.0 - rate * self.l2 if array.ndim == 2 else 1.0
            np.subtract(kept * array, scale * first / (np.sqrt(second) + 1e-8), out=array)
