"""The GAN: each of its games, its score, and its refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detect.deep.study import NOMINAL, needs_keras, payments, same_everywhere
from shroff.detect.checks import check_detector
from shroff.detect.deep.embedding import Embedding
from shroff.detect.deep.keras_ops import KerasOps
from shroff.detect.deep.network import Dense
from shroff.detect.deep.ops import NumpyOps
from shroff.detect.gan import GAN
from shroff.errors import ConfigurationError

pytestmark = needs_keras

QUICK = {"epochs": 3, "n_centres": 32, "n_neurons": 16}


def quick(**changes: object) -> GAN:
    return GAN(**(QUICK | changes))  # type: ignore[arg-type]  # options of several types


def test_it_keeps_the_contract() -> None:
    check_detector(quick())


@pytest.mark.parametrize("scaling", ["quantile", "surprise"])
def test_scores_of_a_column_and_one_side_are_alike_in_every_engine(
    scaling: str, tmp_path: Path
) -> None:
    X, _ = payments()
    gan = quick(scaling=scaling, side="upper", contamination=0.05).fit(X, nominal=NOMINAL)
    same_everywhere(gan, X, tmp_path / "model")
    high, usual, low = gan.score(
        np.array([[30, 30, 9, 1], [0, 0, 0, 1], [-30, -30, -9, 1]], dtype=np.float32)
    )
    assert high > usual == pytest.approx(low)


def test_what_lies_farthest_out_is_not_learned_from() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2)).astype(np.float32)
    X[:12] = 8.0 + 0.1 * rng.normal(size=(12, 2))
    dirty, clean = (quick(contamination=share).fit(X).score(X) for share in (0.0, 0.05))
    assert np.median(clean[:12]) > np.quantile(clean[12:], 0.99)
    assert np.median(clean[:12]) > 2 * np.median(dirty[:12])


@pytest.mark.parametrize("loss_type", ["fence", "cross_entropy", "least_squares", "wasserstein_gp"])
def test_every_game_trains_all_its_networks(loss_type: str) -> None:
    X, fraud = payments(200)
    first, later = (
        quick(loss_type=loss_type, epochs=e, reconstruction=0.5).fit(X, nominal=NOMINAL)
        for e in (0, 2)
    )
    moved = {
        name
        for name, array in later.weights_.items()
        if not np.array_equal(array, first.weights_[name])
    }
    assert {name.split("/")[0] for name in moved} == {"features", "generator", "encoder"}
    assert np.isfinite(later.score(X)).all()
    assert later.score(X)[fraud].mean() > later.score(X)[~fraud].mean()


def test_it_scores_alike_in_every_engine(tmp_path: Path) -> None:
    X, fraud = payments()
    gan = quick(reconstruction=0.5, batch_norm=True, dropout_rate=0.1).fit(
        X, fraud, nominal=NOMINAL
    )
    same_everywhere(gan, X, tmp_path / "model")


def test_the_generators_rows_come_near_the_normal_ones() -> None:
    X, _ = payments()
    near = {}
    for epochs in (0, 30):
        gan = quick(loss_type="cross_entropy", blur=0.0, epochs=epochs, reconstruction=0.1).fit(
            X, nominal=NOMINAL
        )
        noise = np.random.default_rng(1).normal(size=(300, 16))
        ops = NumpyOps()
        made = gan.generator_.formula(
            ops, {name: ops.constant(w) for name, w in gan.weights_.items()}, noise
        )
        near[epochs] = np.median(gan.inputs_.encode(X).std(axis=0)), np.median(made.std(axis=0))
    real, made_spread = near[30]
    assert 0.2 * real < made_spread < 2.0 * real


def test_the_same_seed_gives_the_same_gan() -> None:
    X, _ = payments(200)
    first, again, other = (quick(seed=seed).fit(X, nominal=NOMINAL).score(X) for seed in (0, 0, 1))
    assert first == pytest.approx(again, abs=1e-6)
    assert not np.allclose(first, other)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"loss_type": "luck"},
            "expected a loss_type out of cross_entropy, least_squares, wasserstein_gp, fence",
        ),
        ({"blur": 1.0}, "expected blur"),
        ({"n_noise": 0}, "n_noise"),
        ({"contamination": 0.5}, "expected contamination from 0 to below 0.5, got 0.5"),
        (
            {"loss_type": "wasserstein_gp", "batch_norm": True},
            "gradient penalty needs a network without batch_norm",
        ),
    ],
)
def test_a_bad_parameter_is_told(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        quick(**wrong).fit(payments(60)[0])


@pytest.mark.parametrize("activation", ["leaky_relu", "elu", "silu", "tanh"])
def test_the_gradient_penalty_uses_the_true_gradient(activation: str) -> None:
    rng = np.random.default_rng(0)
    embedding = Embedding(
        Dense("net", 3, 2, n_neurons=5, n_layers=2, activation=activation), residual=True
    )
    weights = {name: array.astype(np.float64) for name, array in embedding.initial(rng).items()}
    x, above, step = rng.normal(size=(4, 3)), rng.normal(size=(4, 2)), 1e-6
    ops = KerasOps(dtype="float64")
    found = np.array(embedding.slope(ops, weights, ops.constant(x), ops.constant(above)))
    for column in range(3):
        moved = np.eye(3)[column] * step
        up, down = (embedding.formula(NumpyOps(), weights, x + sign * moved) for sign in (1, -1))
        assert found[:, column] == pytest.approx(
            ((up - down) * above).sum(axis=1) / (2 * step), rel=1e-4, abs=1e-6
        )


@pytest.mark.parametrize("batch_norm", [False, True])
def test_two_batches_at_once_are_embedded_as_one_by_one(batch_norm: bool) -> None:
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(0)
    embedding = Embedding(Dense("net", 3, 2, n_neurons=5, batch_norm=batch_norm), residual=True)
    initial = embedding.initial(rng)
    tables = [{name: keras.Variable(array) for name, array in initial.items()} for _ in range(2)]
    ops, kept, other = KerasOps(), rng.normal(size=(6, 3)), 3.0 + rng.normal(size=(4, 3))
    x, y = ops.constant(kept), ops.constant(other)
    both = np.array(embedding.train_both(ops, tables[0], x, y))
    apart = [np.array(embedding.train(ops, tables[1], rows, keep=rows is x)) for rows in (x, y)]
    assert both == pytest.approx(np.concatenate(apart), rel=1e-5, abs=1e-6)
    assert all(np.allclose(tables[0][name], tables[1][name]) for name in initial)


def test_learning_leaves_tensorflows_settings_as_they_were() -> None:
    tensorflow = pytest.importorskip("tensorflow")
    options = tensorflow.config.optimizer
    options.set_experimental_options({"disable_meta_optimizer": False, "constant_folding": True})
    before = options.get_experimental_options()
    quick().fit(payments(60)[0])
    assert options.get_experimental_options() == before
