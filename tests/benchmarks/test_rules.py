"""The comparison at equal false positives is fair: ties never let more genuine payments through."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

found = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "rules.py"))["found"]


@pytest.mark.parametrize(("allowed", "frauds"), [(0, 1), (1, 1), (2, 2), (3, 3)])
def test_frauds_above_the_last_genuine_payment_allowed(allowed: int, frauds: int) -> None:
    fraud = np.array([True, False, False, True, False, True, False])
    scores = np.array([9.0, 8.0, 7.0, 7.0, 5.0, 5.0, 4.0])
    assert found(fraud, scores, allowed) == frauds
    assert (scores[~fraud] > np.sort(scores[~fraud])[::-1][allowed]).sum() <= allowed
