"""What payments looked like in training, in counts: what later payments are compared with.

Payments of one card come in bursts and say the same thing several times. So a card counts once a
day, and once a week, by its first payment in it. Days of the week differ, and are counted apart.
Counts on edges fixed in training add up exactly, in any order and from any number of processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Final, NamedTuple

import msgspec
import numpy as np
import polars as pl
from msgspec import Meta

from shroff.arrays import Bools, Ints
from shroff.collect.times import DAY_US

PROBABILITY: Final = "probability"
"""The column of calibrated probabilities in a reference."""
DECISION: Final = "decision"
"""What the column of decisions is called."""
WEEK: Final = "week"
PERIODS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", WEEK)
"""The days of the week, in UTC, and the week from Monday on."""
_MONDAY_OFFSET_DAYS: Final = 3
"""1970-01-01, day 0 of the epoch, was a Thursday."""
_QUANTILE_SHARES: Final = np.arange(1, 20) / 20
_MAX_NAMES: Final = 30

Count = Annotated[int, Meta(ge=0, le=2**53)]
"""As many as a float64 holds exactly."""


class BinCounts(msgspec.Struct, frozen=True):
    """Cards by the value of their payment: one count per bin, and how many had no value.

    `weight` is the sum of the squared numbers of payments of each card, which says how much they
    tell: `cards**2 / weight` independent payments tell as much (Kish, *Survey Sampling*, 1965).

    >>> BinCounts((1, 2), 0, 3) + BinCounts((0, 1), 1, 2)
    BinCounts(counts=(1, 3), missing=1, weight=5)
    """

    counts: tuple[Count, ...]
    missing: Count = 0
    weight: Count = 0

    @property
    def size(self) -> int:
        """How many payments were counted, with and without a value."""
        return sum(self.counts) + self.missing

    @property
    def effective(self) -> float:
        """How many independent payments tell as much."""
        return self.size**2 / self.weight if self.weight else 0.0

    def __add__(self, other: BinCounts) -> BinCounts:
        return BinCounts(
            tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)),
            self.missing + other.missing,
            self.weight + other.weight,
        )


class Bins(msgspec.Struct, frozen=True, kw_only=True):
    """How the values of a column are counted.

    A number `x` is in the first bin with `x <= edge`, or in the last; a text in the bin of its
    name, or in the last, of all other names.
    """

    name: str
    edges: tuple[float, ...] = ()
    names: tuple[str, ...] = ()

    @classmethod
    def learn(cls, column: pl.Series) -> Bins:
        """Bins with about one payment in twenty each, or the 30 most frequent names, by text."""
        known = column.drop_nulls()
        if column.dtype == pl.String:
            counts = known.value_counts().sort("count", column.name, descending=[True, False])
            return cls(name=column.name, names=tuple(sorted(counts[column.name][:_MAX_NAMES])))
        values = known.cast(pl.Float64).drop_nans().to_numpy()
        if not values.size:
            return cls(name=column.name)
        edges = np.unique(np.quantile(values, _QUANTILE_SHARES, method="inverted_cdf"))
        return cls(name=column.name, edges=tuple(edges.tolist()))

    @property
    def size(self) -> int:
        """How many bins there are."""
        return max(len(self.edges), len(self.names)) + 1

    def places(self, column: pl.Series) -> Ints:
        """The bin of each value, int64 [n]; `size` for a missing one."""
        if self.names or column.dtype == pl.String:
            places = {name: place for place, name in enumerate(self.names)}
            # a column that became text, or was it, is compared as text
            known = column.cast(pl.String).replace_strict(
                places, default=len(self.names), return_dtype=pl.Int64
            )
            found: Ints = (
                pl.select(pl.when(column.is_null()).then(self.size).otherwise(known))
                .to_series()
                .to_numpy()
            )
            return found
        values = column.cast(pl.Float64).to_numpy()
        placed = np.searchsorted(np.array(self.edges), values, side="left")
        return np.where(np.isnan(values), self.size, placed)

    def count(self, places: Ints, weight: int) -> BinCounts:
        """The histogram of payments in these bins."""
        counts = np.bincount(places, minlength=self.size + 1).tolist()
        return BinCounts(tuple(counts[: self.size]), counts[self.size], weight)


class Distribution(msgspec.Struct, frozen=True):
    """The values of a column in training, by day of the week and over whole weeks.

    Raises `ValueError` for counts that are not of its bins.
    """

    bins: Bins
    usual: dict[str, BinCounts]

    def __post_init__(self) -> None:
        sizes = {len(one.counts) for one in self.usual.values()}
        if not sizes <= {self.bins.size} or not self.usual.keys() <= set(PERIODS):
            raise ValueError("expected counts of each bin, by day of the week and of weeks")
        if list(self.bins.edges) != sorted(set(self.bins.edges)):
            raise ValueError("expected edges in order")


class TrainingReference(msgspec.Struct, frozen=True):
    """What the columns of payments looked like, in the order of the model's inputs.

    `decisions` are those of the model's own policy on the payments that judged it; None in bundles
    of earlier releases.
    """

    columns: tuple[Distribution, ...]
    decisions: Distribution | None = None

    @classmethod
    def of(cls, table: pl.DataFrame, time: Ints, card: pl.Series | None) -> TrainingReference:
        """Count the columns of `table` [n]; `time` is in microseconds since the epoch."""
        bins = [Bins.learn(column) for column in table.get_columns()]
        return cls(_distributions(table, bins, time, card))

    def deciding(
        self, actions: pl.Series, time: Ints, card: pl.Series | None, names: Sequence[str]
    ) -> TrainingReference:
        """The same with the decisions [n] on payments; `names` are all that there are."""
        bins = Bins(name=DECISION, names=tuple(names))
        (decisions,) = _distributions(actions.alias(DECISION).to_frame(), [bins], time, card)
        return msgspec.structs.replace(self, decisions=decisions)

    def joined(self, other: TrainingReference) -> TrainingReference:
        """The columns of both."""
        return TrainingReference((*self.columns, *other.columns))


def _distributions(
    table: pl.DataFrame, bins: Sequence[Bins], time: Ints, card: pl.Series | None
) -> tuple[Distribution, ...]:
    usual: list[dict[str, BinCounts]] = [{} for _ in bins]
    for period, found in count_periods(table, bins, time, card).items():
        for histograms, histogram in zip(usual, found, strict=True):
            histograms[period] = histogram
    return tuple(map(Distribution, bins, usual))


def count_periods(
    table: pl.DataFrame, bins: Sequence[Bins], time: Ints, card: pl.Series | None
) -> dict[str, list[BinCounts]]:
    """A histogram of each column for each of `PERIODS`, over all its days or weeks."""
    found: dict[str, list[BinCounts]] = {}
    placed = [one.places(table[one.name]) for one in bins]
    for period, rows in _rows_of_periods(time, card):
        if rows.size:
            weight = rows.size if card is None else _weight(card[rows])
            found[period] = [
                one.count(places[rows], weight) for one, places in zip(bins, placed, strict=True)
            ]
    return found


class CardWindow(NamedTuple):
    """A day or a week: its period, its first day since the epoch, and the rows that count."""

    period: str
    day: int
    rows: Ints


def windows(time: Ints, card: pl.Series | None) -> Iterator[CardWindow]:
    """The days, then the weeks, of payments [n], each with the first payment of every card."""
    day = time // DAY_US
    week = (day + _MONDAY_OFFSET_DAYS) // 7
    for number, rows in _split(time, day, card):
        yield CardWindow(PERIODS[(number + _MONDAY_OFFSET_DAYS) % 7], number, rows)
    for number, rows in _split(time, week, card):
        yield CardWindow(WEEK, number * 7 - _MONDAY_OFFSET_DAYS, rows)


def _split(time: Ints, window: Ints, card: pl.Series | None) -> Iterator[tuple[int, Ints]]:
    rows = np.flatnonzero(_firsts(time, window, card))
    rows = rows[np.argsort(window[rows], kind="stable")]
    if not rows.size:
        return
    numbers, starts = np.unique(window[rows], return_index=True)
    yield from zip(numbers.tolist(), np.split(rows, starts[1:]), strict=True)


def _rows_of_periods(time: Ints, card: pl.Series | None) -> Iterator[tuple[str, Ints]]:
    found: dict[str, list[Ints]] = {period: [] for period in PERIODS}
    for window in windows(time, card):
        found[window.period].append(window.rows)
    for period, rows in found.items():
        yield period, np.concatenate([np.array([], np.int64), *rows])


def _firsts(time: Ints, window: Ints, card: pl.Series | None) -> Bools:
    """Whether a payment is the first of its card in its window [n]; one without a card is."""
    if card is None:
        return np.ones(len(time), np.bool_)
    table = pl.DataFrame({"time": time, "window": window, "card": card}).with_row_index("row")
    first = table.sort("time", "row").unique(["window", "card"], keep="first")["row"]
    chosen: Bools = card.is_null().to_numpy().copy()
    chosen[first.to_numpy()] = True
    return chosen


def _weight(card: pl.Series) -> int:
    known = card.drop_nulls()
    counts = known.value_counts()["count"].cast(pl.Int64)
    return int((counts * counts).sum()) + len(card) - len(known)
