"""What the code that is generated for a plan calls: columns of timelines, and folds over a span.

Times are microseconds, numbers are ten-thousandths; a span is given by place, `low` … `high - 1`.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

from shroff.collect import money
from shroff.collect.payment import Value
from shroff.features.aggregates import (
    DECAY_WEIGHTS,
    MAX_UNITS,
    MISSING,
    UNITS_PER_NAT,
    away,
    rank,
    scatter,
    term,
)
from shroff.features.engines.online.amounts import Amounts
from shroff.features.engines.online.coded_names import CodedNames
from shroff.features.engines.online.columns import NO_MINIMUM, Minima, RunningSums
from shroff.features.engines.online.event_columns import EventValues
from shroff.features.engines.online.name_times import NameTimes

_MAX_SORTED_EVENTS: Final = 256
"""Up to so many numbers a quantile is found by sorting them."""


def units(value: Value) -> int:
    """A number in ten-thousandths."""
    return round(min(max(float(value or 0.0) * money.UNITS, -MAX_UNITS), MAX_UNITS))


def entropy(counts: Iterable[int]) -> int:
    """n ln n − Σ c ln c over how often each name was seen."""
    events = known = 0
    for count in counts:
        events += count
        if count > 1:
            known += term(count)
    return term(events) - known


def decayed(
    times: array[int], sums: Sequence[int] | None, low: int, high: int, now: int, resolution: int
) -> float:
    """The sum of a span (without `sums`, its event count), each step weighted by age at `now`."""
    value, oldest = 0.0, len(DECAY_WEIGHTS) - 1
    while low < high:
        step = times[low] // resolution
        after, end = low + 1, (step + 1) * resolution
        if after < high and times[after] < end:
            after = bisect_left(times, end, after, high)
        number = after - low if sums is None else sums[after] - sums[low]
        value += number * DECAY_WEIGHTS[min(max(now - step, 0), oldest)]
        low = after
    return value


def quantile(numbers: array[int], low: int, high: int, share: int) -> int:
    """The number of a rank in a span of unsorted numbers; `MISSING` when there are none."""
    if high - low <= _MAX_SORTED_EVENTS:
        # `MISSING` is the smallest
        values: Sequence[int] = sorted(numbers[low:high])
        nothing = bisect_right(values, MISSING)
        return (
            values[nothing + rank(share, len(values) - nothing) - 1]
            if nothing < len(values)
            else MISSING
        )
    import numpy as np  # a long window only

    span = np.frombuffer(numbers, np.int64, high - low, 8 * low)
    nothing = int(np.count_nonzero(span == MISSING))
    if nothing == len(span):
        return MISSING
    place = nothing + rank(share, len(span) - nothing) - 1
    return int(np.partition(span, place)[place])


GLOBALS: Final[dict[str, object]] = {
    "Amounts": Amounts,
    "CodedNames": CodedNames,
    "NAN": math.nan,
    "MISSING": MISSING,
    "NO_MINIMUM": NO_MINIMUM,
    "Minima": Minima,
    "RunningSums": RunningSums,
    "EventValues": EventValues,
    "NameTimes": NameTimes,
    "UNITS": money.UNITS,
    "UNITS_PER_NAT": UNITS_PER_NAT,
    "array": array,
    "away": away,
    "decayed": decayed,
    "entropy": entropy,
    "quantile": quantile,
    "scatter": scatter,
    "sqrt": math.sqrt,
    "units": units,
}
"""What generated code can name."""
