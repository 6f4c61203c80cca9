"""Boosted trees in compiled loops, if these give every score of ONNX Runtime to the bit.

ONNX Runtime takes one row after another, and waits for memory at every node.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import chain
from typing import Any, Final

import numpy as np

from shroff import speedups
from shroff.arrays import Matrix
from shroff.errors import BundleError

_MAX_GROUP: Final = 64
_ROWS: Final = sum(range(1, _MAX_GROUP + 1))
_LARGEST: Final = np.finfo(np.float32).max
_UNUSUAL: Final = np.array(
    [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, _LARGEST, -_LARGEST], dtype=np.float32
)


def compiled_trees(described: str, score: Callable[[Matrix], list[float]]) -> Any:
    """A `_speedups.Trees` as `package.trial` describes it; None: there is none to use.

    It is compared with `score`, that of ONNX Runtime, in groups of 1 to 64 rows at and next to
    thresholds, some of their values missing or infinite.
    """
    if speedups.compiled is None:
        return None
    parts = json.loads(described)
    try:
        trees = speedups.compiled.Trees(**parts)
        return trees if _equal(trees.score, score, _rows(**parts)) else None
    except (TypeError, ValueError, OverflowError, BundleError):
        return None


def _equal(
    ours: Callable[[Matrix], list[float] | None],
    score: Callable[[Matrix], list[float]],
    rows: Matrix,
) -> bool:
    start = 0
    for size in range(1, _MAX_GROUP + 1):
        group = rows[start : start + size]
        start += size
        found = ours(group)
        if found is None or np.array(found).tobytes() != np.array(score(group)).tobytes():
            return False
    return True


def _rows(columns: int, tables: list[Any], trees: list[Any]) -> Matrix:
    """Rows of values at, next to and far from thresholds, and of codes that are known."""
    random = np.random.default_rng(0)
    thresholds: list[list[float]] = [[] for _ in range(columns)]
    for node in chain.from_iterable(trees):
        if len(node) > 1 and node[0] < 2 * columns:
            thresholds[node[0] % columns].append(node[1])
    rows = np.empty((_ROWS, columns), dtype=np.float32)
    for column, known in enumerate(thresholds):
        at = np.unique(np.array(known, dtype=np.float32))
        with np.errstate(over="ignore"):
            below, above = (np.nextafter(at, np.float32(to)) for to in (-np.inf, np.inf))
        near = np.concatenate([at, below, above])
        rows[:, column] = np.where(
            random.random(_ROWS) < 0.25,
            random.choice(_UNUSUAL, _ROWS),
            np.resize(random.permutation(near), _ROWS),
        )
    for column, outside in tables:
        rows[:, column] = random.integers(len(outside), size=_ROWS)
    return rows
