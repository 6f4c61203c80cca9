"""The autoencoder: it rebuilds normal rows, and only those."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detect.deep.study import NOMINAL, needs_keras, payments, same_everywhere
from shroff.detect.autoencoder import Autoencoder
from shroff.detect.checks import check_detector
from shroff.errors import ConfigurationError

pytestmark = needs_keras


def test_it_keeps_the_contract() -> None:
    check_detector(Autoencoder(epochs=10))


def test_it_scores_alike_in_every_engine(tmp_path: Path) -> None:
    X, fraud = payments()
    detector = Autoencoder(epochs=3, activation="silu", batch_norm=True).fit(
        X, fraud, nominal=NOMINAL
    )
    same_everywhere(detector, X, tmp_path / "model")


def test_rows_off_the_learned_line_are_rebuilt_badly() -> None:
    t = np.random.default_rng(0).normal(size=500)
    X = np.column_stack([t, 2 * t, -t]).astype(np.float32)
    detector = Autoencoder(n_outputs=1, epochs=30).fit(X)
    on, off = detector.score(np.array([[1, 2, -1], [1, -2, -1]], dtype=np.float32))
    assert off > on + 2


def test_a_bottleneck_as_wide_as_the_row_lets_all_pass() -> None:
    X = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    narrow, wide = (Autoencoder(n_outputs=width, noise=0.0).fit(X) for width in (1, 2))
    assert wide.typical_ < 0.2 * narrow.typical_


def test_labelled_frauds_are_left_out() -> None:
    X, fraud = payments()
    detector = Autoencoder(epochs=2)
    expected = detector.fit(X[~fraud], nominal=NOMINAL).score(X)
    assert np.array_equal(detector.fit(X, fraud, nominal=NOMINAL).score(X), expected)


def test_a_bad_bottleneck_is_told() -> None:
    with pytest.raises(ConfigurationError, match="n_outputs of at least 1"):
        Autoencoder(n_outputs=0).fit(payments(60)[0])
