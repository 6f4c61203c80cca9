"""The doctor: checks the data, the split, and every fitted detector.

Each `Finding` is one sentence. A failure keeps a detector from being packaged unless the user
accepts its check by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import polars as pl

from shroff.arrays import Floats, Labels, Matrix, Scores
from shroff.detect import Calibration, Detector
from shroff.detect.checks import Finding, examine_scores, scores, seed_variance
from shroff.errors import ConfigurationError, did_you_mean
from shroff.evaluate import AnySplit, Split, TemporalSplit, doctor
from shroff.experiment import keys, leak, vectors
from shroff.experiment.dataset import Dataset
from shroff.features.engines.batch import compute_plan
from shroff.features.plan import Plan

CHECKS = (
    *leak.CHECKS,
    *keys.CHECKS,
    *vectors.CHECKS,
    *doctor.CHECKS,
    *scores.CHECKS,
    "seed_variance",
    "capped",
)
"""The names of all checks; `seed_variance` runs only with `thorough=True`."""

LabelledRows: TypeAlias = tuple[Matrix, Labels]


def accepted(names: Iterable[str]) -> tuple[str, ...]:
    """The names of accepted checks, each once; raises ConfigurationError for an unknown one.

    >>> accepted(["random_split"])
    ('random_split',)
    """
    for name in names:
        if name not in CHECKS:
            hint = did_you_mean(name, CHECKS) or f"; there are {', '.join(CHECKS)}"
            raise ConfigurationError(f"unknown check `{name}`{hint}")
    return tuple(dict.fromkeys(names))


def examine(
    detector: Detector,
    calibration: Calibration,
    learned: LabelledRows,
    held: LabelledRows,
    scores: Scores,
    *,
    amount: Floats | None,
    nominal: Mapping[int, int],
    thorough: bool = False,
) -> list[Finding]:
    """Findings about a fitted detector, from its `scores` [rows] of held-out rows and its
    calibration.

    Args:
        amount: of the held-out payments [rows], in major units; None where they are in several
            currencies.
        thorough: whether to fit the detector again with another seed.
    """
    X, fraud = held
    limits = [Finding("capped", _describe_limits(detector), "warning")] if detector.capped_ else []
    found = examine_scores(detector, X, fraud, scores, nominal=nominal)
    if any(finding.check == "not_a_number" for finding in found) or not fraud.any():
        return [*limits, *found]
    found = [*limits, *found]
    found += doctor.check_calibration(detector.name, fraud, calibration.probability(scores))
    if amount is not None:
        found += doctor.check_lift(detector.name, fraud, scores, amount)
    if thorough:
        found += seed_variance(detector, *learned, X, scores, nominal=nominal)
    return found


def _describe_limits(detector: Detector) -> str:
    limits = " and ".join(detector.capped_)
    return (
        f"expected {detector.name} to learn from every row until it converged, got {limits}: raise "
        "that limit if you have the time"
    )


def examine_data(
    data: Dataset, frame: pl.DataFrame, plan: Plan, split: AnySplit, rows: Split
) -> list[Finding]:
    """Findings about the data and its split, for every detector; `frame` is the clean table."""
    every = frame[plan.schema.time].dt.replace_time_zone(None).to_numpy()
    drawn = _without_early(split, data, rows)
    return [
        *leak.check_future(frame, plan.schema, lambda table: compute_plan(plan, table)),
        *leak.check_columns(data, frame, rows.train, looked_up=leak.looked_up(plan)),
        *keys.check_keys(frame, plan),
        *vectors.check_vectors(data, plan, rows),
        *doctor.check_split(split, data.time, data.y),
        *doctor.check_frauds(data.y, rows),
        *doctor.check_prevalence(data.y, data.time, drawn),
        *doctor.check_labelling(data.y, data.time, every, drawn),
    ]


def _without_early(split: AnySplit, data: Dataset, rows: Split) -> Split:
    """The parts without payments of the delay, which are learned from because their label came
    early: those are a selection on purpose.
    """
    if not isinstance(split, TemporalSplit) or split.early_labels == "drop":
        return rows
    before = data.time[rows.train] < np.datetime64(split.train_until, "us")
    return replace(rows, train=rows.train[before])
