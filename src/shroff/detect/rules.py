"""Rules: the conditions an analyst wrote, as a detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import numpy.typing as npt

from shroff.arrays import Matrix, Scores
from shroff.detect.base import ALL_NUMERIC, Detector, as_matrix, require_fitted, scoring_matrix
from shroff.detect.graph import DOUBLE, INPUT, Graph
from shroff.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    import onnx


class Rules(Detector):
    """Count how many of the analyst's conditions hold.

    `X` has one column per condition, in their order: 1 where it holds, 0 where it does not, NaN
    where it is unknown (three-valued logic), which counts as not holding. Nothing is learned and
    `y` is ignored. The score is a count, so one condition is enough for `predict`. Use it as the
    yardstick that every analyst understands.

    Parameters
    ----------
    conditions : Sequence[str]
        SQL conditions over the columns and features of a payment, at least one.

    Raises
    ------
    ConfigurationError
        `fit` gets no conditions.
    DataError
        `fit` gets another number of columns than conditions.

    Examples
    --------
    >>> import numpy as np
    >>> from shroff.detect import Rules
    >>> rules = Rules(["amount > 50000", "card_count_1d > 3"])
    >>> rules.fit([[1, 0]]).score([[0, 0], [1, np.nan], [1, 1]])
    array([0., 1., 2.])
    """

    name: ClassVar[str] = "rules"
    needs_labels: ClassVar[bool] = False

    def __init__(self, conditions: Sequence[str]) -> None:
        self.conditions = conditions

    def check_parameters(self) -> None:
        """Refuse what is no list of conditions."""
        if isinstance(self.conditions, str) or not self.conditions:
            raise ConfigurationError(
                'expected a list of SQL conditions, as in Rules(["amount > 50000"])'
            )

    def fit(
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> Self:
        """Check that `X` [rows, conditions] fits the conditions."""
        columns = as_matrix(X).shape[1]
        if columns != len(self.conditions):
            raise DataError(
                f"expected X with {len(self.conditions)} columns, one a condition, got {columns}"
            )
        self.n_features_in_ = columns
        return self

    @property
    def draws_at_zero(self) -> bool:
        """Whether a score above 0 means fraud: one condition that holds is enough."""
        return True

    def score(self, X: Matrix) -> Scores:
        """The number of conditions that hold, float64 [rows]."""
        holds = scoring_matrix(self, X) > 0.5
        counts: Scores = holds.sum(axis=1, dtype=np.float64)
        return counts

    def to_onnx(self) -> onnx.ModelProto:
        """The same count as a graph."""
        columns = require_fitted(self)
        graph = Graph()
        holds = graph.add("Greater", INPUT, graph.constant(np.float32(0.5)))
        ones = graph.add("Cast", holds, to=DOUBLE)
        return graph.model(
            graph.add("ReduceSum", ones, graph.constant(np.array([1])), keepdims=0), columns=columns
        )
