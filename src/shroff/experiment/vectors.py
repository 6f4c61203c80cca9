"""The doctor's check of vectors: they were learned before any payment of the test part."""

from __future__ import annotations

from datetime import UTC, datetime

from shroff.detect.checks import Finding
from shroff.evaluate import Split
from shroff.experiment.dataset import Dataset
from shroff.features.plan import Plan

CHECKS = ("late_vectors",)
"""The names of these checks."""


def check_vectors(data: Dataset, plan: Plan, rows: Split) -> list[Finding]:
    """Whether vectors of tokens were learned from payments that happened or arrived as the held-out
    part began.

    They would carry what stands near what in the payments that judge: a failure. Where rows are
    split at random, every part begins with the log.
    """
    if not plan.vectors or not len(rows.test):
        return []
    begins = data.time[rows.test].min().astype("datetime64[us]").astype(int)
    begin, late = (
        _moment(begins),
        [table for table in plan.vectors.values() if table.latest >= begins],
    )
    sentences = [
        f"expected vectors `{table.name}` of payments before {begin}, when the test part begins, "
        "got some that learned "
        f"up to {_moment(table.latest)}: learn them with `shroff embed train --before {begin}`"
        for table in late
    ]
    return [Finding("late_vectors", sentence) for sentence in sentences]


def _moment(micros: int) -> str:
    return datetime.fromtimestamp(micros // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
