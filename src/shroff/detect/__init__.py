"""Detect: turn features into a suspicion score, and a score into a probability.

A detector learns from a matrix (`Preparation` makes it from a feature frame) and gives each row a score
without a unit, on a scale of its own: **higher is more suspicious**, for every detector. `Calibration`,
fitted on held-out scores, maps the score to a probability of fraud in [0, 1]. What leaves training is an
ONNX graph (`Detector.to_onnx`) and two plain dictionaries (`Preparation.to_json`, `Calibration.to_json`).

Names are loaded on first use: the serving process imports `preparation` and `calibration` only, and with
them no training library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shroff.detect.autoencoder import Autoencoder
    from shroff.detect.base import Detector
    from shroff.detect.blend import Blend
    from shroff.detect.calibration import Calibration
    from shroff.detect.checks import DetectorCheckFailed, check_detector
    from shroff.detect.crossfit import out_of_fold_scores
    from shroff.detect.forest import IsolationForest
    from shroff.detect.gan import GAN
    from shroff.detect.linear import LogisticRegression
    from shroff.detect.mahalanobis import Mahalanobis
    from shroff.detect.mlp import MLP
    from shroff.detect.neighbours import KNN
    from shroff.detect.preparation import Preparation
    from shroff.detect.rules import Rules
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
    "DeepSVDD",
    "Detector",
    "DetectorCheckFailed",
    "IsolationForest",
    "LinearSVM",
    "LogisticRegression",
    "Mahalanobis",
    "Preparation",
    "Rules",
    "check_detector",
    "out_of_fold_scores",
]

_HOME = {
    "Autoencoder": "autoencoder",
    "Blend": "blend",
    "BoostedTrees": "trees",
    "Calibration": "calibration",
    "DeepSVDD": "svdd",
    "Detector": "base",
    "DetectorCheckFailed": "checks",
    "GAN": "gan",
    "IsolationForest": "forest",
    "KNN": "neighbours",
    "LinearSVM": "svm",
    "LogisticRegression": "linear",
    "MLP": "mlp",
    "Mahalanobis": "mahalanobis",
    "Preparation": "preparation",
    "Rules": "rules",
    "check_detector": "checks",
    "out_of_fold_scores": "crossfit",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
