"""Mahalanobis distance: the textbook's without robustness, and the effects of robustness and
shrinkage.
"""

from __future__ import annotations

import numpy as np
import pytest

from detect.rows import graph_scores
from shroff.arrays import Matrix
from shroff.detect.checks import check_detector
from shroff.detect.mahalanobis import Mahalanobis
from shroff.errors import ConfigurationError


def correlated(rows: int = 2000) -> Matrix:
    first, second = np.random.default_rng(0).normal(size=(2, rows))
    return np.column_stack([first, 0.9 * first + 0.3 * second]).astype(np.float32)


def test_it_keeps_the_contract() -> None:
    check_detector(Mahalanobis())
    check_detector(Mahalanobis(keep=0.9, shrinkage=0.01, side="upper"))


def test_it_is_the_textbook_s_distance() -> None:
    X = correlated()
    centred = X - X.mean(axis=0, dtype=np.float64)
    inverse = np.linalg.inv(np.cov(X.T, bias=True))
    expected = np.sqrt(np.einsum("ij,jk,ik->i", centred, inverse, centred))
    assert Mahalanobis(keep=1.0, shrinkage=0.0).fit(X).score(X) == pytest.approx(expected, rel=1e-6)


def test_correlations_decide_what_is_far() -> None:
    model = Mahalanobis(shrinkage=0.001).fit(correlated())
    along, across = model.score(np.array([[2, 2], [2, -2]], np.float32))
    assert across > 3 * along


def test_full_shrinkage_is_the_plain_distance() -> None:
    X = correlated()
    scores = Mahalanobis(keep=1.0, shrinkage=1.0).fit(X).score(X)
    plain = np.linalg.norm(X - X.mean(axis=0), axis=1)
    assert scores / plain == pytest.approx(scores[0] / plain[0], rel=1e-3)


def test_frauds_in_training_do_not_hide_themselves() -> None:
    X = correlated()
    X[:100] += 20
    robust, plain = (Mahalanobis(keep=keep, shrinkage=0.0).fit(X).score(X) for keep in (0.9, 1.0))
    assert robust[:100].min() > 4 * robust[100:].max()
    assert plain[:100].min() < 2 * plain[100:].max()


def test_a_column_that_never_moved_can_still_be_far() -> None:
    X = np.column_stack([correlated(), np.zeros(2000, np.float32)])
    model = Mahalanobis(shrinkage=0.0).fit(X)
    moved = X[:1].copy()
    moved[0, 2] = 0.1
    assert model.score(moved)[0] > model.score(X).max()
    assert graph_scores(model, moved) == pytest.approx(model.score(moved), rel=1e-5)


@pytest.mark.parametrize("model", [Mahalanobis(keep=0.1), Mahalanobis(shrinkage=2.0)])
def test_bad_parameters_are_refused(model: Mahalanobis) -> None:
    with pytest.raises(ConfigurationError, match="expected a number from 0"):
        model.fit(correlated(10))
