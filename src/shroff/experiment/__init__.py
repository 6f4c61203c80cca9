"""Experiment: train every detector on one dataset and one split, compare them, and pick one.

Reads a `Dataset` (clean payments with features, amounts in major units, times in UTC) and a split
of `shroff.evaluate`; gives a `Run` with a `Trained` per detector. Promises that vocabularies,
means, calibration, thresholds and the pick itself follow from the training part only, the last
three from payments held out of it: the test part stays unseen until it is reported. Doctor's
findings come with every run. `Runs` keeps the `RunRecord` of every `shroff train`, also of one that
failed or was killed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shroff.lazy import loading

if TYPE_CHECKING:
    from shroff.experiment.dataset import Dataset
    from shroff.experiment.record import RunRecord, differences
    from shroff.experiment.run import Run, SplitPart, train
    from shroff.experiment.runs import RunRecorder, Runs, load_run
    from shroff.experiment.training import Trained

__all__ = [
    "Dataset",
    "Run",
    "RunRecord",
    "RunRecorder",
    "Runs",
    "SplitPart",
    "Trained",
    "differences",
    "load_run",
    "train",
]

# records are read without what trains: scikit-learn and Numba take two seconds to import
__getattr__ = loading(
    __name__,
    {
        "Dataset": "dataset",
        "Run": "run",
        "RunRecord": "record",
        "RunRecorder": "runs",
        "Runs": "runs",
        "SplitPart": "run",
        "Trained": "training",
        "differences": "record",
        "load_run": "runs",
        "train": "run",
    },
)
