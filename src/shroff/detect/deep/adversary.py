"""The losses of generator and discriminator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np

from shroff.arrays import Rows
from shroff.detect.deep.centres import Centres
from shroff.detect.deep.embedding import Embedding, shrinkage
from shroff.detect.deep.network import Arrays, Dense
from shroff.detect.deep.ops import Tensor, TrainingOps
from shroff.detect.deep.training import LearningTask


class GameLoss(NamedTuple):
    """The discriminator's loss over real and unreal logits, and the generator's over its own."""

    discriminator: Callable[[TrainingOps, Tensor, Tensor], Tensor]
    generator: Callable[[TrainingOps, Tensor], Tensor]


def _entropy(ops: TrainingOps, real: Tensor, unreal: Tensor) -> Tensor:
    return ops.mean(ops.softplus(-real)) + ops.mean(ops.softplus(unreal))


def _squares(ops: TrainingOps, real: Tensor, unreal: Tensor) -> Tensor:
    return ops.mean(ops.square(real - 1.0)) + ops.mean(ops.square(unreal + 1.0))


LOSSES = {
    "cross_entropy": GameLoss(_entropy, lambda ops, unreal: ops.mean(ops.softplus(-unreal))),
    "least_squares": GameLoss(_squares, lambda ops, unreal: ops.mean(ops.square(unreal - 1.0))),
    "wasserstein_gp": GameLoss(
        lambda ops, real, unreal: ops.mean(unreal) - ops.mean(real),
        lambda ops, unreal: -ops.mean(unreal),
    ),
    "fence": GameLoss(
        _entropy, lambda ops, unreal: ops.mean(ops.square(ops.sigmoid(unreal) - _FENCE_PROBABILITY))
    ),
}
"""Goodfellow et al., 2014; Mao et al., 2017; Gulrajani et al., 2017; Ngo et al., 2019."""

_FENCE_PROBABILITY = 0.5
"""The probability of being real that the generator aims at: undecided, so at the border."""

_DISPERSION_WEIGHT = 1.0
_GRADIENT_PENALTY_WEIGHT = 10.0
_MIN_BLUR_STD = 0.1
_MAX_BLUR_STD = 3.0
_EPSILON = 1e-3


@dataclass(frozen=True)
class Adversaries(LearningTask):
    """One step of the game: each network is updated against the current weights of the others."""

    name: ClassVar[str] = "adversaries"
    loss_type: str = field(kw_only=True)
    features: Embedding = field(kw_only=True)
    generator: Dense = field(kw_only=True)
    encoder: Dense = field(kw_only=True)
    centres: Centres = field(kw_only=True)
    spread: Rows = field(kw_only=True)
    guard: float = field(kw_only=True)
    blur: float = field(kw_only=True)
    rebuild: bool = field(kw_only=True)

    def initial(self) -> Arrays:
        """The discriminator's last layer: real at energies below a typical normal row's."""
        return {
            "head/kernel": np.full((1, 1), -4.0, np.float32),
            "head/bias": np.full((1, 1), 4.0, np.float32),
        }

    def trains(self, name: str) -> bool:
        """All kernels and biases; the encoder's only with reconstruction."""
        return super().trains(name) and (self.rebuild or not name.startswith("encoder/"))

    def loss(
        self, ops: TrainingOps, weights: Mapping[str, Tensor], batch: Mapping[str, Tensor]
    ) -> Tensor:
        real = batch["normal"]
        width = self.generator.outputs
        noise, shock = ops.split(
            ops.normal(real, self.generator.inputs + width), self.generator.inputs
        )
        made = self.generator.train(ops, weights, noise)
        unreal = self._unreal(ops, real, ops.stop_gradient(made), shock)
        if "fraud" in batch:
            unreal = ops.stack([unreal, batch["fraud"]])
        loss = self._discriminate(ops, weights, real, unreal) + self._generate(ops, weights, made)
        return loss + self._rebuild(ops, weights, real) if self.rebuild else loss

    def _unreal(self, ops: TrainingOps, real: Tensor, made: Tensor, shock: Tensor) -> Tensor:
        """The generator's rows, a share of them replaced by real rows with noise."""
        if not self.blur:
            return made
        log_size, choice = ops.split(ops.uniform(real, 2), 1)
        span = float(np.log(_MAX_BLUR_STD / _MIN_BLUR_STD))
        blurred = real + ops.exp(log_size * span + float(np.log(_MIN_BLUR_STD))) * shock
        return made + ops.positive(self.blur - choice) * (blurred - made)

    def _logit(self, ops: TrainingOps, weights: Mapping[str, Tensor], z: Tensor) -> Tensor:
        return (
            ops.matmul(self.centres.suspicion(ops, z), weights["head/kernel"])
            + weights["head/bias"]
        )

    def _discriminate(
        self, ops: TrainingOps, weights: Mapping[str, Tensor], real: Tensor, unreal: Tensor
    ) -> Tensor:
        rows = real.shape[0]
        both = self.features.train_both(ops, weights, real, unreal)
        logits = ops.unstack(self._logit(ops, weights, both), rows)
        z, _ = ops.unstack(both, rows)
        loss = LOSSES[self.loss_type].discriminator(ops, *logits) + self.guard * shrinkage(
            ops, z, self.spread
        )
        if self.loss_type == "wasserstein_gp":
            loss = loss + _GRADIENT_PENALTY_WEIGHT * self._steepness(ops, weights, real, unreal)
        return loss

    def _steepness(
        self, ops: TrainingOps, weights: Mapping[str, Tensor], real: Tensor, unreal: Tensor
    ) -> Tensor:
        """The gradient penalty: (length of the gradient - 1)², between real and unreal rows."""
        share = ops.uniform(real, 1)
        between = share * real + (1.0 - share) * unreal[: real.shape[0]]
        z = self.features.train(ops, weights, between, keep=False)
        ratio = self.centres.distance(ops, z) / self.centres.typical
        above = self.centres.distance_slope(ops, z) / (self.centres.typical * (1.0 + ratio))
        gradient = self.features.slope(ops, weights, between, above) * weights["head/kernel"]
        length = ops.sqrt(ops.row_sum(ops.square(gradient)) + _EPSILON**2)
        return ops.mean(ops.square(length - 1.0))

    def _generate(self, ops: TrainingOps, weights: Mapping[str, Tensor], made: Tensor) -> Tensor:
        judge = _frozen(ops, weights, "features/", "head/")
        logit = self._logit(ops, judge, self.features.train(ops, judge, made, keep=False))
        loss = LOSSES[self.loss_type].generator(ops, logit)
        if self.loss_type == "fence":
            off = made - ops.column_mean(made)
            apart = ops.mean(ops.sqrt(ops.row_sum(ops.square(off)) + _EPSILON))
            loss = loss + _DISPERSION_WEIGHT / (apart + _EPSILON)
        return loss

    def _rebuild(self, ops: TrainingOps, weights: Mapping[str, Tensor], real: Tensor) -> Tensor:
        noise = self.encoder.train(ops, weights, real)
        rebuilt = self.generator.train(ops, _frozen(ops, weights, "generator/"), noise, keep=False)
        return ops.mean(ops.square(rebuilt - real))


def _frozen(ops: TrainingOps, weights: Mapping[str, Tensor], *networks: str) -> dict[str, Tensor]:
    """The weights of some networks as constants, so that no gradient reaches them."""
    return {
        name: ops.stop_gradient(value)
        for name, value in weights.items()
        if name.startswith(networks)
    }
