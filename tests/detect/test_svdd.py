"""Deep SVDD: its objectives, its centres, its guards, and a run that resumes after a kill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detect.deep.study import NOMINAL, needs_keras, payments, same_everywhere
from shroff.detect.checks import check_detector
from shroff.detect.deep import learning
from shroff.detect.svdd import DeepSVDD
from shroff.errors import ConfigurationError, DataError

pytestmark = needs_keras

QUICK = {"epochs": 3, "n_centres": 32}


def quick(**changes: object) -> DeepSVDD:
    return DeepSVDD(**(QUICK | changes))  # type: ignore[arg-type]  # options of several types


@pytest.mark.parametrize(
    "changes", [{}, {"objective": "soft_boundary", "batch_norm": True, "dropout_rate": 0.2}]
)
def test_it_keeps_the_contract(changes: dict[str, object]) -> None:
    check_detector(quick(**changes))


def test_it_scores_alike_in_every_engine(tmp_path: Path) -> None:
    X, fraud = payments()
    same_everywhere(quick(batch_norm=True).fit(X, fraud, nominal=NOMINAL), X, tmp_path / "model")


def test_frauds_between_the_groups_need_many_centres() -> None:
    X, fraud = payments()
    many, one = (
        quick(n_centres=count, residual=True).fit(X[~fraud], nominal=NOMINAL) for count in (32, 1)
    )
    assert many.score(X)[fraud].mean() > np.quantile(many.score(X)[~fraud], 0.95)
    assert one.score(X)[fraud].mean() < np.median(one.score(X)[~fraud])


def test_labels_only_tell_which_rows_are_normal_when_eta_is_0() -> None:
    X, fraud = payments()
    labelled = quick(eta=0.0).fit(X, fraud, nominal=NOMINAL)
    assert np.array_equal(
        labelled.score(X), quick(eta=0.0).fit(X[~fraud], nominal=NOMINAL).score(X)
    )


def test_known_frauds_among_the_normal_rows_are_pushed_away() -> None:
    rng = np.random.default_rng(0)
    fraud = np.arange(600) < 60
    X = rng.normal(size=(600, 2)).astype(np.float32)
    X[fraud] = [1.2, 1.2] + 0.2 * X[fraud]
    gaps = []
    for eta in (1e-6, 10.0):
        scores = quick(epochs=20, eta=eta, learning_rate=3e-3).fit(X, fraud).score(X)
        gaps.append(scores[fraud].mean() - scores[~fraud].mean())
    assert gaps[1] > max(gaps[0], 0.0) + 0.4


def test_training_gathers_normal_rows_and_the_guard_keeps_their_spread() -> None:
    X, _ = payments()
    free, guarded = (
        quick(epochs=20, guard=guard, learning_rate=3e-3).fit(X, nominal=NOMINAL)
        for guard in (0.0, 30.0)
    )
    start = quick(epochs=0).fit(X, nominal=NOMINAL)
    assert free.centres_.typical < 0.8 * start.centres_.typical
    assert guarded.centres_.typical > free.centres_.typical


def test_the_papers_own_network_learns() -> None:
    X, _ = payments()
    plain = quick(residual=False, n_centres=1, pretrain_epochs=3, guard=0.0).fit(X, nominal=NOMINAL)
    assert not any(name.endswith(("bias", "fixed")) for name in plain.weights_)
    assert plain.score(X).std() > 0


def test_nothing_is_learned_without_normal_rows() -> None:
    with pytest.raises(DataError, match="at least 2 normal rows"):
        quick().fit(np.zeros((3, 2), np.float32), [1, 1, 0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"objective": "two_class"}, "expected objective"),
        ({"n_centres": 0}, "n_centres"),
        ({"nu": 1.0}, "expected nu"),
        (
            {"activation": "cosine"},
            "expected an activation out of leaky_relu, relu, elu, silu, tanh",
        ),
        ({"dropout_rate": 1.0}, "dropout_rate"),
        ({"n_layers": -1}, "n_layers"),
        ({"batch_size": 1}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"optimizer": "hope"}, "expected an optimizer of Keras"),
    ],
)
def test_a_bad_parameter_is_told(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        quick(**wrong).fit(payments(60)[0])


def test_early_stopping_watches_rows_held_out() -> None:
    X, _ = payments()
    stopped = quick(epochs=500, patience=2, learning_rate=3e-2).fit(X)
    assert np.isfinite(stopped.score(X)).all()


def train(detector: DeepSVDD, folder: Path | None) -> DeepSVDD:
    found = detector.train_and_evaluate(
        payments, lambda: payments(seed=1), nominal=NOMINAL, folder=folder
    )
    assert (found.rows, found.frauds) == (500, 25)
    assert found.roc_auc > 0.9
    assert found.mean_fraud > found.mean_normal
    return detector


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    keras = pytest.importorskip("keras")
    X, _ = payments()
    whole = train(quick(epochs=6, pretrain_epochs=2), None)

    class Kill(keras.callbacks.Callback):  # type: ignore[misc, name-defined]  # Keras ships no types
        epochs = 0

        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            Kill.epochs += 1
            if Kill.epochs == 5:
                raise KeyboardInterrupt

    ordinary = learning._callbacks
    monkeypatch.setattr(learning, "_callbacks", lambda *given: [*ordinary(*given), Kill()])
    with pytest.raises(KeyboardInterrupt):
        train(quick(epochs=6, pretrain_epochs=2), tmp_path)
    resumed = train(quick(epochs=6, pretrain_epochs=2), tmp_path)
    assert Kill.epochs == 8
    assert resumed.score(X) == pytest.approx(whole.score(X), abs=1e-5)
    train(quick(epochs=6, pretrain_epochs=2), tmp_path)
    assert Kill.epochs == 8
    assert list((tmp_path / "logs" / "gathering").rglob("events.out.tfevents.*"))


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    train(quick(), tmp_path)
    with pytest.raises(ConfigurationError, match="name another"):
        train(quick(epochs=4), tmp_path)


def test_evaluation_needs_labels_of_both_kinds() -> None:
    X, _ = payments()
    with pytest.raises(DataError, match="labels of both"):
        quick(epochs=0).train_and_evaluate(payments, lambda: (X, None), nominal=NOMINAL)
