"""A generative adversarial network whose discriminator scores payments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from shroff.detect.deep.adversary import LOSSES, Adversaries
from shroff.detect.deep.centres import MAX_TRAINING_CENTRES, Centres
from shroff.detect.deep.detector import NeuralDetector, Study
from shroff.detect.deep.embedding import Embedding, first_gain, latent, spread
from shroff.detect.deep.inputs import Scaling
from shroff.detect.deep.network import Arrays, Dense
from shroff.detect.deep.ops import MIN_DIVISOR, NumpyOps, Ops, Tensor, log_ratio
from shroff.detect.rarity import Side
from shroff.detect.space import Choice, Range, Space
from shroff.errors import ConfigurationError

_MAX_EPOCH_STEPS = 20
"""The network starts from distances, so more steps cost more than they gain."""

LossType = Literal["cross_entropy", "least_squares", "wasserstein_gp", "fence"]


class GAN(NeuralDetector):
    """Score by a discriminator between normal payments and generated or blurred ones.

    The discriminator reads a row's energy: log(1 + soft squared distance, in its feature space, to
    centres of real rows / a typical normal row's). It takes rows of low energy for real, so the
    energy is the score, compared, without known frauds, with that of the centres near the row; with
    `reconstruction`, the error with which the generator rebuilds the row is added. An energy,
    unlike a free logit, also judges rows that no generator has shown it. Known frauds, where `y`
    names them, are shown as not real.

    Parameters
    ----------
    loss_type : Literal['cross_entropy', 'least_squares', 'wasserstein_gp', 'fence'], default='fence'
        The game's loss. With `"fence"` the generator aims at the border of the normal rows; with
        the others, at their middle.
    blur : float, default=0.5
        Share of the rows shown as not real that are normal rows with noise of many sizes, from 0 to
        below 1; the others are the generator's.
    reconstruction : float, default=0.0
        Weight of the error with which the generator rebuilds a row from an encoder's noise, from 0,
        which trains no encoder.
    n_noise : int, default=16
        Width of the generator's noise, from 1.
    n_centres : int, default=1024
        Centres of real rows in the feature space, from 1; fewer where rows are few or inputs are
        many, and at most 256 with known frauds.
    residual : bool, default=True
        Whether the network adds to an embedding that keeps distances, so that it cannot collapse to
        a point.
    guard : float, default=3.0
        Weight of the penalty on latent directions that shrink below their first spread, from 0.
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
        settle; `"wasserstein_gp"` refuses it.
    dropout_rate : float, default=0.0
        Share of hidden units left out of a step, from 0 to below 1. Raise it against overfitting.
    l1 : float, default=0.0
        L1 penalty of the kernels, from 0.
    l2 : float, default=1e-06
        L2 penalty of the kernels, from 0.
    epochs : int, default=5
        Passes over the normal rows, from 0.
    batch_size : int, default=128
        Rows per step, from 2.
    learning_rate : float, default=0.001
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
        Seed of weights, centres, noise and batches.

    Attributes
    ----------
    inputs_ : Inputs
        How a row is encoded for the networks.
    features_ : Embedding
        The discriminator's network, with its residual.
    generator_ : Dense
        The generator.
    encoder_ : Dense
        The network from a row to the generator's noise.
    weights_ : dict of str to ndarray of float32
        The weights that the score reads, by name.
    centres_ : Centres
        The centres, and the distance of a typical normal row.
    typical_ : float
        The squared reconstruction error of a typical normal row; 1 without `reconstruction`.

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
    Goodfellow et al., Generative Adversarial Nets, 2014.
    Zhao et al., Energy-based Generative Adversarial Network, 2017 (energy).
    Schlegl et al., Unsupervised Anomaly Detection with Generative Adversarial Networks, 2017, and
        f-AnoGAN, 2019 (`reconstruction`).
    Ngo et al., Fence GAN: Towards Better Anomaly Detection, 2019 (`"fence"`).
    Breunig et al., LOF: Identifying Density-Based Local Outliers, 2000 (the comparison).

    Examples
    --------
    >>> import numpy as np
    >>> from shroff.detect import GAN
    >>> X = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    >>> gan = GAN(n_centres=8, epochs=2).fit(X)
    >>> bool(gan.score([[6.0, 6.0]])[0] > gan.score(X).max())
    True
    """  # noqa: E501  # numpydoc keeps a type and its default in one line

    name: ClassVar[str] = "gan"
    needs_labels: ClassVar[bool] = False
    search_space: ClassVar[Space] = {
        "loss_type": Choice(("fence", "cross_entropy", "least_squares", "wasserstein_gp")),
        "blur": Range(low=0.0, high=0.9),
        "n_centres": Choice((1, 16, 64, 256, 1024)),
        "guard": Range(low=0.3, high=30.0, log=True),
        "epochs": Range(low=2, high=40, log=True),
        "learning_rate": Range(low=1e-4, high=3e-3, log=True),
        "n_neurons": Choice((16, 64, 128)),
        "n_layers": Range(low=1, high=3),
    }

    def __init__(
        self,
        *,
        loss_type: LossType = "fence",
        blur: float = 0.5,
        reconstruction: float = 0.0,
        n_noise: int = 16,
        n_centres: int = 1024,
        residual: bool = True,
        guard: float = 3.0,
        n_neurons: int = 64,
        n_layers: int = 2,
        n_outputs: int = 64,
        activation: str = "leaky_relu",
        batch_norm: bool = False,
        dropout_rate: float = 0.0,
        l1: float = 0.0,
        l2: float = 1e-6,
        epochs: int = 5,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        optimizer: str = "adam",
        patience: int = 0,
        scaling: Scaling = "z-score",
        side: Side = "both",
        contamination: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.loss_type = loss_type
        self.blur = blur
        self.reconstruction = reconstruction
        self.n_noise = n_noise
        self.n_centres = n_centres
        self.residual = residual
        self.guard = guard
        self.n_neurons = n_neurons
        self.n_layers = n_layers
        self.n_outputs = n_outputs
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
        rng = np.random.default_rng(self.seed)
        width = study.normal.shape[1]
        features = Embedding(
            self._dense(
                "features",
                width,
                min(self.n_outputs, width),
                bias=False,
                gain=first_gain(self.residual),
            ),
            self.residual,
        )
        generator, encoder = (
            self._dense("generator", self.n_noise, width),
            self._dense("encoder", width, self.n_noise),
        )
        weights = features.initial(rng) | generator.initial(rng) | encoder.initial(rng)
        placed = latent(features, weights, study.normal)
        centres = Centres.learn(placed, min(self.n_centres, MAX_TRAINING_CENTRES), seed=self.seed)
        game = Adversaries(
            study.tables,
            loss_type=self.loss_type,
            features=features,
            generator=generator,
            encoder=encoder,
            centres=centres,
            spread=spread(placed),
            guard=self.guard,
            blur=self.blur,
            rebuild=self.reconstruction > 0,
            held=study.held_tables,
            l1=self.l1,
            l2=self.l2,
        )
        weights = study.learn(
            game, weights | game.initial(), self._training(self.epochs, max_steps=_MAX_EPOCH_STEPS)
        )
        self.features_, self.generator_, self.encoder_ = features, generator, encoder
        self._keep(weights, centres, study)

    def _keep(self, weights: Arrays, centres: Centres, study: Study) -> None:
        self.weights_ = {
            name: array for name, array in weights.items() if not name.startswith("head/")
        }
        if not self.reconstruction:
            self.weights_ = {
                name: array for name, array in self.weights_.items() if name.startswith("features/")
            }
        normal = study.normal
        if len(study.fraud):
            # where frauds lie among normal rows, centres placed anew would follow these away
            self.centres_ = centres.scaled_to(latent(self.features_, weights, normal))
        else:
            self.weights_ = self.features_.halfway(self.weights_)
            placed = latent(self.features_, self.weights_, normal)
            self.centres_ = centres.refined(
                placed, self.n_centres, seed=self.seed, dirty=self.contamination
            )
        self.typical_ = 1.0
        if self.reconstruction:
            errors = self._errors(NumpyOps(), self.weights_, normal.astype(np.float64))
            self.typical_ = max(float(np.median(errors)), MIN_DIVISOR)

    def _dense(
        self, name: str, inputs: int, outputs: int, *, bias: bool = True, gain: float = 1.0
    ) -> Dense:
        return Dense(
            name,
            inputs,
            outputs,
            self.n_neurons,
            self.n_layers,
            self.activation,
            bias=bias,
            batch_norm=self.batch_norm,
            dropout_rate=self.dropout_rate,
            last_gain=gain,
        )

    def check_parameters(self) -> None:
        """Refuse parameters that are out of range."""
        if self.loss_type not in LOSSES:
            raise ConfigurationError(
                f"expected a loss_type out of {', '.join(LOSSES)}, got `{self.loss_type}`"
            )
        if self.n_centres < 1 or self.n_outputs < 1 or self.n_noise < 1:
            raise ConfigurationError(
                "expected n_centres, n_outputs and n_noise of at least 1, got less"
            )
        if not 0.0 <= self.blur < 1.0 or self.reconstruction < 0.0:
            raise ConfigurationError(
                f"expected blur from 0 to below 1 and reconstruction from 0, got {self.blur} and "
                f"{self.reconstruction}"
            )

    def _errors(self, ops: Ops, weights: Mapping[str, Tensor], z: Tensor) -> Tensor:
        rebuilt = self.generator_.formula(ops, weights, self.encoder_.formula(ops, weights, z))
        gap = ops.subtract(rebuilt, z)
        return ops.row_sum(ops.multiply(gap, gap))

    def _formula(self, ops: Ops, z: Tensor) -> Tensor:
        weights = {name: ops.constant(array) for name, array in self.weights_.items()}
        energy = self.centres_.score(ops, self.features_.formula(ops, weights, z))
        if not self.reconstruction:
            return energy
        term = log_ratio(ops, self._errors(ops, weights, z), self.typical_)
        return ops.add(energy, ops.multiply(term, ops.constant(self.reconstruction)))
