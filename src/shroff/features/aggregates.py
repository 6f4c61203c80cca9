"""What each aggregate is: what must be kept over its window, and how its value is computed from it.

A *measure* is what an engine keeps over a window of events: how many there are, the total of a
column, its different values … Measures are integers, or (`scatter`, `decayed`) sums in a fixed
order, so that every engine finds the same ones. A *formula* turns them into the value: the same
Python function per payment and, compiled, over a whole column. It gives NaN where the feature has
no value.

    count       events
    present     events with a value in the column
    total       the column's sum, ten-thousandths
    scatter     Σ(x − mean)², ten-thousandths²
    min, max    ten-thousandths
    quantile    the value with a share of the others at or below it
    distinct    different values
    own         events with the payment's own value
    top         events with the most frequent value
    mode        the most frequent value
    entropy     n ln n − Σ c ln c, in 2**-32
    time        the payment's own time, microseconds
    first       the earliest event's time, microseconds
    last        the latest event's time, or that of the nth from the end
    earliest    the column's value in the nth event from the beginning
    latest      the column's value in the nth event from the end
    decayed     events or total, an older event for less
    away        the cosine distance of the payment's own vector from the sum of the events'

Events are in order of time, those of one moment in order of arrival. The value of a column of names
is its text; the batch engine keeps the row that has it until the feature is read.

A new aggregate is a recipe here and a method of `Entity`; a new measure is one fold over a table
and one reader of a timeline.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final, Literal

from shroff.collect.money import UNITS
from shroff.collect.schema import Scale
from shroff.features.vectors import VectorScale

Function = Literal[
    "count",
    "share",
    "frauds",
    "risk",
    "total",
    "mean",
    "std",
    "min",
    "max",
    "distinct",
    "is_new",
    "entropy",
    "top_share",
    "seconds_since_first",
    "seconds_since_last",
    "decayed_count",
    "decayed_total",
    "last",
    "first",
    "habit",
    "distance",
    "quantile",
    "median",
    "mode",
]
Kind = Literal[
    "count",
    "present",
    "total",
    "scatter",
    "min",
    "max",
    "distinct",
    "own",
    "entropy",
    "top",
    "decayed",
    "time",
    "first",
    "last",
    "latest",
    "earliest",
    "away",
    "quantile",
    "mode",
]

ORDERED_KINDS: Final = frozenset[Kind]({"latest", "earliest"})
"""Measures that depend on the order of events of one moment."""

MISSING: Final = -(2**63)
"""No value, among measures that are numbers."""

MAX_UNITS: Final = 1e18
"""The largest numeric value, in ten-thousandths: 10¹⁴; a larger one counts as this."""

UNITS_PER_NAT: Final = 2**32
"""The scale of `entropy`: logarithms are summed as integers, so their order does not matter."""

MILLIONTHS: Final = 1_000_000

STEPS_PER_HALF_LIFE: Final = 16
"""Steps of time in which an event's weight halves."""

_MAX_HALF_LIVES: Final = 64

DECAY_WEIGHTS: Final = (
    *(
        2.0 ** (-step / STEPS_PER_HALF_LIFE)
        for step in range(STEPS_PER_HALF_LIFE * _MAX_HALF_LIVES)
    ),
    0.0,
)
"""The weight of an event by its age in steps, zero from 64 half-lives on."""


@cache
def term(count: int) -> int:
    """`count · ln(count)` as an integer of 2**-32, the summands of `entropy`.

    >>> term(1), round(term(2) / UNITS_PER_NAT, 6)
    (0, 1.386294)
    """
    return round(count * math.log(count) * UNITS_PER_NAT) if count > 1 else 0


def scatter(squares: int, total: int, count: int) -> float:
    """The measure `scatter`, from Σx², Σx and the number of values.

    It is Σ(x − m)² − r²/n with m = ⌊Σx/n⌋ and r = Σx mod n: the first term is an integer, so
    nothing cancels.

    >>> scatter(1 + 4 + 16, 1 + 2 + 4, 3) == (4 / 3) ** 2 + (1 / 3) ** 2 + (5 / 3) ** 2
    True
    """
    if count < 2:
        return 0.0
    mean, rest = divmod(total, count)
    return float(squares - mean * (total + rest)) - float(rest) * float(rest) / count


