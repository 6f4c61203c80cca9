"""Checks of detectors: the contract that each of them keeps, and the doctor who looks at one that has learned.

`check_detector` tries a kind of detector on made-up rows, before anybody relies on it. `examine_scores` looks at one
that was fitted on real rows; what it finds is a `Finding`, a sentence for people. Checks of a whole run (splits,
prevalence, leaks, calibration) stand on these in `shroff.evaluate.doctor` and `shroff.experiment.doctor`.
"""

from shroff.detect.checks.contract import DetectorCheckFailed, check_detector, planted
from shroff.detect.checks.finding import Finding, Severity
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
