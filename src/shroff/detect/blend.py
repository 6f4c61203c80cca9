"""Blend: several detectors as one, combined by their out-of-fold scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn import linear_model
from sklearn.base import clone

from shroff.arrays import Bools, Floats, Matrix, Scores
from shroff.detect.base import (
    ALL_NUMERIC,
    Detector,
    require_fitted,
    scoring_matrix,
    training_labels,
    training_matrix,
)
from shroff.detect.crossfit import out_of_fold_scores
from shroff.detect.graph import Graph
from shroff.detect.parameters import require_one_of, require_whole
from shroff.errors import ConfigurationError

if TYPE_CHECKING:
    import onnx


class Blend(Detector):
    """Score by several detectors together.

    Every detector is trained once per fold, for out-of-fold scores, and once on all rows. Where no
    detector needs labels and `how="rank"`, the blend needs none either, and learns from the scores
    of the training rows.

    Parameters
    ----------
    detectors : Sequence[Detector]
        The unfitted detectors, at least two, none with SQL conditions of its own.
    how : Literal['stack', 'rank'], default='stack'
        `"stack"` weighs the scores by a logistic regression on out-of-fold scores, so the score is
        a log-odds. `"rank"` averages -log of the share of training scores that are at least as
        high, so every detector counts alike.
    folds : int, default=3
        Folds of the training rows for out-of-fold scores, from 2; fewer where frauds are fewer.
    seed : int, default=0
        Seed of the folds; each detector has its own.

    Attributes
    ----------
    detectors_ : list of Detector
        The detectors, fitted on all rows.
    maps_ : list
        What each detector's score adds to the blend: a piecewise linear function.
    intercept_ : float
        The blended score where every detector adds 0.

    Raises
    ------
    ConfigurationError
        `fit` gets fewer than two detectors, one with SQL conditions, or no labels where it needs
        them.
    DataError
        `fit` gets fewer than 2 frauds or 2 genuine rows.

    References
    ----------
    Wolpert, Stacked Generalization, 1992.
    Aggarwal and Sathe, Theoretical Foundations and Algorithms for Outlier Ensembles, 2015
        (`"rank"`).

    Examples
    --------
    >>> from shroff.detect import Blend, LogisticRegression, Mahalanobis, planted
    >>> X, fraud, nominal = planted()
    >>> blend = Blend([LogisticRegression(), Mahalanobis()], how="stack")
    >>> blend = blend.fit(X, fraud, nominal=nominal)
    >>> bool(blend.score(X)[fraud].min() > blend.score(X)[~fraud].mean())
    True
    """

    name: ClassVar[str] = "blend"

    def __init__(
        self,
        detectors: Sequence[Detector],
        *,
        how: Literal["stack", "rank"] = "stack",
        folds: int = 3,
        seed: int = 0,
    ) -> None:
        self.detectors = detectors
        self.how = how
        self.folds = folds
        self.seed = seed

    @property
    def needs_labels(self) -> bool:  # type: ignore[override]  # a blend needs what its detectors need
        """Whether `fit` requires labels."""
        return self.how == "stack" or any(detector.needs_labels for detector in self.detectors)

    @property
    def least_frauds(self) -> int:  # type: ignore[override]  # a blend scores its detectors out of fold
        """Fewest frauds, and fewest genuine rows, that `fit` needs where it requires labels."""
        return (
            1 + max((detector.least_frauds for detector in self.detectors), default=0)
            if self.needs_labels
            else 1
        )

    def fit(
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> Self:
        """Train every detector, and learn how their scores combine."""
        matrix = training_matrix(X, nominal)
        fraud = training_labels(y, len(matrix)) if self.needs_labels else None
        self.detectors_ = [
            clone(detector).fit(matrix, fraud, nominal=nominal) for detector in self.detectors
        ]
        if fraud is None:
            scores = [detector.score(matrix) for detector in self.detectors_]
        else:
            scores = [
                out_of_fold_scores(
                    detector, matrix, fraud, nominal=nominal, folds=self.folds, seed=self.seed
                )
                for detector in self.detectors
            ]
        if self.how == "rank":
            self.maps_ = [_Map.surprise(one, share=1.0 / len(scores)) for one in scores]
            self.intercept_ = 0.0
        else:
            self.maps_, self.intercept_ = _stack(scores, fraud)
        self.nominal_ = dict(nominal)
        self.n_features_in_ = matrix.shape[1]
        return self

    def check_parameters(self) -> None:
        """Refuse a blend of too few or unfit detectors, and wrong parameters of each."""
        require_one_of(self, "how", "stack", "rank")
        require_whole(self, "folds", low=2)
        if len(self.detectors) < 2:
            raise ConfigurationError(
                f"expected at least two detectors to blend, got {len(self.detectors)}"
            )
        for detector in self.detectors:
            if detector.conditions:
                raise ConfigurationError(
                    f"{type(detector).__name__} reads SQL conditions instead of the shared inputs: "
                    "it cannot be blended; make the conditions features with sql(…)"
                )
            detector.check_parameters()

    @property
    def draws_at_zero(self) -> bool:
        """Whether a score above 0 means fraud: true of a stack's log-odds, not of ranks."""
        return self.how == "stack"

    def score(self, X: Matrix) -> Scores:
        """The blended score, float64 [rows]: a log-odds, or the mean surprise."""
        matrix = scoring_matrix(self, X)
        total = np.full(len(matrix), self.intercept_)
        for detector, weigh in zip(self.detectors_, self.maps_, strict=True):
            total += weigh.apply(detector.score(matrix))
        return total

    def to_onnx(self) -> onnx.ModelProto:
        """All detectors and their blend as one graph."""
        columns = require_fitted(self)
        graph = Graph()
        terms = [graph.constant(np.array([self.intercept_]))]
        for detector, weigh in zip(self.detectors_, self.maps_, strict=True):
            terms.append(weigh.graph(graph, graph.embed(detector.to_onnx())))
        return graph.model(graph.total(*terms), columns=columns)


