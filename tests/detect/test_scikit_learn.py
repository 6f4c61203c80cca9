"""Detectors among scikit-learn's tools: its own checks pass, and its searches accept them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score, cross_validate
from sklearn.utils.estimator_checks import estimator_checks_generator

from shroff.detect import (
    GAN,
    KNN,
    MLP,
    Autoencoder,
    Blend,
    BoostedTrees,
    DeepSVDD,
    Detector,
    IsolationForest,
    LinearSVM,
    LogisticRegression,
    Mahalanobis,
    Rules,
)
from shroff.detect.checks import planted
from shroff.detect.classifier import expected_failed_checks
from shroff.errors import DataError, NotFitted
from shroff.evaluate import average_precision

QUICK: list[Detector] = [
    LogisticRegression(),
    LinearSVM(),
    LinearSVM(approximation="fourier", components=50),
    BoostedTrees(n_trees=20),
    IsolationForest(n_trees=10),
    KNN(),
    Mahalanobis(),
    Blend([LogisticRegression(), LinearSVM()], folds=2),
    Blend([LogisticRegression(), LinearSVM()], how="rank", folds=2),
]
DEEP: list[Detector] = [MLP(epochs=1), Autoencoder(epochs=1), DeepSVDD(epochs=1), GAN(epochs=1)]
LIGHT = {
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_get_params_invariance",
    "check_set_params",
    "check_estimators_unfitted",
    "check_n_features_in",
    "check_estimator_sparse_array",
    "check_complex_data",
}
"""The checks that fit a network no more than once."""

X, FRAUD, _ = planted()
X = X[:, :4]
NAMES = ["amount", "count", "ratio", "gap"]


def checks(detectors: Sequence[Detector], only: Collection[str] | None = None) -> list[Any]:
    """scikit-learn's checks of each detector; those that are expected to fail are xfail with their
    reason.
    """
    return [
        pytest.param(
            detector, check, id=f"{number}-{detector.name}-{check.func.__name__}", marks=marks
        )
        for number, one in enumerate(detectors)
        for detector, check, marks in _checks(one)
        if only is None or check.func.__name__ in only
    ]


def _checks(one: Detector) -> Iterator[tuple[Detector, Any, Any]]:
    expected = expected_failed_checks(one)
    for detector, check in estimator_checks_generator(one, mark=None):
        reason = expected.get(check.func.__name__)
        yield (
            detector,
            check,
            () if reason is None else pytest.mark.xfail(strict=True, reason=reason),
        )


@pytest.mark.parametrize(("detector", "check"), checks(QUICK))
def test_scikit_learn_s_checks(detector: Detector, check: Callable[[Detector], None]) -> None:
    check(detector)


@pytest.mark.parametrize(("detector", "check"), checks(DEEP, LIGHT))
def test_scikit_learn_s_light_checks_of_networks(
    detector: Detector, check: Callable[[Detector], None]
) -> None:
    check(detector)


def tables() -> dict[str, Any]:
    numbers = np.nan_to_num(X.astype(np.float64))
    nulls = pd.DataFrame(X, columns=NAMES).astype({"count": "Float64"})
    return {
        "array": X,
        "list": numbers.tolist(),
        "objects": np.array(
            [[None if np.isnan(value) else value for value in row] for row in X], dtype=object
        ),
        "pandas": pd.DataFrame(X, columns=NAMES),
        "pandas with NA": nulls,
        "polars": pl.DataFrame(X, schema=NAMES),
        "polars with null": pl.DataFrame(X, schema=NAMES).fill_nan(None),
    }


@pytest.mark.parametrize("kind", tables())
@pytest.mark.parametrize(
    "detector", [BoostedTrees(n_trees=20), IsolationForest(n_trees=20)], ids=lambda one: one.name
)
def test_searches_take_a_detector_with_any_table(detector: Detector, kind: str) -> None:
    table, grid = tables()[kind], {"n_trees": [5, 20]}
    search = GridSearchCV(detector, grid, cv=3).fit(table, FRAUD)
    assert search.best_score_ > 0.4  # a share of fraud of 0.05
    assert set(search.predict(table)) <= {False, True}
    assert search.best_estimator_.decision_function(table) == pytest.approx(
        search.best_estimator_.score(table)
    )
    assert np.isfinite(cross_val_score(detector, table, FRAUD, cv=3)).all()
    scorings = ("average_precision", "roc_auc", "neg_log_loss", "recall")
    figures = cross_validate(detector, table, FRAUD, scoring=scorings, cv=3)
    assert all(np.isfinite(figures[f"test_{scoring}"]).all() for scoring in scorings)
    assert figures["test_roc_auc"].min() > 0.9  # suspicion points up


def test_the_score_with_labels_is_the_average_precision_of_the_scores() -> None:
    trees = BoostedTrees(n_trees=20).fit(X, FRAUD)
    assert trees.score(X, FRAUD) == pytest.approx(average_precision(FRAUD, trees.score(X)))  # type: ignore[call-arg]  # the wrapper adds y


@pytest.mark.parametrize("detector", [*QUICK, Rules(["a", "b"])], ids=lambda one: one.name)
def test_predictions_agree_with_scores_and_probabilities(detector: Detector) -> None:
    conditions = len(detector.conditions)
    table, fraud = planted(conditions)[:2] if conditions else (np.nan_to_num(X), FRAUD)
    fitted = clone(detector).fit(table, fraud.astype(int))
    flagged = fitted.predict(table)
    assert (flagged.dtype.kind, fitted.classes_.tolist()) == ("i", [0, 1])
    assert (flagged == (fitted.score(table) > fitted.flag_above)).all()
    probability = fitted.predict_proba(table)
    assert ((probability[:, 1] > 0.5) == flagged).all()
    assert 0 < flagged.sum() < len(table)
    if not detector.needs_labels and not conditions:
        assert flagged.mean() <= 0.02  # the most suspicious 1 % of usual rows


def test_scikit_learn_calibrates_a_detector_without_labels() -> None:
    calibrated = CalibratedClassifierCV(IsolationForest(n_trees=20), cv=3).fit(X, FRAUD)
    assert calibrated.predict_proba(X)[FRAUD, 1].mean() > 0.3
    assert len(
        cross_val_predict(Mahalanobis(), np.nan_to_num(X), FRAUD, method="decision_function")
    ) == len(X)


@pytest.mark.parametrize("value", ["5411", "grocery", None])
@pytest.mark.parametrize("library", ["pandas", "polars", "array", "list"])
def test_a_column_of_text_is_refused_by_its_name_with_the_way_out(
    library: str, value: str | None
) -> None:
    texts = ["7995", value, "7995", "7995"]
    columns: dict[str, Any] = {"amount": [1.0, 2.0, 3.0, 4.0], "mcc": texts}
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    table = {"pandas": pd.DataFrame, "polars": pl.DataFrame}.get(library, lambda _: rows)(columns)
    table = np.array(rows, dtype=object) if library == "array" else table
    named = "1" if library in ("array", "list") else "`mcc`"
    detector = BoostedTrees(n_trees=2)
    with pytest.raises(
        DataError, match=f"column {named}: cast it to numbers, leave it out, or let a `Preparation`"
    ):
        detector.fit(table, [0, 1, 0, 1])
    fitted = clone(detector).fit([[1, 2], [3, 4], [5, 6]], [0, 1, 0])
    with pytest.raises(DataError, match=f"column {named}"):
        fitted.score(table)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pd.Series(["a", "b"], dtype="category"), "category"),
        (pd.to_datetime(pd.Series(["2024-01-01", "2024-01-02"])), "datetime64"),
        (pd.Series([{}, {}], dtype=object), "dict"),
        (pl.Series([["a"], ["b"]]), "List"),
        (pl.Series(["a", "b"], dtype=pl.Categorical), "Categorical"),
    ],
)
def test_a_column_of_another_type_is_refused_by_its_name(column: Any, kind: str) -> None:
    table: Any = (
        pl.DataFrame({"odd": column})
        if isinstance(column, pl.Series)
        else pd.DataFrame({"odd": column})
    )
    with pytest.raises(DataError, match=f"got {kind}.* in column `odd`"):
        Mahalanobis().fit(table)


def test_columns_in_another_order_or_of_other_names_are_refused() -> None:
    table: Any = pl.DataFrame(X, schema=NAMES)
    fitted = BoostedTrees(n_trees=5).fit(table, FRAUD)
    assert fitted.feature_names_in_.tolist() == NAMES
    assert (fitted.score(table.to_numpy()) == fitted.score(table)).all()
    with pytest.raises(DataError, match="the same ones in another order"):
        fitted.score(table.select(reversed(NAMES)))
    with pytest.raises(DataError, match="got a table with `counts`"):
        fitted.score(table.rename({"count": "counts"}))
    again = fitted.fit(X, FRAUD)
    assert not hasattr(again, "feature_names_in_")


def test_other_labels_are_refused_for_which_is_fraud_would_be_a_guess() -> None:
    for y in (np.where(FRAUD, "fraud", "genuine"), np.where(FRAUD, 1, -1), FRAUD + 1):
        for detector in (LogisticRegression(), IsolationForest(n_trees=2)):
            with pytest.raises(
                DataError, match=r"labels 0 or 1 in y, got others: say which is fraud"
            ):
                clone(detector).fit(X, y)


def test_predict_before_fit_says_so() -> None:
    with pytest.raises(NotFitted, match="has not learned yet"):
        LogisticRegression().predict(X)
    with pytest.raises(NotFitted, match="call fit first"):
        IsolationForest().predict(X)
