"""Folds over sums that leave 64 bits, in Python's integers, which are unbounded.

Few keys have values that add up to so much, so this may be slow; the online engine always sums in
Python's integers. A total becomes the nearest double, as every formula would make of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from shroff.arrays import Floats
from shroff.features import aggregates
from shroff.features.aggregates import MISSING
from shroff.features.engines.batch.grouping import Int
from shroff.features.engines.batch.kernel import Trace


def total(trace: Trace, column: Int) -> Floats:
    """The sum of a column; events without a value add nothing."""
    held, out = 0, []
    for moves in _values(trace, column):
        held += sum(sign * units for _, sign, units in moves)
        out.append(float(held))
    return np.array(out, np.float64)


def scatter(trace: Trace, column: Int) -> Floats:
    """Σ(x − mean)², rounded as `sum_folds.scatter` rounds it."""
    count = held = squares = 0
    out = []
    for moves in _values(trace, column):
        for _, sign, units in moves:
            count += sign
            held += sign * units
            squares += sign * units * units
        out.append(aggregates.scatter(squares, held, count))
    return np.array(out, np.float64)


def decayed(trace: Trace, column: Int, steps: Int, now: Int, weights: Floats) -> Floats:
    """The sum of a column, weighted by age in steps; see `order_folds.decayed`."""
    step_of, weight, last = steps.tolist(), weights.tolist(), len(weights) - 1
    sums: Counter[int] = Counter()
    out = []
    for moves, moment in zip(_values(trace, column), now.tolist(), strict=True):
        for event, sign, units in moves:
            sums[step_of[event]] += sign * units
        value = 0.0
        for step in sorted(sums):
            value += sums[step] * weight[min(max(moment - step, 0), last)]
        # what has left adds nothing
        sums = Counter({step: held for step, held in sums.items() if held})
        out.append(value)
    return np.array(out, np.float64)


def _values(trace: Trace, column: Int) -> Iterator[list[tuple[int, int, int]]]:
    """By payment, the events with a value that enter (1) or leave (-1) before it, with values."""
    moves, units, at = trace.moves.tolist(), column.tolist(), 0
    for end in trace.ends.tolist():
        signed = [(move, 1) if move >= 0 else (~move, -1) for move in moves[at:end]]
        yield [(event, sign, units[event]) for event, sign in signed if units[event] != MISSING]
        at = end
