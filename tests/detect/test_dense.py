"""Back-propagation against finite differences, and the properties of training."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from shroff.detect.dense import DenseTraining, Loss, logit, slope, train

HOW = DenseTraining(
    epochs=30, batch_size=64, learning_rate=0.01, dropout=0.0, l2=0.0, loss="log", focus=2.0, seed=0
)


def loss_of(z: float, target: float, loss: Loss, focus: float) -> float:
    right = 1.0 / (1.0 + np.exp(-(2.0 * target - 1.0) * z))
    return float(-((1.0 - right) ** (focus if loss == "focal" else 0.0)) * np.log(right))


@given(
    z=st.floats(-8, 8),
    target=st.sampled_from([0.0, 1.0]),
    focus=st.sampled_from([0.5, 1.0, 2.0, 5.0]),
)
@pytest.mark.parametrize("loss", ["log", "focal"])
def test_slopes_are_those_of_the_loss(loss: Loss, z: float, target: float, focus: float) -> None:
    step = 1e-5
    rise = loss_of(z + step, target, loss, focus) - loss_of(z - step, target, loss, focus)
    (ours,) = slope(np.array([z], np.float32), np.array([target], np.float32), loss, focus)
    assert ours == pytest.approx(rise / (2 * step), abs=2e-4)


def test_a_network_learns_what_is_not_linear() -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(800, 2)).astype(np.float32)
    cross = (X[:, 0] * X[:, 1] > 0).astype(np.float32)
    weight = np.ones(800, np.float32)
    for hidden in ([32], [16, 8]):
        layers = train(X, cross, weight, hidden, HOW)
        assert [w.shape[1] for w, _ in layers] == [*hidden, 1]
        assert np.mean((logit(X, layers) > 0) == cross) > 0.93


def test_sparse_rows_are_learned_from_alike() -> None:
    rng = np.random.default_rng(2)
    X = (rng.random((300, 6)) < 0.3).astype(np.float32)
    target, weight = X[:, 0], np.ones(300, np.float32)
    dense = train(X, target, weight, [4], HOW)
    thin = train(sparse.csr_matrix(X), target, weight, [4], HOW)
    assert logit(sparse.csr_matrix(X), thin) == pytest.approx(logit(X, dense), abs=1e-3)


def test_weights_are_counted() -> None:
    X, target = np.ones((100, 1), np.float32), (np.arange(100) < 20).astype(np.float32)
    for more, share in ((1.0, 0.2), (4.0, 0.5)):
        weight = np.where(target == 1, more, 1.0).astype(np.float32)
        layers = train(X, target, weight / weight.mean(), [4], HOW)
        (z, *_) = logit(X, layers)
        assert 1.0 / (1.0 + np.exp(-z)) == pytest.approx(share, abs=0.02)


def test_the_seed_decides_and_decay_shrinks() -> None:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(200, 3)).astype(np.float32)
    target, weight = (X[:, 0] > 1).astype(np.float32), np.ones(200, np.float32)
    how = dataclasses.replace(HOW, dropout=0.3)
    first, again = train(X, target, weight, [8], how), train(X, target, weight, [8], how)
    other = train(X, target, weight, [8], dataclasses.replace(how, seed=1))
    assert np.array_equal(first[0][0], again[0][0])
    assert not np.array_equal(first[0][0], other[0][0])
    decayed = train(X, target, weight, [8], dataclasses.replace(how, l2=1.0))
    assert np.linalg.norm(decayed[0][0]) < 0.8 * np.linalg.norm(first[0][0])
