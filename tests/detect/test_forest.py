"""Isolation forest: scikit-learn's scores on another scale, and a graph that cuts alike."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import ensemble

from detect.rows import graph_scores
from shroff.arrays import Matrix
from shroff.detect.checks import check_detector, planted
from shroff.detect.forest import IsolationForest


def rows(n: int = 800, *, seed: int = 0) -> Matrix:
    return np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)


def test_it_keeps_the_contract() -> None:
    check_detector(IsolationForest(n_trees=50))
    check_detector(IsolationForest(n_trees=50, columns=0.5, side="upper", sample=64))


def test_it_is_scikit_learn_s() -> None:
    X, new = rows(), rows(seed=1) * 2
    theirs = ensemble.IsolationForest(
        n_estimators=50, max_samples=256, random_state=3, n_jobs=1
    ).fit(X)
    ours = IsolationForest(n_trees=50, seed=3).fit(X).score(new)
    assert 2.0**ours == pytest.approx(-theirs.score_samples(new), abs=1e-6)


def test_the_graph_cuts_alike_on_and_beside_every_cut() -> None:
    X = rows()
    forest = IsolationForest(n_trees=20).fit(X)
    near = []
    for tree in forest.trees_:
        for column, cut in zip(tree.cut.feature, tree.cut.threshold, strict=True):
            if column < 0:
                continue
            at = np.float32(cut)
            for value in (
                at,
                np.nextafter(at, np.float32(-np.inf)),
                np.nextafter(at, np.float32(np.inf)),
            ):
                near.append(X[0].copy())
                near[-1][column] = value
    tested = np.array(near)
    assert len(tested) > 1000
    assert np.abs(graph_scores(forest, tested) - forest.score(tested)).max() < 1e-6


def test_only_much_is_suspicious_on_the_upper_side() -> None:
    X = rows()
    low, high = np.full((1, 3), -4, np.float32), np.full((1, 3), 4, np.float32)
    both, upper = (IsolationForest(side=side).fit(X) for side in ("both", "upper"))
    assert both.score(low)[0] > np.quantile(both.score(X), 0.99)
    assert upper.score(low)[0] < np.quantile(upper.score(X), 0.5)
    assert upper.score(high)[0] > np.quantile(upper.score(X), 0.99)


def test_labels_change_nothing() -> None:
    X, fraud, nominal = planted()
    forest = IsolationForest(n_trees=10)
    with_labels = forest.fit(X, fraud, nominal=nominal).score(X)
    assert np.array_equal(forest.fit(X, nominal=nominal).score(X), with_labels)


def test_fewer_rows_than_the_sample_are_enough() -> None:
    X = rows(1)
    assert np.isfinite(IsolationForest(n_trees=5).fit(rows(20)).score(X)).all()
