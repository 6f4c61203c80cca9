"""Learning on a GPU: only where Keras sees one."""

from __future__ import annotations

from pathlib import Path

import pytest

from detect.deep.study import NOMINAL, needs_keras, payments, same_everywhere
from shroff.detect.deep.detector import NeuralDetector
from shroff.detect.gan import GAN
from shroff.detect.svdd import DeepSVDD

pytestmark = needs_keras


@pytest.mark.parametrize("detector", [DeepSVDD(epochs=3), GAN(epochs=3)], ids=["DeepSVDD", "GAN"])
def test_a_network_learns_on_the_gpu_and_scores_alike_everywhere(
    detector: NeuralDetector, tmp_path: Path
) -> None:
    keras = pytest.importorskip("keras")
    if not keras.distribution.list_devices("gpu"):
        pytest.skip(f"Keras on {keras.backend.backend()} sees no GPU")
    X, fraud = payments()
    detector.fit(X[~fraud], nominal=NOMINAL)
    if keras.backend.backend() == "tensorflow":
        memory = pytest.importorskip("tensorflow").config.experimental.get_memory_info("GPU:0")
        assert memory["peak"] > 0
    scores = detector.score(X)
    assert scores[fraud].mean() > scores[~fraud].mean()
    same_everywhere(detector, X, tmp_path / "model")
