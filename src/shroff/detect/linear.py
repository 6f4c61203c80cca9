"""Logistic regression, the yardstick of the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn import linear_model

from shroff.detect.base import (
    ALL_NUMERIC,
    Detector,
    Matrix,
    Scores,
    require_fitted,
    scoring_matrix,
    training_labels,
    training_matrix,
)
from shroff.detect.graph import DOUBLE, INPUT, INT64, Graph

if TYPE_CHECKING:
    import onnx

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


class LogisticRegression(Detector):
    """Score by log-odds that are linear in the inputs (scikit-learn, L2, lbfgs).

    Each numeric column enters as it is, with its missing values at 0 (the mean, after `Preparation`), and
    once more as a missing indicator if it had missing values in training. Each nominal column enters
    one-hot, a weight per code.

    C: inverse strength of the L2 penalty. max_iter: limit of lbfgs steps; scikit-learn's
    ConvergenceWarning tells when it was too low. class_weight: `"balanced"` or `None`.

    >>> import numpy as np
    >>> X = np.array([[-1.0], [0.0], [np.nan], [3.0]], dtype=np.float32)
    >>> LogisticRegression().fit(X, [0, 0, 0, 1]).score(X).round(2)
    array([-2.87, -1.93, -2.05,  0.87])
    """

    name: ClassVar[str] = "logistic_regression"
    needs_labels: ClassVar[bool] = True

    def __init__(self, *, C: float = 1.0, max_iter: int = 1000, class_weight: str | None = None) -> None:
        self.C = C
        self.max_iter = max_iter
        self.class_weight = class_weight

    def fit(self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC) -> Self:
        """Learn one weight per numeric column, missing indicator and nominal code."""
        matrix = training_matrix(X, nominal)
        fraud = training_labels(y, len(matrix))
        self.nominal_ = {column: nominal[column] for column in sorted(nominal)}
        self.numeric_ = np.setdiff1d(np.arange(matrix.shape[1]), list(nominal))
        self.gaps_ = np.flatnonzero(np.isnan(matrix[:, self.numeric_]).any(axis=0))
        model = linear_model.LogisticRegression(C=self.C, max_iter=self.max_iter, class_weight=self.class_weight).fit(
            self._design(matrix), fraud
        )
        cuts = np.cumsum([len(self.numeric_), len(self.gaps_)])
        self.weights_, self.gap_weights_, self.code_weights_ = np.split(model.coef_[0], cuts)
        self.intercept_ = float(model.intercept_[0])
        self.n_features_in_ = matrix.shape[1]
        return self

    def _design(self, matrix: Matrix) -> Floats | sparse.csr_matrix:
        dense = np.hstack(self._numeric(matrix))
        if not self.nominal_:
            return dense
        rows, width = len(matrix), len(self.nominal_)
        ends = np.arange(0, rows * width + 1, width)
        hot = sparse.csr_matrix(
            (np.ones(rows * width), self._codes(matrix).ravel(), ends),
            shape=(rows, sum(self.nominal_.values())),
        )
        return sparse.hstack([sparse.csr_matrix(dense), hot], format="csr")

    def _numeric(self, matrix: Matrix) -> tuple[Floats, Floats]:
        values = matrix[:, self.numeric_].astype(np.float64)
        missing = np.isnan(values)
        return np.where(missing, 0.0, values), missing[:, self.gaps_].astype(np.float64)

    def _offsets(self) -> Indices:
        # where each nominal column's codes start in the one row of code weights
        counts = np.array([0, *self.nominal_.values()], dtype=np.int64)
        return np.cumsum(counts)[:-1]

    def _codes(self, matrix: Matrix) -> Indices:
        return matrix[:, list(self.nominal_)].astype(np.int64) + self._offsets()

    def score(self, X: Matrix) -> Scores:
        """The log-odds of fraud, float64 [rows]."""
        matrix = scoring_matrix(self, X)
        values, missing = self._numeric(matrix)
        scores = values @ self.weights_ + missing @ self.gap_weights_ + self.intercept_
        total: Scores = scores + self.code_weights_[self._codes(matrix)].sum(axis=1)
        return total

    def to_onnx(self) -> onnx.ModelProto:
        """The same log-odds as a graph, summed in double precision."""
        columns = require_fitted(self)
        graph = Graph()
        terms = [graph.constant(np.array([self.intercept_]))]
        if len(self.numeric_):
            terms += self._numeric_terms(graph)
        if self.nominal_:
            terms.append(self._nominal_term(graph))
        return graph.model(graph.total(*terms), columns=columns)

    def _numeric_terms(self, graph: Graph) -> list[str]:
        values = INPUT
        if self.nominal_:
            values = graph.add("Gather", INPUT, graph.constant(self.numeric_), axis=1)
        values = graph.add("Cast", values, to=DOUBLE)
        missing = graph.add("IsNaN", values)
        known = graph.add("Where", missing, graph.constant(np.float64(0.0)), values)
        terms = [graph.add("MatMul", known, graph.constant(self.weights_))]
        if len(self.gaps_):
            weights = np.zeros(len(self.numeric_))
            weights[self.gaps_] = self.gap_weights_
            gaps = graph.add("Cast", missing, to=DOUBLE)
            terms.append(graph.add("MatMul", gaps, graph.constant(weights)))
        return terms

    def _nominal_term(self, graph: Graph) -> str:
        codes = graph.add("Gather", INPUT, graph.constant(np.array(list(self.nominal_))), axis=1)
        codes = graph.add("Cast", codes, to=INT64)
        codes = graph.add("Add", codes, graph.constant(self._offsets()))
        weights = graph.add("Gather", graph.constant(self.code_weights_), codes)
        return graph.add("ReduceSum", weights, graph.constant(np.array([1])), keepdims=0)
