"""Multi-layer perceptron: a small feed-forward network, without a deep-learning library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import numpy.typing as npt

from shroff.arrays import Floats32, Labels, Matrix, Scores
from shroff.detect.base import (
    ALL_NUMERIC,
    Detector,
    require_fitted,
    scoring_matrix,
    training_labels,
    training_matrix,
)
from shroff.detect.dense import DenseTraining, Loss, train
from shroff.detect.expansion import Expansion
from shroff.detect.graph import Graph
from shroff.detect.parameters import refuse, require_number, require_one_of, require_whole
from shroff.detect.space import Choice, Range, Space

if TYPE_CHECKING:
    import onnx


class MLP(Detector):
    """Score by the logit of a feed-forward network with rectified hidden layers.

    Trained by back-propagation, without a deep-learning library. Inputs enter as in
    `LogisticRegression`; the first layer's weights of a nominal column are an embedding of its
    codes. Use it for smooth interactions, and together with trees in a `Blend`.

    Parameters
    ----------
    hidden : Sequence[int], default=(64,)
        Units of each hidden layer, at least one layer of at least 1.
    epochs : int, default=20
        Passes over the rows, from 1. Raise it where the training part is not yet learned.
    batch_size : int, default=256
        Rows per step, from 1; fewer where a pass would have less than 50 steps.
    learning_rate : float, default=0.002
        Size of Adam's first step, above 0; it falls to 0 along a cosine.
    dropout : float, default=0.2
        Share of hidden units left out of a step, from 0 to below 1. Raise it against overfitting.
    l2 : float, default=0.001
        Decoupled weight decay, from 0. Raise it against overfitting.
    loss : Literal['log', 'focal'], default='log'
        `"focal"` lets rows that are already right count less, which helps where frauds are very
        few.
    focus : float, default=2.0
        Exponent of the focal loss, from 0. Higher values leave right rows out sooner.
    class_weight : float | str | None, default=None
        How much more a fraud weighs than a genuine row: a number above 0, `"balanced"` for equal
        totals, None for 1.
    networks : int, default=1
        Networks of different seeds whose logits are averaged, from 1. More are steadier and cost as
        much more time.
    seed : int, default=0
        Seed of first weights, order of rows and dropout.

    Attributes
    ----------
    expansion_ : Expansion
        How a row becomes numbers: gaps filled and flagged, codes one-hot.
    layers_ : list of list of (ndarray, ndarray)
        Weights [inputs, outputs] and biases [outputs] of each layer of each network, float64.

    Raises
    ------
    ConfigurationError
        `fit` gets no labels, or a parameter out of range.
    DataError
        `fit` gets labels of one class.

    References
    ----------
    Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015.
    Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting, 2014.
    Lin et al., Focal Loss for Dense Object Detection, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from shroff.detect import MLP
    >>> X = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    >>> fraud = np.abs(X[:, 0]) > 1.5
    >>> network = MLP(hidden=(8,), epochs=60, batch_size=50, learning_rate=0.02, dropout=0.0)
    >>> (network.fit(X, fraud).score([[-2.5, 0.0], [0.0, 0.0], [2.5, 0.0]]) > 0).tolist()
    [True, False, True]
    """

    name: ClassVar[str] = "mlp"
    needs_labels: ClassVar[bool] = True
    search_space: ClassVar[Space] = {
        "hidden": Choice(((32,), (64,), (128,), (256,), (64, 32), (128, 64))),
        "epochs": Range(low=5, high=60, log=True),
        "batch_size": Choice((64, 128, 256, 512)),
        "learning_rate": Range(low=2e-4, high=1e-2, log=True),
        "dropout": Range(low=0.0, high=0.5),
        "l2": Range(low=1e-5, high=1.0, log=True),
        "loss": Choice(("log", "focal")),
    }

    def __init__(
        self,
        *,
        hidden: Sequence[int] = (64,),
        epochs: int = 20,
        batch_size: int = 256,
        learning_rate: float = 2e-3,
        dropout: float = 0.2,
        l2: float = 1e-3,
        loss: Loss = "log",
        focus: float = 2.0,
        class_weight: float | str | None = None,
        networks: int = 1,
        seed: int = 0,
    ) -> None:
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.dropout = dropout
        self.l2 = l2
        self.loss = loss
        self.focus = focus
        self.class_weight = class_weight
        self.networks = networks
        self.seed = seed

    def fit(
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> Self:
        """Train the networks."""
        matrix = training_matrix(X, nominal)
        fraud = training_labels(y, len(matrix))
        expansion = Expansion.learn(matrix, nominal)
        design = expansion.design(matrix).astype(np.float32)
        target, weight = fraud.astype(np.float32), self._weights(fraud)
        trained = [
            train(design, target, weight, tuple(self.hidden), self._training(number))
            for number in range(self.networks)
        ]
        # double precision, so that the ONNX graph, which sums in another order, agrees
        self.layers_ = [
            [(w.astype(np.float64), b.astype(np.float64)) for w, b in layers] for layers in trained
        ]
        self.expansion_ = expansion
        self.nominal_ = expansion.nominal
        self.n_features_in_ = matrix.shape[1]
        return self

    def check_parameters(self) -> None:
        """Refuse parameters that are out of range."""
        if not self.hidden or min(self.hidden) < 1:
            refuse(self, "hidden", "layers of at least one unit each, such as (64, 32)")
        require_whole(self, "epochs", "batch_size", "networks", low=1)
        require_number(self, "learning_rate", above=0)
        require_number(self, "l2", "focus", least=0)
        if not 0.0 <= self.dropout < 1.0:
            refuse(self, "dropout", "a number from 0 to below 1")
        require_one_of(self, "loss", "log", "focal")
        if isinstance(self.class_weight, int | float):
            require_number(self, "class_weight", above=0)
        elif self.class_weight not in ("balanced", None):
            refuse(self, "class_weight", "'balanced', a number or None")

    def _weights(self, fraud: Labels) -> Floats32:
        share = float(fraud.mean())
        if self.class_weight is None:
            more = 1.0
        elif isinstance(self.class_weight, str):
            more = (1.0 - share) / share
        else:
            more = self.class_weight
        weights = np.where(fraud, more, 1.0)
        return np.asarray(weights / weights.mean(), dtype=np.float32)

    def _training(self, number: int) -> DenseTraining:
        return DenseTraining(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            dropout=self.dropout,
            l2=self.l2,
            loss=self.loss,
            focus=self.focus,
            seed=self.seed + number,
        )

    def score(self, X: Matrix) -> Scores:
        """The mean logit of fraud over the networks, float64 [rows]."""
        matrix = scoring_matrix(self, X)
        total = np.zeros(len(matrix))
        for (embedding, start), *rest in self.layers_:
            values = self.expansion_.dot(matrix, embedding) + start
            for weights, bias in rest:
                values = np.maximum(values, 0.0) @ weights + bias
            total += values[:, 0]
        logits: Scores = total / len(self.layers_)
        return logits

    def to_onnx(self) -> onnx.ModelProto:
        """The same layers as a graph, in double precision."""
        columns = require_fitted(self)
        graph = Graph()
        logits = []
        for (embedding, start), *rest in self.layers_:
            values = graph.add(
                "Add", self.expansion_.dot_graph(graph, embedding), graph.constant(start)
            )
            for weights, bias in rest:
                values = graph.add("MatMul", graph.add("Relu", values), graph.constant(weights))
                values = graph.add("Add", values, graph.constant(bias))
            logits.append(values)
        mean = graph.add("Div", graph.total(*logits), graph.constant(np.float64(len(logits))))
        return graph.model(mean, columns=columns)