def away(own: Sequence[int], totals: Sequence[int]) -> float:
    """The measure `away`, from the components of both vectors; NaN if one is zero.

    Whole numbers below 2⁵³ are exact as doubles; products are added from the first component to the
    last.

    >>> away((3, 4), (30, 40)), away((3, 4), (-4, 3)), away((3, 4), (0, 0))
    (0.0, 1.0, nan)
    """
    both = mine = past = 0.0
    for one, total in zip(map(float, own), map(float, totals), strict=True):
        both += one * total
        mine += one * one
        past += total * total
    return 1.0 - both / (math.sqrt(mine) * math.sqrt(past)) if mine and past else math.nan


def rank(share: int, count: int) -> int:
    """The rank of a quantile among sorted values, from 1: the first with that share (in millionths)
    up to it.

    >>> rank(500_000, 4), rank(500_000, 5), rank(0, 5), rank(70_000, 100)
    (2, 3, 1, 7)
    """
    return max(1, (share * count + MILLIONTHS - 1) // MILLIONTHS)


def _plain(number: float) -> float:
    return float(number)


def _distance(away: float) -> float:
    # not `_plain`, whose code for one payment knows no NaN
    return away


def _scaled(total: float) -> float:
    return float(total) / UNITS


def _mean(total: float, count: int) -> float:
    return float(total) / count / UNITS if count > 0 else math.nan


def _std(scatter: float, count: int) -> float:
    return math.sqrt(max(scatter, 0.0) / count) / UNITS if count > 0 else math.nan


def _extreme(units: int) -> float:
    return float(units) / UNITS if units != MISSING else math.nan


def _row(row: int) -> float:
    return float(row) if row != MISSING else math.nan


def _seconds(time: int, then: int) -> float:
    return float(time - then) / 1e6 if then != MISSING else math.nan


def _new(seen: int) -> float:
    if seen == MISSING:
        return math.nan
    return 1.0 if seen == 0 else 0.0


def _share(matching: int, events: int) -> float:
    return float(matching) / events if events > 0 else math.nan


def _entropy(surprise: int, count: int) -> float:
    return float(surprise) / count / UNITS_PER_NAT if count > 0 else math.nan


def _risk(frauds: int, payments: int, prior: float, weight: float) -> float:
    total = payments + weight
    return (frauds + prior * weight) / total if total > 0 else 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Recipe:
    """How an aggregate is computed.

    Attributes:
        measures: what is kept over its window.
        formula: its value from the measures, in this order, and then the constants.
        column: the scales that its column may have; empty: it takes none.
        conditional: how many of the measures, from the first, count only events that also meet the
            aggregate's condition.
        options: keywords besides those of all aggregates; those without a default must be given.
        not_current: why its window cannot hold the payment itself; empty: it can.
        picks: whether it gives one of the column's values, which is a text for a column of names.
    """

    measures: tuple[Kind, ...]
    formula: Callable[..., float]
    column: tuple[Scale | VectorScale, ...] = ()
    constants: int = 0
    conditional: int = 0
    options: frozenset[str] = field(default_factory=frozenset)
    not_current: str = ""
    picks: bool = False

    @property
    def inline(self) -> str:
        """The formula of measures and constants as an expression, which is None for NaN; for code
        that is generated for one payment. Empty: it is called.
        """
        return _INLINE.get(self.formula, "")


_INLINE: Final[dict[Callable[..., float], str]] = {
    _plain: "float({})",
    _scaled: "float({}) / UNITS",
    _mean: "float({0}) / {1} / UNITS if {1} > 0 else None",
    _std: "sqrt(max({0}, 0.0) / {1}) / UNITS if {1} > 0 else None",
    _extreme: "float({0}) / UNITS if {0} != MISSING else None",
    _seconds: "float({0} - {1}) / 1e6 if {1} != MISSING else None",
    _new: "None if {0} == MISSING else 1.0 if {0} == 0 else 0.0",
    _share: "float({0}) / {1} if {1} > 0 else None",
    _entropy: "float({0}) / {1} / UNITS_PER_NAT if {1} > 0 else None",
    _risk: "({0} + {2} * {3}) / total if (total := {1} + {3}) > 0 else 0.0",
}
_NUMBER_SCALES: Final[tuple[Scale, ...]] = ("amount", "numeric")
NAME_SCALES: Final[tuple[Scale, ...]] = ("key", "nominal", "personal", "currency")
"""Scales of columns whose values are names: compared and counted, never summed."""

RECIPES: Final[dict[Function, Recipe]] = {
    "count": Recipe(measures=("count",), formula=_plain),
    "share": Recipe(
        measures=("count", "count"), conditional=1, formula=_share, options=frozenset({"condition"})
    ),
    "frauds": Recipe(measures=("count",), conditional=1, formula=_plain),
    "risk": Recipe(
        measures=("count", "count"),
        conditional=1,
        formula=_risk,
        constants=2,
        options=frozenset({"prior", "weight"}),
    ),
    "total": Recipe(measures=("total",), formula=_scaled, column=_NUMBER_SCALES),
    "mean": Recipe(
        measures=("total", "present"),
        formula=_mean,
        column=_NUMBER_SCALES,
    ),
    "std": Recipe(measures=("scatter", "present"), formula=_std, column=_NUMBER_SCALES),
    "min": Recipe(measures=("min",), formula=_extreme, column=_NUMBER_SCALES),
    "max": Recipe(measures=("max",), formula=_extreme, column=_NUMBER_SCALES),
    "distinct": Recipe(measures=("distinct",), formula=_plain, column=NAME_SCALES),
    "is_new": Recipe(
        measures=("own",),
        formula=_new,
        column=NAME_SCALES,
        not_current="its own value would never be new to it",
    ),
    "entropy": Recipe(measures=("entropy", "present"), formula=_entropy, column=NAME_SCALES),
    "top_share": Recipe(measures=("top", "present"), formula=_share, column=NAME_SCALES),
    "seconds_since_first": Recipe(measures=("time", "first"), formula=_seconds),
    "seconds_since_last": Recipe(
        measures=("time", "last"),
        formula=_seconds,
        options=frozenset({"n"}),
        not_current="the last payment would be the payment itself",
    ),
    "decayed_count": Recipe(
        measures=("decayed",), formula=_plain, options=frozenset({"half_life"})
    ),
    "decayed_total": Recipe(
        measures=("decayed",),
        formula=_scaled,
        column=_NUMBER_SCALES,
        options=frozenset({"half_life"}),
    ),
    "last": Recipe(
        measures=("latest",),
        formula=_extreme,
        column=_NUMBER_SCALES + NAME_SCALES,
        options=frozenset({"n"}),
        not_current="the last payment would be the payment itself",
        picks=True,
    ),
    "first": Recipe(
        measures=("earliest",),
        formula=_extreme,
        column=_NUMBER_SCALES + NAME_SCALES,
        options=frozenset({"n"}),
        picks=True,
    ),
    "habit": Recipe(measures=("total", "present"), formula=_mean, column=("component",)),
    "distance": Recipe(
        measures=("away",),
        formula=_distance,
        column=("vector",),
        not_current="it would be compared with itself",
    ),
    "quantile": Recipe(
        measures=("quantile",), formula=_extreme, column=_NUMBER_SCALES, options=frozenset({"q"})
    ),
    "median": Recipe(measures=("quantile",), formula=_extreme, column=_NUMBER_SCALES),
    "mode": Recipe(
        measures=("mode",), formula=_extreme, column=_NUMBER_SCALES + NAME_SCALES, picks=True
    ),
}


@cache
def recipe(function: Function, *, text: bool) -> Recipe:
    """The recipe of an aggregate; for a text, its formula gives the row that has it."""
    return replace(RECIPES[function], formula=_row) if text else RECIPES[function]
