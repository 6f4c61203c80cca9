"""MLP: the contract, imbalance, embeddings of nominal columns."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from detect.rows import NOMINAL, graph_scores, payments
from shroff.detect.checks import check_detector
from shroff.detect.mlp import MLP
from shroff.errors import ConfigurationError


@pytest.mark.parametrize(
    "network",
    [
        MLP(epochs=5),
        MLP(epochs=5, hidden=(16, 8), networks=2, loss="focal"),
        MLP(epochs=5, class_weight="balanced"),
        MLP(epochs=5, class_weight=3.0, dropout=0.0),
    ],
)
def test_it_keeps_the_contract(network: MLP) -> None:
    check_detector(network)
    check_detector(network, *payments(), nominal=NOMINAL)


def test_a_code_of_two_columns_is_learned() -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, size=(900, 2)).astype(np.float32)
    fraud = X[:, 0] == X[:, 1]  # neither column tells anything alone
    scores = (
        MLP(hidden=(16,), epochs=30, learning_rate=0.01, dropout=0.0)
        .fit(X, fraud, nominal={0: 3, 1: 3})
        .score(X)
    )
    assert scores[fraud].min() > scores[~fraud].max()


def test_a_weight_for_fraud_raises_the_scores() -> None:
    X, fraud = payments(1000)
    plain, balanced = (
        MLP(epochs=5, class_weight=weight).fit(X, fraud, nominal=NOMINAL).score(X)
        for weight in (None, "balanced")
    )
    assert balanced.mean() > plain.mean() + 1.0
    assert roc_auc_score(fraud, balanced) > 0.7


def test_networks_are_averaged() -> None:
    X, fraud = payments()
    one, two, both = (
        MLP(epochs=3, seed=seed, networks=networks).fit(X, fraud, nominal=NOMINAL).score(X)
        for seed, networks in ((0, 1), (1, 1), (0, 2))
    )
    assert both == pytest.approx((one + two) / 2)


def test_the_graph_scores_alike_far_from_the_training_rows() -> None:
    X, fraud = payments()
    network = MLP(epochs=3, hidden=(32, 16)).fit(X, fraud, nominal=NOMINAL)
    far = X.copy()
    far[:, [0, 2]] *= 1000
    assert graph_scores(network, far) == pytest.approx(network.score(far), rel=1e-6)


@pytest.mark.parametrize(
    ("network", "complaint"),
    [
        (MLP(hidden=()), "layers of at least one unit"),
        (MLP(epochs=0), r"epochs=0\): expected a whole number from 1"),
        (MLP(dropout=1.0), "a number from 0 to below 1"),
        (MLP(loss="hinge"), "expected 'log' or 'focal'"),  # type: ignore[arg-type]  # wrong on purpose
        (MLP(class_weight="heavy"), "expected 'balanced', a number or None"),
    ],
)
def test_bad_parameters_are_refused(network: MLP, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        network.fit(*payments(50), nominal=NOMINAL)
