"""Deep support vector data description: a learned distance to centres of normal payments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from shroff.arrays import Rows
from shroff.detect.deep.centres import MAX_TRAINING_CENTRES, Centres
from shroff.detect.deep.detector import NeuralDetector, Study
from shroff.detect.deep.embedding import Embedding, first_gain, latent, shrinkage, spread
from shroff.detect.deep.inputs import Scaling
from shroff.detect.deep.network import Dense
from shroff.detect.deep.ops import Ops, Tensor, TrainingOps
from shroff.detect.deep.training import LearningTask
from shroff.detect.rarity import Side
from shroff.detect.space import Choice, Range, Space
from shroff.errors import ConfigurationError

Objective = Literal["one_class", "soft_boundary"]


@dataclass(frozen=True)
class _Reconstruct(LearningTask):
    """Pretraining: the embedding keeps enough for a decoder to rebuild the row."""

    name: ClassVar[str] = "pretraining"
    embedding: Embedding
    decoder: Dense

    def loss(
        self, ops: TrainingOps, weights: Mapping[str, Tensor], batch: Mapping[str, Tensor]
    ) -> Tensor:
        x = batch["normal"]
        rebuilt = self.decoder.train(ops, weights, self.embedding.train(ops, weights, x))
        return ops.mean(ops.square(rebuilt - x))


@dataclass(frozen=True)
class _Gather(LearningTask):
    """Normal rows near the centres, known frauds far away, and no collapsed latent direction."""

    name: ClassVar[str] = "gathering"
    embedding: Embedding
    centres: Centres
    objective: Objective
    nu: float
    eta: float
    spread: Rows
    guard: float

    def loss(
        self, ops: TrainingOps, weights: Mapping[str, Tensor], batch: Mapping[str, Tensor]
    ) -> Tensor:
        z = self.embedding.train(ops, weights, batch["normal"])
        near = self.centres.distance(ops, z) * (1.0 / self.centres.typical)
        loss = ops.mean(near) if self.objective == "one_class" else self._outside(ops, near)
        loss = loss + self.guard * shrinkage(ops, z, self.spread)
        if "fraud" in batch:
            far = self.centres.distance(
                ops, self.embedding.train(ops, weights, batch["fraud"], keep=False)
            )
            loss = loss + self.eta * ops.mean(1.0 / (far * (1.0 / self.centres.typical) + _EPSILON))
        return loss

    def _outside(self, ops: TrainingOps, near: Tensor) -> Tensor:
        # for the current network, the quantile is the radius of least loss
        radius = ops.stop_gradient(ops.quantile(near, 1.0 - self.nu))
        return ops.mean(ops.relu(near - radius)) / self.nu


_EPSILON = 1e-3


class DeepSVDD(NeuralDetector):
    """Score by the distance, in a learned space, to the centres around which normal payments
    gather.

    A network without biases is trained to pull normal rows to centres set among them: Deep SVDD.
    Known frauds, where `y` names them, are pushed away: Deep SAD. The score is log(1 + squared
    distance / a typical normal row's). Beyond the papers, many centres by k-means replace the one
    sphere, `residual` keeps distances and `guard` their spread, and without known frauds half of
    what the network adds is kept and the score compares a row with the centres near it;
    `n_centres=1, residual=False, guard=0.0` is the paper's method.

    Parameters
    ----------
    objective : Literal['one_class', 'soft_boundary'], default='one_class'
        `"one_class"` minimises the mean distance, `"soft_boundary"` the distance beyond the radius
        that leaves the share `nu` of normal rows outside.
    n_centres : int, default=1024
        Centres of normal rows, from 1; fewer where rows are few or inputs are many, and at most 256
        with known frauds.
    residual : bool, default=True
        Whether the network adds to an embedding that keeps distances, so that it cannot collapse to
        a point.
    guard : float, default=3.0
        Weight of the penalty on latent directions that shrink below their first spread, from 0.
    nu : float, default=0.05
        Share of normal rows outside a soft boundary, above 0 and below 1.
    eta : float, default=1.0
        Weight of known frauds, from 0, which ignores them.
    n_neurons : int, default=64
        Units of each hidden layer, from 1.
    n_layers : int, default=2
        Hidden layers of each network, from 0.
    n_outputs : int, default=64
        Width of the learned space, from 1; at most that of the inputs.
    activation : str, default='leaky_relu'
        Activation of the hidden layers: `leaky_relu`, `relu`, `elu`, `silu` or `tanh`.
    batch_norm : bool, default=False
        Whether hidden units are standardised over each batch. Try it where training does not
        settle.
    dropout_rate : float, default=0.0
        Share of hidden units left out of a step, from 0 to below 1. Raise it against overfitting.
    l1 : float, default=0.0
        L1 penalty of the kernels, from 0.
    l2 : float, default=1e-06
        L2 penalty of the kernels, from 0.
    epochs : int, default=20
        Passes over the normal rows, from 0.
    pretrain_epochs : int, default=0
        Passes over the normal rows as an autoencoder's encoder before; 0: none.
    batch_size : int, default=128
        Rows per step, from 2.
    learning_rate : float, default=0.0003
        Size of the first step, above 0; it falls to 0 along a cosine. Lower it where the loss
        jumps.
    optimizer : str, default='adam'
        Keras' name of the optimizer, such as `adam`, `rmsprop` or `sgd`.
    patience : int, default=0
        Epochs without a lower loss on a held-out tenth of the normal rows before training stops; 0:
        never.
    scaling : Literal['z-score', 'quantile', 'surprise'], default='z-score'
        How numeric columns are scaled. `"quantile"` takes the normal scores of their ranks: set it
        where inputs are flags and counts that are mostly 0. `"surprise"` takes -log of how many
        rows have about the value: set it where each input by itself tells what is suspicious.
    side : Literal['both', 'upper'], default='both'
        `"upper"` counts only values above the middle as unusual: set it where a low value is never
        suspicious.
    contamination : float, default=0.0
        Share of the training rows, those farthest out, that are left out of training, from 0 to
        below 0.5; centres with less than this share of the rows near them then count as remote
        (with 0: than 1 %). Set it where the training rows hold many frauds that nobody has
        labelled.
    seed : int, default=0
        Seed of weights, centres and batches.

    Attributes
    ----------
    inputs_ : Inputs
        How a row is encoded for the network.
    embedding_ : Embedding
        The network, with its residual.
    weights_ : dict of str to ndarray of float32
        The network's weights by name.
    centres_ : Centres
        The centres, and the distance of a typical normal row.

    Raises
    ------
    ConfigurationError
        `fit` gets a parameter out of range.
    DataError
        `fit` gets fewer than 2 normal rows.
    MissingExtra
        Keras is not installed.

    References
    ----------
    Ruff et al., Deep One-Class Classification, 2018.
    Ruff et al., Deep Semi-Supervised Anomaly Detection, 2020.
    Ghafoori and Leckie, Deep Multi-sphere Support Vector Data Description, 2020 (several centres).
    Chong et al., Simple and Effective Prevention of Mode Collapse in Deep One-Class Classification,
        2020 (`guard`).
    Wortsman et al., Robust Fine-Tuning of Zero-Shot Models, 2022 (half of what is learned).
    Breunig et al., LOF: Identifying Density-Based Local Outliers, 2000 (the comparison).

    Examples
    --------
    >>> import numpy as np
    >>> from shroff.detect import DeepSVDD
    >>> X = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    >>> svdd = DeepSVDD(n_centres=8, epochs=2, pretrain_epochs=2).fit(X)
    >>> bool(svdd.score([[6.0, 6.0]])[0] > svdd.score(X).max())
    True
    """

    name: ClassVar[str] = "deep_svdd"
    needs_labels: ClassVar[bool] = False
    search_space: ClassVar[Space] = {
        "n_centres": Choice((1, 16, 64, 256, 1024)),
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
        n_centres: int = 1024,
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
        embedding, decoder = self._networks(study.normal.shape[1])
        rng = np.random.default_rng(self.seed)
        weights = embedding.initial(rng) | decoder.initial(rng)
        held = study.held_tables
        pretraining = _Reconstruct(
            {"normal": study.normal}, embedding, decoder, held=held, l1=self.l1, l2=self.l2
        )
        weights = study.learn(pretraining, weights, self._training(self.pretrain_epochs))
        placed = latent(embedding, weights, study.normal)
        centres = Centres.learn(placed, min(self.n_centres, MAX_TRAINING_CENTRES), seed=self.seed)
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
        learned = study.learn(gathering, weights, self._training(self.epochs))
        self.embedding_ = embedding
        known = "fraud" in gathering.tables
        # where frauds lie among normal rows, centres placed anew would follow these away
        self.weights_ = learned if known else embedding.halfway(learned)
        placed = latent(embedding, self.weights_, study.normal)
        self.centres_ = (
            centres.scaled_to(placed)
            if known
            else centres.refined(placed, self.n_centres, seed=self.seed, dirty=self.contamination)
        )

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
        return Embedding(network, self.residual), Dense(
            "decoder", outputs, width, self.n_neurons, self.n_layers
        )

    def check_parameters(self) -> None:
        """Refuse parameters that are out of range."""
        if self.objective not in ("one_class", "soft_boundary"):
            raise ConfigurationError(
                f"expected objective `one_class` or `soft_boundary`, got `{self.objective}`"
            )
        if self.n_centres < 1 or self.n_outputs < 1:
            raise ConfigurationError("expected n_centres and n_outputs of at least 1, got less")
        if not 0.0 < self.nu < 1.0 or self.eta < 0.0:
            raise ConfigurationError(
                f"expected nu between 0 and 1 and eta from 0, got {self.nu} and {self.eta}"
            )

    def _formula(self, ops: Ops, z: Tensor) -> Tensor:
        weights = {name: ops.constant(array) for name, array in self.weights_.items()}
        return self.centres_.score(ops, self.embedding_.formula(ops, weights, z))
