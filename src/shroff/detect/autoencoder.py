"""Autoencoder: the error with which a network that learned normal payments rebuilds this one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from shroff.detect.deep.detector import NeuralDetector, Study
from shroff.detect.deep.inputs import Scaling
from shroff.detect.deep.network import Dense
from shroff.detect.deep.ops import MIN_DIVISOR, NumpyOps, Ops, Tensor, TrainingOps, log_ratio
from shroff.detect.deep.training import LearningTask
from shroff.detect.rarity import Side
from shroff.detect.space import Choice, Range, Space
from shroff.errors import ConfigurationError


@dataclass(frozen=True)
class _Rebuild(LearningTask):
    """Rebuild the row from a noisy copy, through the bottleneck."""

    name: ClassVar[str] = "rebuilding"
    encoder: Dense
    decoder: Dense
    noise: float

    def loss(
        self, ops: TrainingOps, weights: Mapping[str, Tensor], batch: Mapping[str, Tensor]
    ) -> Tensor:
        x = batch["normal"]
        read = x + self.noise * ops.normal(x, x.shape[1]) if self.noise else x
        rebuilt = self.decoder.train(ops, weights, self.encoder.train(ops, weights, read))
        return ops.mean(ops.square(rebuilt - x))


class Autoencoder(NeuralDetector):
    """Score by the error with which a bottleneck network rebuilds the payment.

    The score is log(1 + squared error / a typical normal row's). Known frauds, where `y` names
    them, are left out of training. Use it as the published yardstick among neural detectors.

    Parameters
    ----------
    n_outputs : int | None, default=None
        Width of the bottleneck, from 1; None: half the inputs, at most 32. Lower it where frauds
        are rebuilt too well.
    noise : float, default=0.1
        Standard deviation of the noise on the inputs in training, in those of a column, from 0.
        Raise it against overfitting.
    n_neurons : int, default=64
        Units of each hidden layer, from 1.
    n_layers : int, default=1
        Hidden layers of each network, from 0.
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
    epochs : int, default=40
        Passes over the normal rows, from 0.
    batch_size : int, default=128
        Rows per step, from 2.
    learning_rate : float, default=0.003
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
        below 0.5. Set it where the training rows hold frauds that nobody has labelled.
    seed : int, default=0
        Seed of weights and batches.

    Attributes
    ----------
    inputs_ : Inputs
        How a row is encoded for the networks.
    encoder_ : Dense
        The network from a row to the bottleneck.
    decoder_ : Dense
        The network back.
    weights_ : dict of str to ndarray of float32
        The weights of both by name.
    typical_ : float
        The squared error of a typical normal row.

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
    Sakurada and Yairi, Anomaly Detection Using Autoencoders with Nonlinear Dimensionality
        Reduction, 2014.
    Vincent et al., Extracting and Composing Robust Features with Denoising Autoencoders, 2008
        (`noise`).

    Examples
    --------
    >>> import numpy as np
    >>> from shroff.detect import Autoencoder
    >>> t = np.random.default_rng(0).normal(size=400)
    >>> X = np.column_stack([t, t, -t]).astype(np.float32)
    >>> autoencoder = Autoencoder(n_outputs=1, epochs=20).fit(X)
    >>> together, apart = autoencoder.score([[1.0, 1.0, -1.0], [1.0, -1.0, 1.0]])
    >>> bool(apart > together + 1)
    True
    """

    name: ClassVar[str] = "autoencoder"
    needs_labels: ClassVar[bool] = False
    search_space: ClassVar[Space] = {
        "n_outputs": Choice((None, 2, 4, 8, 16, 32)),
        "noise": Range(low=0.01, high=1.0, log=True),
        "epochs": Range(low=10, high=100),
        "learning_rate": Range(low=3e-4, high=1e-2, log=True),
        "n_neurons": Choice((16, 64, 128)),
        "n_layers": Range(low=1, high=3),
    }

    def __init__(
        self,
        *,
        n_outputs: int | None = None,
        noise: float = 0.1,
        n_neurons: int = 64,
        n_layers: int = 1,
        activation: str = "leaky_relu",
        batch_norm: bool = False,
        dropout_rate: float = 0.0,
        l1: float = 0.0,
        l2: float = 1e-6,
        epochs: int = 40,
        batch_size: int = 128,
        learning_rate: float = 3e-3,
        optimizer: str = "adam",
        patience: int = 0,
        scaling: Scaling = "z-score",
        side: Side = "both",
        contamination: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.n_outputs = n_outputs
        self.noise = noise
        self.n_neurons = n_neurons
        self.n_layers = n_layers
        self.activation = activation
        self.batch_norm = batch_norm
        self.dropout_rate = dropout_rate
        self.l1 = l1
        self.l2 = l2
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.patience = patience
        self.scaling = scaling
        self.side = side
        self.contamination = contamination
        self.seed = seed

    def _learn(self, study: Study) -> None:
        self.encoder_, self.decoder_ = self._networks(study.normal.shape[1])
        rng = np.random.default_rng(self.seed)
        weights = self.encoder_.initial(rng) | self.decoder_.initial(rng)
        task = _Rebuild(
            {"normal": study.normal},
            self.encoder_,
            self.decoder_,
            self.noise,
            held=study.held_tables,
            l1=self.l1,
            l2=self.l2,
        )
        self.weights_ = study.learn(task, weights, self._training(self.epochs))
        errors = self._errors(NumpyOps(), study.normal.astype(np.float64))
        self.typical_ = max(float(np.median(errors)), MIN_DIVISOR)

    def _networks(self, width: int) -> tuple[Dense, Dense]:
        bottleneck = (
            min(_MAX_BOTTLENECK_UNITS, max(1, width // 2))
            if self.n_outputs is None
            else self.n_outputs
        )
        if bottleneck < 1:
            raise ConfigurationError(f"expected n_outputs of at least 1, got {bottleneck}")

        def dense(name: str, inputs: int, outputs: int) -> Dense:
            return Dense(
                name,
                inputs,
                outputs,
                self.n_neurons,
                self.n_layers,
                self.activation,
                batch_norm=self.batch_norm,
                dropout_rate=self.dropout_rate,
            )

        return dense("encoder", width, bottleneck), dense("decoder", bottleneck, width)

    def _errors(self, ops: Ops, z: Tensor) -> Tensor:
        weights = {name: ops.constant(array) for name, array in self.weights_.items()}
        rebuilt = self.decoder_.formula(ops, weights, self.encoder_.formula(ops, weights, z))
        gap = ops.subtract(rebuilt, z)
        return ops.row_sum(ops.multiply(gap, gap))

    def _formula(self, ops: Ops, z: Tensor) -> Tensor:
        return log_ratio(ops, self._errors(ops, z), self.typical_)


_MAX_BOTTLENECK_UNITS = 32
