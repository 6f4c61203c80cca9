"""Detect: learn suspicion from features, and turn a score into a probability.

Reads a feature frame, which `Preparation` turns into a float32 matrix: missing is NaN, a nominal
column holds codes. A `Detector` gives each row a score without a unit, **higher for more suspicious
rows**; `Calibration`, fitted on held-out scores, maps it to a probability of fraud in [0, 1].
Promises one contract for every detector (`check_detector`), the same scores from its ONNX graph
(`to_onnx`), and nothing pickled: preparation and calibration are plain JSON.

Names are loaded on first use, so that serving imports preparation and calibration without a
training library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shroff.lazy import loading

if TYPE_CHECKING:
    from shroff.detect.autoencoder import Autoencoder
    from shroff.detect.base import Detector, require_fitted, scoring_matrix, training_matrix
    from shroff.detect.blend import Blend
    from shroff.detect.calibration import Calibration
    from shroff.detect.checks import (
        DetectorCheckFailed,
        Finding,
        check_detector,
        examine_scores,
        planted,
    )
    from shroff.detect.classifier import expected_failed_checks
    from shroff.detect.crossfit import held_out_scores, out_of_fold_scores
    from shroff.detect.deep.stream import Parquet
    from shroff.detect.forest import IsolationForest
    from shroff.detect.gan import GAN
    from shroff.detect.graph import Graph
    from shroff.detect.linear import LogisticRegression
    from shroff.detect.mahalanobis import Mahalanobis
    from shroff.detect.mlp import MLP
    from shroff.detect.neighbours import KNN
    from shroff.detect.preparation import Preparation
    from shroff.detect.rules import Rules
    from shroff.detect.space import Choice, Range
    from shroff.detect.svdd import DeepSVDD
    from shroff.detect.svm import LinearSVM
    from shroff.detect.trees import BoostedTrees

__all__ = [
    "GAN",
    "KNN",
    "MLP",
    "Autoencoder",
    "Blend",
    "BoostedTrees",
    "Calibration",
    "Choice",
    "DeepSVDD",
    "Detector",
    "DetectorCheckFailed",
    "Finding",
    "Graph",
    "IsolationForest",
    "LinearSVM",
    "LogisticRegression",
    "Mahalanobis",
    "Parquet",
    "Preparation",
    "Range",
    "Rules",
    "check_detector",
    "examine_scores",
    "expected_failed_checks",
    "held_out_scores",
    "out_of_fold_scores",
    "planted",
    "require_fitted",
    "scoring_matrix",
    "training_matrix",
]

_HOME = {
    "Autoencoder": "autoencoder",
    "Blend": "blend",
    "BoostedTrees": "trees",
    "Calibration": "calibration",
    "Choice": "space",
    "DeepSVDD": "svdd",
    "Detector": "base",
    "DetectorCheckFailed": "checks",
    "Finding": "checks",
    "GAN": "gan",
    "Graph": "graph",
    "IsolationForest": "forest",
    "KNN": "neighbours",
    "LinearSVM": "svm",
    "LogisticRegression": "linear",
    "MLP": "mlp",
    "Mahalanobis": "mahalanobis",
    "Parquet": "deep.stream",
    "Preparation": "preparation",
    "Range": "space",
    "Rules": "rules",
    "check_detector": "checks",
    "examine_scores": "checks",
    "expected_failed_checks": "classifier",
    "held_out_scores": "crossfit",
    "out_of_fold_scores": "crossfit",
    "planted": "checks",
    "require_fitted": "base",
    "scoring_matrix": "base",
    "training_matrix": "base",
}


__getattr__ = loading(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
