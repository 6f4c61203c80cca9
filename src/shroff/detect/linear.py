"""Logistic regression, the yardstick of the field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Self

import numpy.typing as npt
from sklearn import linear_model

from shroff.arrays import Matrix, Scores
from shroff.detect.base import (
    ALL_NUMERIC,
    Detector,
    require_fitted,
    scoring_matrix,
    training_labels,
    training_matrix,
)
from shroff.detect.expansion import Expansion
from shroff.detect.graph import Graph
from shroff.detect.parameters import require_class_weight, require_number, require_whole
from shroff.detect.space import Choice, Range, Space

if TYPE_CHECKING:
    import onnx


class LogisticRegression(Detector):
    """Score by log-odds that are linear in the inputs.

    scikit-learn's logistic regression with an L2 penalty, solved by lbfgs. A numeric column enters
    as it is, its missing values at 0 (the mean, after `Preparation`), and once more as a missing
    indicator if it had missing values in training. A nominal column enters one-hot, with a weight
    per code. Use it as the yardstick of the field.

    Parameters
    ----------
    C : float, default=1.0
        Inverse strength of the L2 penalty, above 0. Lower it where figures on the test part fall
        behind the training part.
    max_iter : int, default=1000
        Most steps of lbfgs, from 1. Raise it where `capped_` names it.
    class_weight : str | None, default=None
        `"balanced"` gives frauds as much weight as genuine rows; None weighs every row alike.
        Balanced log-odds are too high until they are calibrated.

    Attributes
    ----------
    expansion_ : Expansion
        How a row becomes numbers: gaps filled and flagged, codes one-hot.
    weights_ : ndarray of float64, [width, 1]
        The weight of each expanded input, in log-odds.
    intercept_ : float
        The log-odds of a row of zeros.
    n_iter_ : int
        Steps that lbfgs took.

    Raises
    ------
    ConfigurationError
        `fit` gets no labels, or a parameter is out of range.
    DataError
        `fit` gets labels of one class.

    References
    ----------
    Cox, The Regression Analysis of Binary Sequences, 1958.

    Examples
    --------
    >>> import numpy as np
    >>> from shroff.detect import LogisticRegression
    >>> X = np.array([[-1.0], [0.0], [np.nan], [3.0]], dtype=np.float32)
    >>> LogisticRegression().fit(X, [0, 0, 0, 1]).score(X).round(2)
    array([-2.87, -1.93, -2.05,  0.87])
    """

    name: ClassVar[str] = "logistic_regression"
    needs_labels: ClassVar[bool] = True
    search_space: ClassVar[Space] = {
        "C": Range(low=1e-4, high=1e2, log=True),
        "class_weight": Choice((None, "balanced")),
    }

    def __init__(
        self, *, C: float = 1.0, max_iter: int = 1000, class_weight: str | None = None
    ) -> None:
        self.C = C
        self.max_iter = max_iter
        self.class_weight = class_weight

    def check_parameters(self) -> None:
        """Refuse what scikit-learn refuses."""
        require_number(self, "C", above=0, most=math.inf)
        require_whole(self, "max_iter", low=1)
        require_class_weight(self)

    def fit(
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> Self:
        """Learn one weight per numeric column, missing indicator and nominal code."""
        matrix = training_matrix(X, nominal)
        fraud = training_labels(y, len(matrix))
        self.expansion_ = Expansion.learn(matrix, nominal)
        model = linear_model.LogisticRegression(
            C=self.C, max_iter=self.max_iter, class_weight=self.class_weight
        ).fit(self.expansion_.design(matrix), fraud)
        self.n_iter_ = int(model.n_iter_.max())
        self.capped_ = (
            (f"{self.max_iter:,} steps of lbfgs",) if self.n_iter_ >= self.max_iter else ()
        )
        self.weights_ = model.coef_.T
        self.intercept_ = float(model.intercept_[0])
        self.nominal_ = self.expansion_.nominal
        self.n_features_in_ = matrix.shape[1]
        return self

    def score(self, X: Matrix) -> Scores:
        """The log-odds of fraud, float64 [rows]."""
        matrix = scoring_matrix(self, X)
        total: Scores = self.expansion_.dot(matrix, self.weights_)[:, 0] + self.intercept_
        return total

    def to_onnx(self) -> onnx.ModelProto:
        """The same log-odds as a graph, summed in double precision."""
        columns = require_fitted(self)
        graph = Graph()
        total = self.expansion_.dot_graph(graph, self.weights_)
        return graph.model(
            graph.add("Add", total, graph.constant(self.intercept_)), columns=columns
        )
