"""Fits and scorings that run at the same time, in threads of one process.

A thread pays where the work releases the interpreter's lock, as LightGBM does. Whole fits beside
each other keep cores busy without waiting for each other, whereas the threads of one fit meet at
each node of each tree, and on a machine with other work each meeting waits for the slowest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from shroff.arrays import Matrix, Scores

if TYPE_CHECKING:
    from shroff.detect.base import Detector

T = TypeVar("T")

_PART_ROWS: Final = 16_384
"""Fewest rows that are worth a thread."""


def available_cores() -> int:
    """How many cores the operating system lets this process run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def at_once(detector: Detector) -> int:
    """How many clones of a detector fit at the same time: 1 where they may not."""
    cores = detector.cores_per_fit
    return 1 if cores is None else max(available_cores() // max(cores, 1), 1)


def run_at_once(jobs: Sequence[Callable[[], T]], most: int) -> list[T]:
    """The results of `jobs` in their order, at most `most` of which run at the same time.

    They start in their order, so put the longest first. The first error is raised, and jobs that
    have not started then never do.

    >>> run_at_once([lambda: 1, lambda: 2, lambda: 3], 2)
    [1, 2, 3]
    """
    if most <= 1 or len(jobs) <= 1:
        return [job() for job in jobs]
    pool = ThreadPoolExecutor(min(most, len(jobs)), thread_name_prefix="shroff-fit")
    try:
        return [one.result() for one in [pool.submit(job) for job in jobs]]
    finally:
        pool.shutdown(cancel_futures=True)


def score_at_once(detector: Detector, X: Matrix) -> Scores:
    """`detector.score(X)`, parts of the rows at the same time where the detector allows it."""
    parts = min(at_once(detector), len(X) // _PART_ROWS)
    if parts <= 1:
        return detector.score(X)
    jobs = [partial(detector.score, rows) for rows in np.array_split(X, parts)]
    return np.concatenate(run_at_once(jobs, parts))
