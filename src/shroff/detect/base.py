"""The contract that every detector keeps, and the checks of what goes into one.

Shapes: `X` is float32 [rows, columns], missing is NaN; a nominal column holds codes 0 … count - 1.
`y` is boolean [rows], true is fraud. A score is float64 [rows], without a unit, higher is more
suspicious.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning

from shroff.arrays import Ints, Labels, Matrix, Scores
from shroff.detect.classifier import FraudClassifier, Unfitted
from shroff.detect.rows import as_labels
from shroff.detect.rows import as_matrix as as_matrix
from shroff.detect.space import Space
from shroff.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    import onnx


ALL_NUMERIC: Mapping[int, int] = MappingProxyType({})


class Detector(FraudClassifier, ABC):
    """The contract of a detector: `fit`, `score`, `to_onnx`, and through them a scikit-learn
    classifier.

    The constructor only stores its keyword arguments (so scikit-learn's `clone` and `get_params`
    work); `check_parameters` and `fit` validate. `check_detector` tests all of this, for our
    detectors and for yours.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns of `X`.
    nominal_ : dict of int to int
        Number of codes by nominal column.
    classes_ : ndarray, [2]
        The labels 0 and 1, in the type of `y`.
    feature_names_in_ : ndarray of str, [columns]
        Names of the columns, where `X` was a table that has them.
    learned_rows_ : ndarray of float32, [rows, columns]
        At most 1,000 training rows, from which `flag_above` is computed.
    capped_ : tuple of str
        The limits that `fit` ran into, in words: passes of a solver, rows drawn.
    """

    name: ClassVar[str]
    """Short name for tables and files, such as `logistic_regression`."""

    needs_labels: ClassVar[bool]
    """Whether `fit` requires labels."""

    least_frauds: int = 1
    """Fewest frauds, and fewest genuine rows, that `fit` needs where it requires labels."""

    conditions: Sequence[str] = ()
    """SQL conditions that are the columns of `X` instead of shared preparation; mostly empty."""

    capped_: tuple[str, ...] = ()

    search_space: ClassVar[Space] = MappingProxyType({})
    """The parameters to tune, with the values to try."""

    @property
    def cores_per_fit(self) -> int | None:
        """Cores that `fit` keeps busy, where clones may fit and score at the same time in threads
        of one process; None where they may not, because they would hold the interpreter's lock or
        share a state.
        """
        return None

    @abstractmethod
    def fit(
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> Self:
        """Learn from the training rows; `nominal` maps a nominal column's index to its number of
        codes.

        Raises DataError for a matrix or labels of the wrong shape or content, ConfigurationError
        for a bad parameter.
        """

    @abstractmethod
    def score(self, X: Matrix) -> Scores:
        """The raw score of each row, float64 [rows]; raises NotFitted before `fit`."""

    @abstractmethod
    def to_onnx(self) -> onnx.ModelProto:
        """The same score as a graph: input `X` float32 [N, columns], output `score` float32 [N].

        Raises NotFitted before `fit`.
        """


def training_matrix(X: npt.ArrayLike, nominal: Mapping[int, int]) -> Matrix:
    """`X` checked for `fit`: it has rows, its values are finite or NaN, nominal columns hold codes
    below their count.

    Raises DataError otherwise.

    >>> training_matrix([[0.5, 3]], {1: 3})
    Traceback (most recent call last):
    ...
    shroff.errors.DataError: column 1 of X is nominal with 3 codes: expected whole numbers from 0 to
    2
    """
    matrix = as_matrix(X)
    if len(matrix) == 0:
        raise DataError("expected rows to learn from, got an empty X")
    infinite = np.flatnonzero(np.isinf(matrix).any(axis=0))
    if infinite.size:
        raise DataError(f"column {infinite[0]} of X holds infinite values: expected numbers or NaN")
    _check_codes(matrix, nominal)
    return matrix


def _check_codes(matrix: Matrix, nominal: Mapping[int, int]) -> None:
    for column, count in nominal.items():
        if not 0 <= column < matrix.shape[1]:
            raise DataError(
                f"nominal column {column} is not in X, which has {matrix.shape[1]} columns"
            )
        codes = matrix[:, column]
        if not np.all((codes >= 0) & (codes < count) & (codes == np.floor(codes))):
            raise DataError(
                f"column {column} of X is nominal with {count} codes: expected whole numbers from "
                f"0 to {count - 1}"
            )


def training_labels(y: npt.ArrayLike | None, rows: int) -> Labels:
    """`y` as boolean [rows] with both classes in it.

    Raises ConfigurationError without labels, DataError when they do not fit.

    >>> training_labels([0, 1], 2)
    array([False,  True])
    """
    if y is None:
        raise ConfigurationError(
            "this detector learns from labels: pass y, true for fraud (it requires y to be "
            "passed, but the target y is None)"
        )
    fraud = as_labels(y, rows)
    if fraud.all() or not fraud.any():
        raise DataError(
            "expected both fraud and genuine rows in y, got only one of the two (1 class)"
        )
    return fraud


def draw_rows(fraud: Labels, most: int, *, seed: int = 0) -> Ints:
    """At most `most` row numbers, ascending: frauds fill up to half of them, genuine rows are drawn
    for the rest.

    >>> draw_rows(np.array([False, True] + [False] * 8), 4).tolist()
    [1, 5, 6, 8]
    """
    if len(fraud) <= most:
        return np.arange(len(fraud))
    rng = np.random.default_rng(seed)
    frauds, genuine = np.flatnonzero(fraud), np.flatnonzero(~fraud)
    kept = min(len(frauds), max(most // 2, most - len(genuine)))
    drawn = (
        rng.choice(frauds, kept, replace=False),
        rng.choice(genuine, most - kept, replace=False),
    )
    return np.sort(np.concatenate(drawn))


@contextmanager
def quiet_caps() -> Iterator[None]:
    """Silence scikit-learn's warnings about limits that a fit runs into: `capped_` records them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def require_fitted(detector: Detector) -> int:
    """The number of columns that `fit` learned from; raises NotFitted before `fit`."""
    columns: int | None = getattr(detector, "n_features_in_", None)
    if columns is None:
        raise Unfitted(f"{type(detector).__name__} has not learned yet: call fit first")
    return columns


def scoring_matrix(detector: Detector, X: npt.ArrayLike) -> Matrix:
    """`X` checked for `score` against `n_features_in_` and, where `fit` set it, `nominal_`.

    Raises NotFitted before `fit`, DataError for another number of columns or codes beyond those of
    `fit`.
    """
    columns = require_fitted(detector)
    matrix = as_matrix(X)
    if matrix.shape[1] != columns:
        raise DataError(
            f"expected X with the {columns} columns of fit, got {matrix.shape[1]} (X has "
            f"{matrix.shape[1]} features,"
            f" but {type(detector).__name__} is expecting {columns} features as input)"
        )
    _check_codes(matrix, getattr(detector, "nominal_", ALL_NUMERIC))
    return matrix
