"""Experiment: train every detector on one dataset and one split, compare them, and pick one.

What is learned (vocabularies, means, calibration, thresholds) is learned from training rows only; the pick
is made on out-of-fold scores of the training rows, so the test part stays unseen until it is reported.
"""

from shroff.experiment.dataset import Dataset
from shroff.experiment.run import Run, train
from shroff.experiment.training import Trained

__all__ = ["Dataset", "Run", "Trained", "train"]
