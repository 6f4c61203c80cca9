"""A generative adversarial network whose discriminator is made to be kept: it scores payments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from shroff.detect.arrays import Rows
from shroff.detect.deep.adversary import LOSSES, Adversaries
from shroff.detect.deep.centres import Centres
from shroff.detect.deep.detector import NeuralDetector, Study
from shroff.detect.deep.embedding import Embedding, first_gain, latent, spread
from shroff.detect.deep.inputs import Scaling
from shroff.detect.deep.ops import FLOOR, NumpyOps, Ops, Tensor, log_ratio
from shroff.detect.network import Arrays, Dense
from shroff.detect.outlying import Side
from shroff.detect.space import Choice, Range, Space
from shroff.errors import ConfigurationError

_MAX_STEPS = 20
"""Of an epoch: where the network starts from distances, more training wins less than it costs."""

LossType = Literal["cross_entropy", "least_squares", "wasserstein_gp", "fence"]


class GAN(NeuralDetector):
    """Score by a discriminator that learned normal payments against a generator's and blurred ones.

    The discriminator reads a row's energy: log(1 + soft squared distance, in its feature space, to centres of real
    rows / a normal row's). A row is held for real where its energy is low, so the energy is the score, next to the
    error with which the generator can rebuild the row from an encoder's noise where `reconstruction` is above 0.

    Made for detection, each with a switch:

    - an energy to real rows in place of a free logit (Zhao et al., Energy-based GAN, 2017; distance in the features of
      the discriminator as in Schlegl et al., AnoGAN, 2017): it also judges what no generator has shown it.
    - `loss_type="fence"`: the generator aims at the border of the normal rows, not at their midst (Ngo et al., 2019).
    - `blur`: share of the rows shown as not real that are normal rows with noise of many sizes on them.
    - `reconstruction`: weight of the encoder's term (Schlegl et al., f-AnoGAN, 2019; Zenati et al., ALAD, 2018).
    - `residual`, `guard`: features keep distances and their spread, as in `DeepSVDD`.

    loss_type: `"fence"`, `"cross_entropy"`, `"least_squares"` or `"wasserstein_gp"`. n_noise: width of the generator's
    noise. n_centres: of real rows in the feature space. n_neurons, n_layers, activation, batch_norm, dropout_rate:
    hidden layers of each network. n_outputs: width of the feature space, at most that of the inputs. l1, l2: penalties
    of the kernels. epochs: passes over the normal rows. batch_size: rows a step, of each kind. learning_rate: the
    first, falling along a cosine. optimizer: Keras' name. patience: epochs without a better loss on a tenth held out
    before training stops, 0 for never. scaling: of numeric columns, `"z-score"` or `"quantile"` (normal scores of their
    ranks). side: `"upper"` where only much of an input is suspicious. contamination: share of the training rows, those
    farthest out, that nothing is learned from: frauds that nobody has found. seed: of weights, centres, noise and
    batches. Known frauds, where `y` tells them, are shown as not real.

    Goodfellow et al., Generative Adversarial Nets, 2014.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    >>> gan = GAN(n_centres=8, epochs=2).fit(X)
    >>> bool(gan.score([[6.0, 6.0]])[0] > gan.score(X).max())
    True
    """

    name: ClassVar[str] = "gan"
    needs_labels: ClassVar[bool] = False
    search_space: ClassVar[Space] = {
        "loss_type": Choice(("fence", "cross_entropy", "least_squares", "wasserstein_gp")),
        "blur": Range(low=0.0, high=0.9),
        "n_centres": Choice((1, 16, 64, 256)),
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
        n_centres: int = 256,
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
        self._validate()
        rng = np.random.default_rng(self.seed)
        width = study.normal.shape[1]
        features = Embedding(
            self._dense("features", width, min(self.n_outputs, width), bias=False, gain=first_gain(self.residual)),
            self.residual,
        )
        generator, encoder = self._dense("generator", self.n_noise, width), self._dense("encoder", width, self.n_noise)
        weights = features.initial(rng) | generator.initial(rng) | encoder.initial(rng)
        placed = latent(features, weights, study.normal)
        centres = Centres.learn(placed, self.n_centres, seed=self.seed)
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
        weights = study.learn(game, weights | game.initial(), self._training(self.epochs, max_steps=_MAX_STEPS))
        self.features_, self.generator_, self.encoder_ = features, generator, encoder
        self._keep(weights, centres, study.normal)

    def _keep(self, weights: Arrays, centres: Centres, normal: Rows) -> None:
        self.weights_ = {name: array for name, array in weights.items() if not name.startswith("head/")}
        if not self.reconstruction:
            self.weights_ = {name: array for name, array in self.weights_.items() if name.startswith("features/")}
        self.centres_ = centres.scaled_to(latent(self.features_, weights, normal))
        self.typical_ = 1.0
        if self.reconstruction:
            errors = self._errors(NumpyOps(), self.weights_, normal.astype(np.float64))
            self.typical_ = max(float(np.median(errors)), FLOOR)

    def _dense(self, name: str, inputs: int, outputs: int, *, bias: bool = True, gain: float = 1.0) -> Dense:
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

    def _validate(self) -> None:
        if self.loss_type not in LOSSES:
            raise ConfigurationError(f"expected a loss_type out of {', '.join(LOSSES)}, got `{self.loss_type}`")
        if self.n_centres < 1 or self.n_outputs < 1 or self.n_noise < 1:
            raise ConfigurationError("expected n_centres, n_outputs and n_noise of at least 1, got less")
        if not 0.0 <= self.blur < 1.0 or self.reconstruction < 0.0:
            raise ConfigurationError(
                f"expected blur from 0 to below 1 and reconstruction from 0, got {self.blur} and {self.reconstruction}"
            )

    def _errors(self, ops: Ops, weights: Mapping[str, Tensor], z: Tensor) -> Tensor:
        rebuilt = self.generator_.formula(ops, weights, self.encoder_.formula(ops, weights, z))
        gap = ops.subtract(rebuilt, z)
        return ops.row_sum(ops.multiply(gap, gap))

    def _formula(self, ops: Ops, z: Tensor) -> Tensor:
        weights = {name: ops.constant(array) for name, array in self.weights_.items()}
        energy = self.centres_.suspicion(ops, self.features_.formula(ops, weights, z))
        if not self.reconstruction:
            return energy
        term = log_ratio(ops, self._errors(ops, weights, z), self.typical_)
        return ops.add(energy, ops.multiply(term, ops.constant(self.reconstruction)))
