"""Logistic regression: its expansion of the inputs, and the graph that repeats it."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import linear_model

from shroff.arrays import Labels, Matrix
from shroff.detect.checks import check_detector
from shroff.detect.linear import LogisticRegression
from shroff.errors import DataError

NOMINAL = {1: 4, 3: 3}


def payments(rows: int = 400, *, seed: int = 0) -> tuple[Matrix, Labels]:
    """Columns: gaps in training, nominal, no gaps, nominal."""
    rng = np.random.default_rng(seed)
    X = np.column_stack(
        [
            rng.normal(size=rows),
            rng.integers(0, 4, rows),
            rng.normal(size=rows),
            rng.integers(0, 3, rows),
        ]
    )
    fraud = X[:, 0] + (X[:, 1] == 2) + rng.normal(size=rows) > 2.0
    X[rng.random(rows) < 0.2, 0] = np.nan
    return X.astype(np.float32), fraud


def test_it_keeps_the_contract() -> None:
    check_detector(LogisticRegression())
    check_detector(LogisticRegression(C=0.1, class_weight="balanced"), *payments(), nominal=NOMINAL)


def test_only_nominal_columns_keep_the_contract() -> None:
    X, fraud = payments()
    check_detector(LogisticRegression(), X[:, [1, 3]], fraud, nominal={0: 4, 1: 3})


def test_it_is_scikit_learn_on_the_expanded_inputs() -> None:
    X, fraud = payments()
    gap = np.isnan(X[:, 0])
    by_hand = np.column_stack(
        [
            np.where(gap, 0, X[:, 0]),
            X[:, 2],
            gap,
            X[:, [1]] == np.arange(4),
            X[:, [3]] == np.arange(3),
        ]
    ).astype(np.float64)
    expected = linear_model.LogisticRegression(C=0.5, max_iter=1000).fit(by_hand, fraud)
    ours = LogisticRegression(C=0.5).fit(X, fraud, nominal=NOMINAL)
    assert ours.score(X) == pytest.approx(expected.decision_function(by_hand), abs=1e-3)


def test_a_column_first_missing_when_scoring_counts_as_its_mean() -> None:
    X, fraud = payments()
    model = LogisticRegression().fit(X, fraud, nominal=NOMINAL)
    assert model.expansion_.gaps.tolist() == [0]
    at_mean, missing = X[:1].copy(), X[:1].copy()
    at_mean[0, 2], missing[0, 2] = 0.0, np.nan
    assert model.score(at_mean) == model.score(missing)


def test_fraud_in_missing_values_is_learned() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 1)).astype(np.float32)
    fraud = np.arange(500) < 50
    X[fraud] = np.nan
    scores = LogisticRegression().fit(X, fraud).score(X)
    assert scores[fraud].min() > scores[~fraud].max()


@pytest.fixture(scope="module")
def model() -> LogisticRegression:
    return LogisticRegression().fit(*payments(), nominal=NOMINAL)


@pytest.fixture(scope="module")
def session(model: LogisticRegression) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model.to_onnx().SerializeToString())


number = st.floats(-1e4, 1e4, width=32) | st.just(float("nan"))


@given(
    rows=st.lists(
        st.tuples(number, st.integers(0, 3), number, st.integers(0, 2)), min_size=1, max_size=8
    )
)
def test_the_graph_scores_alike(
    model: LogisticRegression,
    session: onnxruntime.InferenceSession,
    rows: list[tuple[float, int, float, int]],
) -> None:
    X = np.array(rows, dtype=np.float32)
    (scores,) = session.run(["score"], {"X": X})
    assert scores == pytest.approx(model.score(X), rel=1e-7, abs=1e-5)


def test_a_code_that_fit_did_not_count_is_refused(model: LogisticRegression) -> None:
    with pytest.raises(DataError, match="column 1 of X is nominal with 4 codes"):
        model.score(np.array([[0, 4, 0, 0]], dtype=np.float32))
