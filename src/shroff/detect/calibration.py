"""From a raw score to a probability of fraud, the same bits for a batch and for one payment.

Imports NumPy only: the serving process uses this module.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self, TypedDict

import numpy as np
import numpy.typing as npt

from shroff.arrays import Bools, Floats
from shroff.detect.rows import as_labels
from shroff.errors import BundleError, ConfigurationError, DataError
from shroff.portable import logistic, logistic_of_one


class CalibrationJson(TypedDict):
    """A `Calibration` as JSON."""

    a: float
    b: float


@dataclass(frozen=True)
class Calibration:
    """Probability = 1 / (1 + exp(-(a · score + b))), with a > 0: more suspicious is more probable.

    Raises ConfigurationError for an `a` that is not above 0 or numbers that are not finite.

    Platt, Probabilistic Outputs for Support Vector Machines, 1999. Fitted on held-out scores, as in
    scikit-learn's `CalibratedClassifierCV(ensemble=False)`.

    >>> calibration = Calibration.fit([-2.0, -1.0, 0.5, 0.0, 1.0, 3.0], [0, 0, 0, 1, 1, 1])
    >>> calibration.probability([-2.0, 0.25, 3.0]).round(3)
    array([0.204, 0.505, 0.847])
    >>> round(calibration.one(3.0), 3)
    0.847
    """

    a: float
    b: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.a) and math.isfinite(self.b) and self.a > 0):
            raise ConfigurationError(
                "expected a calibration with a finite slope above 0 and a finite offset"
            )

    @classmethod
    def fit(cls, score: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """The maximum-likelihood calibration of held-out scores [rows] and labels [rows], 1 is
        fraud.

        Where scores do not rise with fraud the slope is nearly 0, and every probability the share
        of fraud. Raises DataError for scores that are not finite, other shapes, or labels of only
        one class.
        """
        scores, fraud = _checked(score, y)
        center, scale = float(scores.mean()), float(scores.std())
        if scores.min() == scores.max():
            scale = 1.0
        target = _smoothed(fraud)
        slope, offset = _newton((scores - center) / scale, target)
        if slope < _MIN_SLOPE:
            share = float(target.mean())
            slope, offset = _MIN_SLOPE, math.log(share / (1.0 - share))
        return cls(a=slope / scale, b=offset - slope * center / scale)

    def probability(self, score: npt.ArrayLike) -> Floats:
        """The probability of fraud of each score, float64 in [0, 1]; raises DataError for NaN."""
        scores = np.asarray(score, dtype=np.float64)
        if np.isnan(scores).any():
            raise DataError("expected scores that are numbers, got NaN")
        with np.errstate(over="ignore"):
            found: Floats = logistic(self.a * scores + self.b)
        return found

    def one(self, score: float) -> float:
        """The probability of one score, bit for bit `probability`'s; raises DataError for NaN."""
        exponent = self.a * float(score) + self.b
        if math.isnan(exponent):
            raise DataError("expected a score that is a number, got NaN")
        return logistic_of_one(exponent)

    def to_json(self) -> CalibrationJson:
        """A dictionary that JSON keeps to the bit."""
        return {"a": self.a, "b": self.b}

    @classmethod
    def from_json(cls, data: CalibrationJson) -> Self:
        """The calibration that `to_json` wrote; raises BundleError for anything else."""
        try:
            return cls(a=data["a"], b=data["b"])
        except (KeyError, TypeError, ConfigurationError) as error:
            raise BundleError("expected a calibration as Calibration.to_json writes it") from error


# Platt's fit, with the Newton steps of Lin, Lin and Weng, A Note on Platt's Probabilistic Outputs,
# 2007.

_MIN_SLOPE = 1e-6  # smallest slope, per standard deviation of the scores
_RIDGE = 1e-12  # keeps the Hessian invertible when all scores are equal
_MAX_NEWTON_STEPS = 100
_MIN_GRADIENT = 1e-10  # mean over rows


def _checked(score: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Bools]:
    scores, shape = np.asarray(score, dtype=np.float64), np.shape(y)
    if scores.ndim != 1 or scores.shape != shape:
        raise DataError(
            f"expected one label per score, got shapes {list(scores.shape)} and {list(shape)}"
        )
    if not np.isfinite(scores).all():
        raise DataError("expected finite scores to calibrate on, got infinite or NaN ones")
    fraud = as_labels(y, len(scores))
    if not fraud.any() or fraud.all():
        raise DataError(
            "expected both fraud and genuine rows to calibrate on, got at most one of the two"
        )
    return scores, fraud


def _smoothed(fraud: Bools) -> Floats:
    """Platt's targets: a little inside 0 and 1, so that separable scores keep a finite slope."""
    frauds = int(np.count_nonzero(fraud))
    genuine = fraud.size - frauds
    return np.where(fraud, (frauds + 1.0) / (frauds + 2.0), 1.0 / (genuine + 2.0))


def _newton(x: Floats, target: Floats) -> tuple[float, float]:
    """Slope and offset that minimise the mean cross-entropy of `target` [rows] given `x` [rows]."""
    design = np.column_stack([x, np.ones_like(x)])
    share = float(target.mean())
    weights = np.array([0.0, math.log(share / (1.0 - share))])
    loss = _loss(design @ weights, target)
    for _ in range(_MAX_NEWTON_STEPS):
        probability = 0.5 * (1.0 + np.tanh(0.5 * (design @ weights)))
        gradient = design.T @ (probability - target) / x.size
        if np.abs(gradient).max() < _MIN_GRADIENT:
            break
        curvature = probability * (1.0 - probability) / x.size
        hessian = (design.T * curvature) @ design + _RIDGE * np.eye(2)
        weights, loss, moved = _descend(
            design, target, weights, loss, np.linalg.solve(hessian, gradient)
        )
        if not moved:
            break
    return float(weights[0]), float(weights[1])


def _descend(
    design: Floats, target: Floats, weights: Floats, loss: float, step: Floats
) -> tuple[Floats, float, bool]:
    """Halve the Newton step until it lowers the loss; whether any length did."""
    for halvings in range(30):
        candidate = weights - step * 0.5**halvings
        smaller = _loss(design @ candidate, target)
        if smaller < loss:
            return candidate, smaller, True
    return weights, loss, False


def _loss(z: Floats, target: Floats) -> float:
    return float(np.mean(np.logaddexp(0.0, z) - target * z))
