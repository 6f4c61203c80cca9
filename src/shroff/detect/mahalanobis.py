"""Mahalanobis distance: how far a row lies from the mean, given correlations. Needs no labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Self

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
from shroff.detect.parameters import require_number, require_one_of
from shroff.detect.rarity import Rarity, Side
from shroff.detect.space import Choice, Range, Space

if TYPE_CHECKING:
    import onnx

_REFITS = 5  # the kept rows hardly change after that


class Mahalanobis(Detector):
    """Score by the distance to the mean, in standard deviations along the axes of a robust
    covariance.

    Mean and covariance are those of the rows that lie nearest, found by refitting a few times, so
    that a few frauds among the training rows do not hide themselves. Shrinkage keeps the covariance
    invertible whatever the inputs. Numeric columns enter as they are, missing values at 0 (the
    mean, after `Preparation`); nominal ones by how rare their code is. `y` is ignored. Use it as a
    sober baseline without labels.

    Parameters
    ----------
    keep : float, default=0.99
        Share of the nearest rows that mean and covariance are computed from, from 0.5 to 1. Lower
        it where more of the training rows may be fraud.
    shrinkage : float, default=0.1
        Share of the way to a covariance of equal, uncorrelated inputs, from 0 to 1. Raise it where
        rows are few.
    side : Literal['both', 'upper'], default='both'
        `"upper"` counts only values above the mean as unusual: set it where a low value is never
        suspicious.

    Attributes
    ----------
    rarity_ : Rarity
        How each input is read as a number.
    mean_ : ndarray of float64, [columns]
        The mean of the rows kept.
    whitening_ : ndarray of float64, [columns, columns]
        `(values - mean_) @ whitening_` has the identity as its covariance.

    Raises
    ------
    ConfigurationError
        `fit` gets `keep`, `shrinkage` or `side` out of range.

    References
    ----------
    Rousseeuw and Van Driessen, A Fast Algorithm for the Minimum Covariance Determinant Estimator,
        1999 (concentration steps).
    Ledoit and Wolf, A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices, 2004
        (shrinkage target).

    Examples
    --------
    >>> import numpy as np
    >>> from shroff.detect import Mahalanobis
    >>> X = np.random.default_rng(0).normal(size=(2000, 2)).astype(np.float32)
    >>> Mahalanobis(keep=1.0, shrinkage=0.0).fit(X).score([[0.0, 0.0], [3.0, 4.0]]).round(1)
    array([0. , 5.1])
    """

    name: ClassVar[str] = "mahalanobis"
    needs_labels: ClassVar[bool] = False
    search_space: ClassVar[Space] = {
        "keep": Range(low=0.8, high=1.0),
        "shrinkage": Range(low=1e-4, high=1.0, log=True),
        "side": Choice(("both", "upper")),
    }

    def __init__(self, *, keep: float = 0.99, shrinkage: float = 0.1, side: Side = "both") -> None:
        self.keep = keep
        self.shrinkage = shrinkage
        self.side = side

    def check_parameters(self) -> None:
        """Refuse parameters that are out of range."""
        require_number(self, "keep", least=0.5, most=1)
        require_number(self, "shrinkage", least=0, most=1)
        require_one_of(self, "side", "both", "upper")

    def fit(
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> Self:
        """Find the mean and the axes."""
        matrix = training_matrix(X, nominal)
        self.rarity_ = Rarity.learn(matrix, nominal, side=self.side)
        values = self.rarity_.apply(matrix)
        self.mean_, self.whitening_ = _shape(values, self.shrinkage)
        for _ in range(_REFITS if self.keep < 1.0 else 0):
            distance = np.linalg.norm((values - self.mean_) @ self.whitening_, axis=1)
            near = np.argsort(distance, kind="stable")[: max(2, int(self.keep * len(values)))]
            self.mean_, self.whitening_ = _shape(values[near], self.shrinkage)
        self.nominal_ = self.rarity_.nominal
        self.n_features_in_ = matrix.shape[1]
        return self

    def score(self, X: Matrix) -> Scores:
        """The distance, float64 [rows], from 0."""
        matrix = scoring_matrix(self, X)
        distance: Scores = np.linalg.norm(
            (self.rarity_.apply(matrix) - self.mean_) @ self.whitening_, axis=1
        )
        return distance

    def to_onnx(self) -> onnx.ModelProto:
        """The same distance as a graph, in double precision."""
        columns = require_fitted(self)
        graph = Graph()
        centred = graph.add("Sub", self.rarity_.graph(graph), graph.constant(self.mean_))
        white = graph.add("MatMul", centred, graph.constant(self.whitening_))
        return graph.model(graph.add("ReduceL2", white, axes=[1]), columns=columns)


def _shape(values: Floats, shrinkage: float) -> tuple[Floats, Floats]:
    """The mean and the whitening: `(values - mean) @ whitening` has the identity as covariance."""
    mean: Floats = values.mean(axis=0)
    centred = values - mean
    covariance = centred.T @ centred / len(values)
    variance = float(np.trace(covariance)) / len(mean)
    shrunk = (1.0 - shrinkage) * covariance + shrinkage * variance * np.eye(len(mean))
    spreads, axes = np.linalg.eigh(shrunk)
    # a floor keeps directions without spread in training finite
    floor = 1e-9 * variance if variance > 0.0 else 1.0
    return mean, axes / np.sqrt(np.maximum(spreads, floor))
