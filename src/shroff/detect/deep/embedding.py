"""A residual embedding: a fixed map that keeps distances, plus a learned network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shroff.arrays import Rows
from shroff.detect.deep.network import Arrays, Dense, Weights
from shroff.detect.deep.ops import NumpyOps, Ops, Tensor, TrainingOps


@dataclass(frozen=True)
class Embedding:
    """`x Q + network(x)` with a fixed `Q` of orthonormal columns, or `network(x)` alone without
    `residual`.

    `Q` is the identity where the row fits, so the untrained embedding keeps distances, and training
    cannot collapse it to a point: the network would have to learn `-x Q`.
    """

    network: Dense
    residual: bool

    def initial(self, rng: np.random.Generator) -> Arrays:
        """Random weights and, with `residual`, the fixed map."""
        arrays = self.network.initial(rng)
        if self.residual:
            arrays[f"{self.network.name}/fixed"] = _orthonormal(
                rng, self.network.inputs, self.network.outputs
            )
        return arrays

    def formula(self, ops: Ops, weights: Weights, x: Tensor) -> Tensor:
        """[rows, inputs] to [rows, outputs]."""
        return self._with(ops, weights, x, self.network.formula(ops, weights, x))

    def train(self, ops: TrainingOps, weights: Weights, x: Tensor, *, keep: bool = True) -> Tensor:
        """`formula` in a training step."""
        return self._with(ops, weights, x, self.network.train(ops, weights, x, keep=keep))

    def train_both(self, ops: TrainingOps, weights: Weights, kept: Tensor, other: Tensor) -> Tensor:
        """`train` for two stacked batches, each by its own statistics; only `kept` updates any."""
        if not self.network.batch_norm:
            return self.train(ops, weights, ops.stack([kept, other]))
        return ops.stack(
            [self.train(ops, weights, kept), self.train(ops, weights, other, keep=False)]
        )

    def slope(self, ops: TrainingOps, weights: Weights, x: Tensor, above: Tensor) -> Tensor:
        """The gradient by `x` of a sum whose gradient by the embedding is `above`."""
        through = self.network.slope(ops, weights, x, above)
        if not self.residual:
            return through
        return through + ops.matmul(above, ops.transpose(weights[f"{self.network.name}/fixed"]))

    def halfway(self, weights: Arrays) -> Arrays:
        """The weights whose embedding lies halfway between the fixed map and the learned one.

        A network that is only shown normal rows also moves other rows towards them; halfway keeps
        what it learned and less of that. Wortsman et al., Robust Fine-Tuning of Zero-Shot Models,
        2022. Without `residual` there is nothing to go back to.
        """
        if not self.residual:
            return weights
        last = f"{self.network.name}/{self.network.n_layers}/"
        return {
            name: array * np.float32(0.5) if name.startswith(last) else array
            for name, array in weights.items()
        }

    def _with(self, ops: Ops, weights: Weights, x: Tensor, learned: Tensor) -> Tensor:
        if not self.residual:
            return learned
        return ops.add(ops.matmul(x, weights[f"{self.network.name}/fixed"]), learned)


def latent(embedding: Embedding, weights: Arrays, rows: Rows) -> Rows:
    """The embedding of encoded rows."""
    ops = NumpyOps()
    exact = {name: ops.constant(array) for name, array in weights.items()}
    placed: Rows = embedding.formula(ops, exact, ops.constant(rows)).astype(np.float32)
    return placed


def first_gain(residual: bool) -> float:
    """Gain of the last layer's initial weights: small where the network adds to a fixed map."""
    return 0.1 if residual else 1.0


def spread(placed: Rows) -> Rows:
    """Standard deviation of each latent direction, [1, width]."""
    first: Rows = np.maximum(placed.std(axis=0, keepdims=True), _MIN_SPREAD)
    return first


def shrinkage(ops: TrainingOps, z: Tensor, first: Rows) -> Tensor:
    """The mean share by which the batch's latent directions are narrower than their `first` spread.

    Variance against collapse: Chong et al., Simple and Effective Prevention of Mode Collapse in
    Deep One-Class Classification, 2020.
    """
    variance = ops.column_mean(ops.square(z - ops.column_mean(z)))
    return ops.mean(ops.relu(1.0 - ops.sqrt(variance + _MIN_SPREAD**2) * ops.constant(1.0 / first)))


_MIN_SPREAD = 1e-3


def _orthonormal(rng: np.random.Generator, inputs: int, outputs: int) -> Rows:
    if outputs >= inputs:
        return np.eye(inputs, outputs, dtype=np.float32)
    basis, _ = np.linalg.qr(rng.normal(size=(inputs, outputs)))
    # rows keep their mean squared length
    return np.asarray(basis * np.sqrt(inputs / outputs), dtype=np.float32)
