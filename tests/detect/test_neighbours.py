"""Nearest neighbours against a plain double loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detect.rows import graph_scores
from shroff.arrays import Matrix
from shroff.detect.checks import check_detector
from shroff.detect.neighbours import KNN
from shroff.errors import ConfigurationError


def test_it_keeps_the_contract() -> None:
    check_detector(KNN())
    check_detector(KNN(k=3, distance="mean", side="upper", sample=200))


points = arrays(np.float32, st.tuples(st.integers(3, 12), st.just(2)), elements=st.integers(-9, 9))


@settings(max_examples=30)
@given(known=points, new=points, k=st.integers(1, 3))
def test_distances_are_those_of_the_nearest(known: Matrix, new: Matrix, k: int) -> None:
    distances = np.sort(
        [[np.hypot(*(row - other).astype(np.float64)) for other in known] for row in new], axis=1
    )[:, :k]
    largest, mean = (KNN(k=k, distance=distance).fit(known) for distance in ("largest", "mean"))
    assert largest.score(new) == pytest.approx(distances.max(axis=1), abs=1e-6)
    assert mean.score(new) == pytest.approx(distances.mean(axis=1), abs=1e-6)
    assert graph_scores(mean, new) == pytest.approx(distances.mean(axis=1), abs=1e-5)


def test_no_more_than_the_sample_is_kept() -> None:
    X = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    model = KNN(sample=100, seed=1).fit(X)
    assert len(np.unique(model.references_, axis=0)) == 100
    assert not np.array_equal(model.references_, KNN(sample=100, seed=2).fit(X).references_)


def test_more_rows_than_a_block_are_scored_alike() -> None:
    X = np.random.default_rng(0).normal(size=(5000, 2)).astype(np.float32)
    model = KNN(sample=50).fit(X)
    assert model.score(X)[-10:] == pytest.approx(model.score(X[-10:]), abs=1e-12)
    assert model.score(X[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (KNN(k=11), "k from 1 to the 10"),
        (KNN(k=0), "a whole number from 1"),
        (KNN(distance="least"), "'largest' or 'mean'"),  # type: ignore[arg-type]  # wrong on purpose
    ],
)
def test_bad_parameters_are_refused(model: KNN, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        model.fit(np.zeros((10, 1), np.float32))
