"""Linear SVM: scikit-learn's plane on the shared expansion, and kernels that the graph repeats."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import kernel_approximation, svm
from sklearn.exceptions import ConvergenceWarning

from detect.rows import NOMINAL, graph_scores, payments
from shroff.detect.checks import check_detector
from shroff.detect.expansion import Expansion
from shroff.detect.svm import Approximation, LinearSVM
from shroff.errors import ConfigurationError

APPROXIMATIONS: list[Approximation | None] = [None, "nystroem", "fourier"]


@pytest.mark.parametrize("approximation", APPROXIMATIONS)
def test_it_keeps_the_contract(approximation: Approximation | None) -> None:
    check_detector(LinearSVM(approximation=approximation, components=50))
    balanced = LinearSVM(approximation=approximation, components=50, class_weight="balanced", C=0.1)
    check_detector(balanced, *payments(), nominal=NOMINAL)
    X, fraud = payments()
    check_detector(balanced, X[:, [1, 3]], fraud, nominal={0: 4, 1: 3})


def test_the_margin_is_scikit_learn_s() -> None:
    X, fraud = payments()
    design = Expansion.learn(X, NOMINAL).design(X)
    plane = svm.LinearSVC(C=0.5, dual=False).fit(design, fraud)
    ours = LinearSVM(C=0.5).fit(X, fraud, nominal=NOMINAL)
    assert ours.score(X) == pytest.approx(plane.decision_function(design), abs=1e-4)
    fourier = kernel_approximation.RBFSampler(gamma=0.1, n_components=50, random_state=0).fit(
        design
    )
    plane = svm.LinearSVC(dual=False).fit(fourier.transform(design), fraud)
    ours = LinearSVM(approximation="fourier", components=50, gamma=0.1).fit(
        X, fraud, nominal=NOMINAL
    )
    assert ours.score(X) == pytest.approx(
        plane.decision_function(fourier.transform(design)), abs=1e-4
    )
    nystroem = kernel_approximation.Nystroem(gamma=0.1, n_components=50, random_state=0).fit(design)
    plane = svm.LinearSVC(dual=False).fit(nystroem.transform(design), fraud)
    ours = LinearSVM(approximation="nystroem", components=50, gamma=0.1).fit(
        X, fraud, nominal=NOMINAL
    )
    assert ours.score(X) == pytest.approx(
        plane.decision_function(nystroem.transform(design)), abs=1e-4
    )


@pytest.mark.parametrize("approximation", ["nystroem", "fourier"])
def test_a_kernel_finds_what_no_plane_does(approximation: Approximation) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 2)).astype(np.float32)
    ring = np.linalg.norm(X, axis=1) > 1.8
    curved = LinearSVM(approximation=approximation, gamma=0.5, components=100).fit(X, ring).score(X)
    straight = LinearSVM().fit(X, ring).score(X)
    assert np.mean((curved > 0) == ring) > 0.97
    assert np.mean((straight > 0) == ring) < 0.9


def test_a_plane_on_a_kernel_learns_from_a_sample_and_says_so() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4_000, 2)).astype(np.float32)
    ring = np.linalg.norm(X, axis=1) > 2.6
    whole = LinearSVM(approximation="nystroem", gamma=0.5, components=50).fit(X, ring)
    drawn = LinearSVM(approximation="nystroem", gamma=0.5, components=50, sample=1_000).fit(X, ring)
    assert (whole.capped_, drawn.capped_) == ((), ("1,000 of 4,000 rows",))
    # the rows that were drawn weigh for the others: the plane lies where it would
    assert np.mean((drawn.score(X) > 0) == (whole.score(X) > 0)) > 0.98
    assert LinearSVM(sample=1_000).fit(X, ring).capped_ == ()
    with pytest.warns(ConvergenceWarning):
        assert LinearSVM(loss="hinge", max_iter=1).fit(X, ring).capped_ == (
            "1 passes of liblinear",
        )
    with pytest.raises(ConfigurationError, match=r"sample=1\): expected a whole number from 2"):
        LinearSVM(sample=1).fit(X, ring)


@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([0.1, 1.0, 30.0]))
def test_the_graph_scores_alike_far_from_the_training_rows(seed: int, scale: float) -> None:
    X, fraud = payments(100)
    model = LinearSVM(approximation="nystroem", components=20).fit(X, fraud, nominal=NOMINAL)
    far = payments(20, seed=seed)[0]
    far[:, [0, 2]] *= np.float32(scale)
    assert graph_scores(model, far) == pytest.approx(model.score(far), abs=1e-5)


def test_the_hinge_is_learned_too() -> None:
    X, fraud = payments(200)
    scores = (
        LinearSVM(loss="hinge", C=0.1, max_iter=100_000).fit(X, fraud, nominal=NOMINAL).score(X)
    )
    assert scores[fraud].mean() > scores[~fraud].mean()


def test_more_rows_than_a_block_are_scored_alike() -> None:
    X, fraud = payments(9000)
    for approximation in ("nystroem", "fourier"):
        model = LinearSVM(approximation=approximation, components=10).fit(
            X[:500], fraud[:500], nominal=NOMINAL
        )
        assert model.score(X)[-100:] == pytest.approx(model.score(X[-100:]), abs=1e-12)
        assert model.score(X[:0]).shape == (0,)


def test_bad_parameters_are_refused() -> None:
    X, fraud = payments(100)
    with pytest.raises(ConfigurationError, match=r"gamma=0.0\): expected a number above 0"):
        LinearSVM(approximation="fourier", gamma=0.0).fit(X, fraud, nominal=NOMINAL)
    with pytest.raises(ConfigurationError, match="expected None, 'nystroem' or 'fourier'"):
        LinearSVM(approximation="cosine").fit(X, fraud, nominal=NOMINAL)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(ConfigurationError, match="pass y"):
        LinearSVM().fit(X)
