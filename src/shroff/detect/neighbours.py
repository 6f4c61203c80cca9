"""Nearest neighbours: a row that resembles no training row is suspicious. Learns without labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from shroff.arrays import Floats, Matrix, Scores
from shroff.detect.base import (
    ALL_NUMERIC,
    Detector,
    require_fitted,
    scoring_matrix,
    training_matrix,
)
from shroff.detect.graph import Graph
from shroff.detect.parameters import require_one_of, require_whole
from shroff.detect.rarity import Rarity, Side
from shroff.detect.space import Choice, Range, Space
from shroff.errors import ConfigurationError

if TYPE_CHECKING:
    import onnx

_BLOCK_ROWS = 2048  # bounds memory: each row has a distance to every reference row


class KNN(Detector):
    """Score by the Euclidean distance to the nearest of a sample of training rows.

    A payment is compared with a bounded number of training rows; a smaller sample also holds fewer
    frauds to resemble. Numeric columns enter as they are, missing values at 0 (the mean, after
    `Preparation`); nominal ones by how rare their code is. `y` is ignored. Use it as a sober
    baseline without labels; it is hard to beat.

    Parameters
    ----------
    k : int, default=5
        Neighbours, from 1 to the rows kept. Raise it where frauds come in groups that would
        resemble each other.
    distance : Literal['largest', 'mean'], default='largest'
        `"largest"` is the distance to the k-th neighbour, `"mean"` that to all k, which is
        steadier.
    sample : int, default=2000
        Most training rows kept, from 1. Time per payment grows with it.
    side : Literal['both', 'upper'], default='both'
        `"upper"` counts only values above the mean as unusual: set it where a low value is never
        suspicious.
    seed : int, default=0
        Seed of the sample.

    Attributes
    ----------
    rarity_ : Rarity
        How each input is read as a number.
    references_ : ndarray of float64, [sample, columns]
        The training rows kept.

    Raises
    ------
    ConfigurationError
        `fit` gets `k`, `distance` or `side` out of range.

    References
    ----------
    Ramaswamy, Rastogi and Shim, Efficient Algorithms for Mining Outliers from Large Data Sets,
        2000.
    Angiulli and Pizzuti, Fast Outlier Detection in High Dimensional Spaces, 2002.

    Examples
    --------
    >>> import numpy as np
    >>> from shroff.detect import KNN
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0], [10.0]], dtype=np.float32)
    >>> KNN(k=2).fit(X).score([[1.5], [8.0]])
    array([0.5, 5. ])
    """

    name: ClassVar[str] = "knn"
    needs_labels: ClassVar[bool] = False
    search_space: ClassVar[Space] = {
        "k": Range(low=1, high=50, log=True),
        "distance": Choice(("largest", "mean")),
        "sample": Choice((500, 1000, 2000, 4000)),
        "side": Choice(("both", "upper")),
    }

    def __init__(
        self,
        *,
        k: int = 5,
        distance: Literal["largest", "mean"] = "largest",
        sample: int = 2000,
        side: Side = "both",
        seed: int = 0,
    ) -> None:
        self.k = k
        self.distance = distance
        self.sample = sample
        self.side = side
        self.seed = seed

    def check_parameters(self) -> None:
        """Refuse parameters that are out of range."""
        require_whole(self, "k", "sample", low=1)
        require_one_of(self, "distance", "largest", "mean")
        require_one_of(self, "side", "both", "upper")

    def fit(
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> Self:
        """Draw the reference rows."""
        matrix = training_matrix(X, nominal)
        kept = min(self.sample, len(matrix))
        if self.k > kept:
            raise ConfigurationError(
                f"expected k from 1 to the {kept} reference rows (n_samples={len(matrix)}), got "
                f"{self.k}"
            )
        self.rarity_ = Rarity.learn(matrix, nominal, side=self.side)
        drawn = np.random.default_rng(self.seed).choice(len(matrix), kept, replace=False)
        self.references_ = self.rarity_.apply(matrix[np.sort(drawn)])
        self.nominal_ = self.rarity_.nominal
        self.n_features_in_ = matrix.shape[1]
        return self

    def score(self, X: Matrix) -> Scores:
        """The distance, float64 [rows], from 0."""
        matrix = scoring_matrix(self, X)
        values = self.rarity_.apply(matrix)
        blocks = [
            self._distances(values[at : at + _BLOCK_ROWS])
            for at in range(0, len(values), _BLOCK_ROWS)
        ]
        return np.concatenate([np.empty(0), *blocks])

    def _distances(self, values: Floats) -> Floats:
        crossed = np.square(values).sum(axis=1, keepdims=True) - 2.0 * values @ self.references_.T
        squares = np.maximum(crossed + np.square(self.references_).sum(axis=1), 0.0)
        nearest = np.sqrt(np.partition(squares, self.k - 1, axis=1)[:, : self.k])
        distances: Floats = (
            nearest.max(axis=1) if self.distance == "largest" else nearest.mean(axis=1)
        )
        return distances

    def to_onnx(self) -> onnx.ModelProto:
        """The same comparison with every reference row as a graph, in double precision."""
        columns = require_fitted(self)
        graph = Graph()
        values = self.rarity_.graph(graph)
        length = graph.add(
            "ReduceSum", graph.add("Mul", values, values), graph.constant(np.array([1])), keepdims=1
        )
        crossed = graph.add("MatMul", values, graph.constant(-2.0 * self.references_.T))
        squares = graph.total(
            length, crossed, graph.constant(np.square(self.references_).sum(axis=1))
        )
        nearest = graph.add(
            "Sqrt", graph.smallest(graph.add("Max", squares, graph.constant(0.0)), self.k)
        )
        reduce = "ReduceMax" if self.distance == "largest" else "ReduceMean"
        return graph.model(graph.add(reduce, nearest, axes=[1]), columns=columns)