@dataclass(frozen=True, eq=False)
class _Map:
    """The contribution of a detector's score to the blend: piecewise linear, `slopes[i]` from
    `knots[i]` on.

    Below the first knot the first slope continues.
    """

    knots: Floats
    slopes: Floats
    start: float

    @classmethod
    def linear(cls, slope: float, offset: float) -> Self:
        return cls(np.zeros(1), np.array([slope]), offset)

    @classmethod
    def surprise(cls, scores: Scores, *, share: float) -> Self:
        """`share` of -log(share of `scores` at least as high), with a knot at each halving."""
        halvings = np.arange(int(math.log2(len(scores))) + 1)
        knots = np.quantile(scores, 1.0 - 0.5**halvings)
        spread = float(scores.std()) or 1.0
        apart = np.append(True, np.diff(np.maximum.accumulate(knots)) > _MIN_KNOT_GAP * spread)
        knots, heights = knots[apart], share * math.log(2.0) * halvings[apart]
        if len(knots) == 1:
            return cls(knots, np.array([share / spread]), 0.0)
        slopes = np.diff(heights) / np.diff(knots)
        return cls(knots[:-1], slopes, 0.0)

    def apply(self, scores: Scores) -> Floats:
        above = np.maximum(scores[:, None] - self.knots[1:], 0.0)
        value: Floats = (
            self.start + self.slopes[0] * (scores - self.knots[0]) + above @ np.diff(self.slopes)
        )
        return value

    def graph(self, graph: Graph, score: str) -> str:
        moved = graph.add("Sub", score, graph.constant(self.knots[0]))
        value = graph.add("Mul", moved, graph.constant(self.slopes[0]))
        if len(self.knots) > 1:
            column = graph.add("Unsqueeze", score, graph.constant(np.array([1])))
            above = graph.add("Relu", graph.add("Sub", column, graph.constant(self.knots[1:])))
            value = graph.add(
                "Add", value, graph.add("MatMul", above, graph.constant(np.diff(self.slopes)))
            )
        return graph.add("Add", value, graph.constant(self.start))


_MIN_KNOT_GAP = 1e-6  # in standard deviations of the scores; closer knots are merged


def _stack(by_detector: Sequence[Scores], fraud: Bools | None) -> tuple[list[_Map], float]:
    scores = np.column_stack(by_detector)
    center, scale = scores.mean(axis=0), scores.std(axis=0)
    scale[scale == 0.0] = 1.0
    model = linear_model.LogisticRegression(max_iter=1000).fit((scores - center) / scale, fraud)
    weights = model.coef_[0] / scale
    return [_Map.linear(float(weight), 0.0) for weight in weights], float(
        model.intercept_[0] - weights @ center
    )
