"""Deep support vector data description: how far a payment lies from where normal ones gather."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from shroff.detect.arrays import Rows
from shroff.detect.deep.centres import Centres
from shroff.detect.deep.detector import NeuralDetector, Study
from shroff.detect.deep.embedding import Embedding, first_gain, latent, shrinkage, spread
from shroff.detect.deep.inputs import Scaling
from shroff.detect.deep.ops import Ops, Tensor, TrainingOps
from shroff.detect.deep.training import LearningTask
from shroff.detect.network import Dense
from shroff.detect.outlying import Side
from shroff.detect.space import Choice, Range, Space
from shroff.errors import ConfigurationError

Objective = Literal["one_class", "soft_boundary"]


@dataclass(frozen=True)
class _Reconstruct(LearningTask):
    """Pretraining: the embedding must keep what a decoder needs to rebuild the row."""

    name: ClassVar[str] = "pretraining"
    embedding: Embedding
    decoder: Dense

    def loss(self, ops: TrainingOps, weights: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        x = batch["normal"]
        rebuilt = self.decoder.train(ops, weights, self.embedding.train(ops, weights, x))
        return ops.mean(ops.square(rebuilt - x))


@dataclass(frozen=True)
class _Gather(LearningTask):
    """Normal rows close to the centres, known frauds far from them, and no latent direction shrunk to nothing."""

    name: ClassVar[str] = "gathering"
    embedding: Embedding
    centres: Centres
    objective: Objective
    nu: float
    eta: float
    spread: Rows
    guard: float

    def loss(self, ops: TrainingOps, weights: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        z = self.embedding.train(ops, weights, batch["normal"])
        near = self.centres.distance(ops, z) * (1.0 / self.centres.typical)
        loss = ops.mean(near) if self.objective == "one_class" else self._outside(ops, near)
        loss = loss + self.guard * shrinkage(ops, z, self.spread)
        if "fraud" in batch:
            far = self.centres.distance(ops, self.embedding.train(ops, weights, batch["fraud"], keep=False))
            loss = loss + self.eta * ops.mean(1.0 / (far * (1.0 / self.centres.typical) + _TINY))
        return loss

    def _outside(self, ops: TrainingOps, near: Tensor) -> Tensor:
        # the radius that leaves a share nu outside is the best one for the network as it is
        radius = ops.stop_gradient(ops.quantile(near, 1.0 - self.nu))
        return ops.mean(ops.relu(near - radius)) / self.nu


_TINY = 1e-3


class DeepSVDD(NeuralDetector):
    """Score by the distance, in a learned space, to the centres around which normal payments gather.

    A network without biases is pretrained as an autoencoder's encoder, centres are set among the normal rows, and the
    network is trained to pull normal rows to them: Deep SVDD. The score is log(1 + squared distance / a normal row's).

    Added to the paper's method, each with a switch:

    - `n_centres` centres by k-means and a soft distance to all of them, in place of one sphere (Ghafoori and Leckie,
      2020): payments come in many normal kinds. `n_centres=1` is the paper's.
    - `residual`: the network learns what to add to an embedding that keeps distances, so it cannot collapse.
    - `guard`: weight of a penalty on latent directions that shrink below their first spread (Chong et al., 2020).
    - known frauds, where `y` tells them, are pushed away with weight `eta`: Deep SAD.

    objective: `"one_class"` (mean distance) or `"soft_boundary"` (distance beyond the radius that leaves a share `nu`
    of normal rows outside). n_neurons, n_layers, activation, batch_norm, dropout_rate: the network's hidden layers.
    n_outputs: width of the space, at most that of the inputs. l1, l2: penalties of the kernels. epochs,
    pretrain_epochs: passes over the normal rows, 0 for none. batch_size: rows a step. learning_rate: the first, falling
    along a cosine. optimizer: Keras' name. patience: epochs without a better loss on a tenth held out before training
    stops, 0 for never. scaling: of numeric columns, `"z-score"` or `"quantile"` (normal scores of their ranks). side:
    `"upper"` where only much of an input is suspicious. contamination: share of the training rows, those farthest out,
    that nothing is learned from: frauds that nobody has found. seed: of weights, centres and batches.

    Ruff et al., Deep One-Class Classification, 2018. Ruff et al., Deep Semi-Supervised Anomaly Detection, 2020.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    >>> svdd = DeepSVDD(n_centres=8, epochs=2, pretrain_epochs=2).fit(X)
    >>> bool(svdd.score([[6.0, 6.0]])[0] > svdd.score(X).max())
    True
    """

    name: ClassVar[str] = "deep_svdd"
    needs_labels: ClassVar[bool] = False
    search_space: ClassVar[Space] = {
        "n_centres": Choice((1, 16, 64, 256)),
        "guard": Range(low=0.3, high=30.0, log=True),
        "epochs": Range(low=5, high=40),
        "learning_rate": Range(low=1e-4, high=3e-3, log=True),
        "n_neurons": Choice((16, 64, 128)),
        "n_layers": Range(low=1, high=3),
    }

    def __init__(
        self,
        *,
        objective: Objective = "one_class",
        n_centres: int = 256,
        residual: bool = True,
        guard: float = 3.0,
        nu: float = 0.05,
        eta: float = 1.0,
        n_neurons: int = 64,
        n_layers: int = 2,
        n_outputs: int = 64,
        activation: str = "leaky_relu",
        batch_norm: bool = False,
        dropout_rate: float = 0.0,
        l1: float = 0.0,
        l2: float = 1e-6,
        epochs: int = 20,
        pretrain_epochs: int = 0,
        batch_size: int = 128,
        learning_rate: float = 3e-4,
        optimizer: str = "adam",
        patience: int = 0,
        scaling: Scaling = "z-score",
        side: Side = "both",
        contamination: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.objective = objective
        self.n_centres = n_centres
        self.residual = residual
        self.guard = guard
        self.nu = nu
        self.eta = eta
        self.n_neurons = n_neurons
        self.n_layers = n_layers
        self.n_outputs = n_outputs
        self.activation = activation
        self.batch_norm = batch_norm
        self.dropout_rate = dropout_rate
        self.l1 = l1
        self.l2 = l2
        self.epochs = epochs
        self.pretrain_epochs = pretrain_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.patience = patience
        self.scaling = scaling
        self.side = side
        self.contamination = contamination
        self.seed = seed

    def _learn(self, study: Study) -> None:
        self._validate()
        embedding, decoder = self._networks(study.normal.shape[1])
        rng = np.random.default_rng(self.seed)
        weights = embedding.initial(rng) | decoder.initial(rng)
        held = study.held_tables
        pretraining = _Reconstruct({"normal": study.normal}, embedding, decoder, held=held, l1=self.l1, l2=self.l2)
        weights = study.learn(pretraining, weights, self._training(self.pretrain_epochs))
        placed = latent(embedding, weights, study.normal)
        centres = Centres.learn(placed, self.n_centres, seed=self.seed)
        gathering = _Gather(
            study.tables if self.eta else {"normal": study.normal},
            embedding,
            centres,
            self.objective,
            self.nu,
            self.eta,
            spread(placed),
            self.guard,
            held=held,
            l1=self.l1,
            l2=self.l2,
        )
        weights = {name: array for name, array in weights.items() if name.startswith("embedding/")}
        self.weights_ = study.learn(gathering, weights, self._training(self.epochs))
        self.embedding_ = embedding
        self.centres_ = centres.scaled_to(latent(embedding, self.weights_, study.normal))

    def _networks(self, width: int) -> tuple[Embedding, Dense]:
        outputs = min(self.n_outputs, width)
        network = Dense(
            "embedding",
            width,
            outputs,
            self.n_neurons,
            self.n_layers,
            self.activation,
            bias=False,
            batch_norm=self.batch_norm,
            dropout_rate=self.dropout_rate,
            last_gain=first_gain(self.residual),
        )
        return Embedding(network, self.residual), Dense("decoder", outputs, width, self.n_neurons, self.n_layers)

    def _validate(self) -> None:
        if self.objective not in ("one_class", "soft_boundary"):
            raise ConfigurationError(f"expected objective `one_class` or `soft_boundary`, got `{self.objective}`")
        if self.n_centres < 1 or self.n_outputs < 1:
            raise ConfigurationError("expected n_centres and n_outputs of at least 1, got less")
        if not 0.0 < self.nu < 1.0 or self.eta < 0.0:
            raise ConfigurationError(f"expected nu between 0 and 1 and eta from 0, got {self.nu} and {self.eta}")

    def _formula(self, ops: Ops, z: Tensor) -> Tensor:
        weights = {name: ops.constant(array) for name, array in self.weights_.items()}
        return self.centres_.suspicion(ops, self.embedding_.formula(ops, weights, z))
