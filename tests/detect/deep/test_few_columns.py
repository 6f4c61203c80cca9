"""Few columns and dense, curved normal rows: the defaults find what lies close beside them."""

from __future__ import annotations

import numpy as np
import pytest

from detect.deep.study import arcs, needs_keras
from shroff.detect.deep.detector import NeuralDetector
from shroff.detect.gan import GAN
from shroff.detect.svdd import DeepSVDD

pytestmark = needs_keras


@pytest.mark.parametrize("detector", [DeepSVDD(), GAN()], ids=["DeepSVDD", "GAN"])
def test_the_defaults_find_rows_between_the_arcs(detector: NeuralDetector) -> None:
    normal, between = arcs(3_000)
    detector.fit(normal[:2_500])
    limit = np.quantile(detector.score(normal[2_500:]), 0.95)
    # with 256 centres it is at most 0.57
    assert (detector.score(between) > limit).mean() > 0.85
