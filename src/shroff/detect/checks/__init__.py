"""Checks of detectors: the contract that all keep, and the doctor's checks of a fitted one.

`check_detector` tries a detector on simulated rows. `examine_scores` checks one that was fitted on
real rows and returns `Finding`s, one sentence each. Checks of a whole run (split, prevalence,
leaks, calibration) are in `shroff.evaluate.doctor` and `shroff.experiment.doctor`.
"""

from typing import TYPE_CHECKING

from shroff.detect.checks.finding import Finding, Severity
from shroff.lazy import loading

if TYPE_CHECKING:
    from shroff.detect.checks.contract import DetectorCheckFailed, check_detector, planted
    from shroff.detect.checks.scores import examine_scores, seed_variance

__all__ = [
    "DetectorCheckFailed",
    "Finding",
    "Severity",
    "check_detector",
    "examine_scores",
    "planted",
    "seed_variance",
]

# scikit-learn and ONNX, which a report of findings has no need of
_HOME = {
    "DetectorCheckFailed": "contract",
    "check_detector": "contract",
    "examine_scores": "scores",
    "planted": "contract",
    "seed_variance": "scores",
}


__getattr__ = loading(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
