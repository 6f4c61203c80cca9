"""The methods of a scikit-learn classifier, on top of a detector's own `fit` and `score`.

`GridSearchCV(BoostedTrees(), …)` and `cross_val_score` take a detector as a binary classifier of
genuine (0) and fraudulent (1) rows. So does a detector that learns without labels: folds then keep
the share of fraud, and scores point up, whereas those of scikit-learn's outlier detectors point
down.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.metrics import average_precision_score
from sklearn.utils.validation import column_or_1d

from shroff.arrays import Array, Floats
from shroff.detect.rows import as_labels, as_matrix, column_names
from shroff.errors import DataError, NotFitted

_MAX_TYPICAL_ROWS: Final = 1_000
"""Most training rows kept, to compute a usual score."""
_USUAL_SHARE: Final = 0.99
"""Share of training rows that a detector without labels does not flag."""

_OTHER_LABELS_REASON: Final = "labels are 0 and 1: of two others, which is fraud would be a guess"
_OTHER_LINE_REASON: Final = (
    "a usual score is not 0: the line between genuine and fraud lies at `flag_above`"
)


class Unfitted(NotFitted, NotFittedError):  # type: ignore[misc]  # scikit-learn ships no types
    """`NotFitted`, which is also scikit-learn's NotFittedError."""


class FraudClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """The methods of a classifier for every class that defines `fit(X, y)` and `score(X)`.

    `fit` also keeps `classes_` (0 and 1, in the type of `y`), the names of a table's columns and
    some of its rows; `score(X, y)` is the average precision of `score(X)`.
    """

    needs_labels: ClassVar[bool]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, extended in (("fit", _learning), ("score", _judging)):
            method = vars(cls).get(name)
            if inspect.isfunction(method) and not getattr(method, "__isabstractmethod__", False):
                setattr(cls, name, extended(method))

    def check_parameters(self) -> None:
        """Raise ConfigurationError for a parameter that is wrong with any data.

        A project calls it when it is defined, and `fit` before it learns.
        """

    @property
    def draws_at_zero(self) -> bool:
        """Whether a score above 0 means fraud: true of log-odds and margins, which need labels."""
        return self.needs_labels

    @property
    def flag_above(self) -> float:
        """The score above which `predict` says fraud: 0, or else the 99 % quantile of the training
        rows' scores.

        Decisions on money use calibrated probabilities and a policy instead.
        """
        if self.draws_at_zero:
            return 0.0
        typical = getattr(self, "learned_rows_", None)
        if typical is None:
            raise Unfitted(
                f"{type(self).__name__} has kept no training rows to compute a usual score from: "
                "call fit first"
            )
        return float(np.quantile(self.decision_function(typical), _USUAL_SHARE))

    def predict(self, X: npt.ArrayLike) -> Array:
        """Whether each row is fraud, by `flag_above`, as one of `classes_`."""
        flagged = self.decision_function(X) > self.flag_above
        predicted: Array = self.classes_[flagged.astype(np.int64)]
        return predicted

    def predict_proba(self, X: npt.ArrayLike) -> Floats:
        """Genuine and fraud [rows, 2]: the logistic function of the score's distance from
        `flag_above`.

        A probability where scores are log-odds; otherwise only a rank, until it is calibrated.
        """
        distance = np.clip(self.decision_function(X) - self.flag_above, -700.0, 700.0)
        fraud = 1.0 / (1.0 + np.exp(-distance))
        return np.column_stack([1.0 - fraud, fraud])

    def decision_function(self, X: npt.ArrayLike) -> Floats:
        """`score`, under the name that scikit-learn and PyOD use."""
        scores: Floats = self.score(X)
        return scores

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.classifier_tags.poor_score = not self.needs_labels
        tags.input_tags.allow_nan = True
        tags.target_tags.required = self.needs_labels
        return tags


def expected_failed_checks(detector: FraudClassifier) -> dict[str, str]:
    """The checks of scikit-learn's `check_estimator` that a detector does not pass, with the
    reason.

    >>> from shroff.detect import IsolationForest
    >>> len(expected_failed_checks(IsolationForest()))
    7
    """
    expected = {
        "check_dtype_object": "a value that is no number raises DataError, which is a ValueError",
        "check_estimators_dtypes": _OTHER_LABELS_REASON,
        "check_classifier_data_not_an_array": _OTHER_LABELS_REASON,
        "check_classifiers_classes": _OTHER_LABELS_REASON,
        "check_fit2d_1feature": _OTHER_LABELS_REASON,
    }
    if not detector.draws_at_zero:
        expected["check_classifiers_train"] = _OTHER_LINE_REASON
    if not detector.needs_labels:
        expected["check_classifiers_one_label"] = (
            "without labels, rows of one label are not all alike"
        )
    return expected


def _learning(fit: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(fit)
    def learn(self: Any, X: npt.ArrayLike, y: npt.ArrayLike | None = None, **options: Any) -> Any:
        self.check_parameters()
        names, matrix = column_names(X), as_matrix(X)
        labels = None if y is None else np.asarray(y)
        if labels is not None and labels.ndim == 2 and labels.shape[1] == 1:
            labels = column_or_1d(labels, warn=True)
        if labels is not None:
            as_labels(labels, len(matrix))
        vars(self).pop("feature_names_in_", None)
        returned = fit(self, matrix, labels, **options)
        if names is not None:
            self.feature_names_in_ = names
        self.classes_ = np.array([0, 1]).astype(np.int64 if labels is None else labels.dtype)
        self.learned_rows_ = matrix[
            np.linspace(0, len(matrix) - 1, min(_MAX_TYPICAL_ROWS, len(matrix))).astype(np.int64)
        ]
        return returned

    return learn


def _judging(score: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(score)
    def judge(self: Any, X: npt.ArrayLike, y: npt.ArrayLike | None = None) -> Any:
        _same_columns(getattr(self, "feature_names_in_", None), column_names(X))
        scores = score(self, X)
        return scores if y is None else float(average_precision_score(np.asarray(y), scores))

    del judge.__wrapped__  # its signature has no y
    return judge


def _same_columns(
    learned: npt.NDArray[np.object_] | None, names: npt.NDArray[np.object_] | None
) -> None:
    if learned is None or names is None or np.array_equal(learned, names):
        return
    if set(learned) == set(names):
        raise DataError(
            "expected the columns of X in the order of fit, got the same ones in another order"
        )
    unknown = next((name for name in names if name not in set(learned)), None)
    missing = next((name for name in learned if name not in set(names)), None)
    came = f"without `{missing}`" if unknown is None else f"with `{unknown}`"
    raise DataError(f"expected X with the columns of fit, got a table {came}")
