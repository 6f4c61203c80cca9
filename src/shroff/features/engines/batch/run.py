"""A run of keys: its payments and events side by side, its windows traced, their measures folded."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np
from numba import vectorize
from numpy.typing import NDArray

from shroff.collect import money
from shroff.errors import DataError
from shroff.features import aggregates, folds, kernel
from shroff.features.aggregates import DECAY, NONE, Recipe, term
from shroff.features.engines.batch.table import HIGHEST, Keyed, Table, sizes
from shroff.features.folds import Floats
from shroff.features.kernel import Events, Int, Int32, Queries
from shroff.features.plan import Input, Measure, Output, Slot, Stream

Numbers = Int | Floats

_DECAY: Final = np.array(DECAY)


class Run:
    """Keys `first` … `last - 1` of an entity."""

    def __init__(self, table: Table, keyed: Keyed, first: int, last: int) -> None:
        start, stop = keyed.starts[first], keyed.starts[last]
        rows = keyed.rows[start:stop]
        self.table = table
        self.places = slice(start, stop)
        self.queries = Queries(keyed.starts[first : last + 1] - start, rows, kernel.take(table.times, rows))
        self._columns: dict[str, Int | Int32] = {}
        self._events: dict[str, Events] = {}
        self._held: dict[Slot, Held] = {}

    def write(self, output: Output, out: Floats) -> None:
        """Compute a feature of the payments of these keys into their places, key by key; NaN for no value."""
        measures = [self._measure(item) for item in output.inputs]
        # vectorised code divides before it asks whether it may
        with np.errstate(divide="ignore", invalid="ignore"):
            compiled(output.recipe)(*measures, *output.constants, out=out[self.places])

    def _measure(self, item: Input) -> Numbers:
        if item.slot not in self._held:
            self._held[item.slot] = Held(self, self.events(item.stream), item.slot)
        return self._held[item.slot].measure(item.measure)

    def column(self, name: str) -> Int | Int32:
        """A column's numbers, or codes 0 … of its names, by payment."""
        if name not in self._columns:
            column = kernel.take(self.table.columns[name], self.queries.rows)
            if column.dtype == np.int32:
                # few codes keep the tables small that folds count in
                column, _ = kernel.factorise(column.astype(np.uint64), column >= 0)
            self._columns[name] = column
        return self._columns[name]

    def check_sums(self, name: str) -> None:
        """Make sure that no sum of a column over a key leaves 64 bits.

        Raises:
            DataError: one may.
        """
        if self.table.summable[name]:
            return
        largest = np.add.reduceat(sizes(self.column(name)), self.queries.starts[:-1]).max(initial=0.0)
        if largest >= HIGHEST:
            raise DataError(
                f"column `{name}`: one key's values add up to more than {HIGHEST / money.UNITS:.0e}, too much for "
                "exact totals; give the column in a larger unit."
            )

    def events(self, stream: Stream) -> Events:
        """The payments that are events of a stream."""
        where = stream.where.sql if stream.where else ""
        if where not in self._events:
            queries, kept = self.queries, self.table.kept[where]
            keep = np.ones(len(queries.rows), np.bool_) if kept is None else kernel.take(kept.rows, queries.rows)
            known = queries.rows if kept is None or kept.known is None else kernel.take(kept.known, queries.rows)
            self._events[where] = kernel.settle(queries, keep, known)
        return self._events[where]


class Held:
    """What one window of a run holds before each payment."""

    def __init__(self, run: Run, events: Events, slot: Slot) -> None:
        self.run = run
        self.events = events
        self.resolution = slot.window.resolution
        self.delay = slot.window.delay
        # then each payment is the event in its place
        self._plain = bool(events.all and events.ordered.all())
        self.trace = kernel.trace(run.queries, events, slot.window)
        self._measures: dict[Measure, Numbers] = {}
        self._edges: tuple[Int32, Int32] | None = None

    def measure(self, measure: Measure) -> Numbers:
        """A measure of the window, by payment."""
        if measure not in self._measures:
            self._measures[measure] = FOLDS[measure.kind](self, measure.column)
        return self._measures[measure]

    def column(self, name: str | None) -> NDArray[Any]:
        """A column by event."""
        column = self.run.column(str(name))
        return column if self._plain else kernel.take(column, self.events.places)

    def summable(self, name: str | None) -> Int:
        """A column by event, to be summed; without a name, ones."""
        if name is None:
            return np.ones(len(self.events.places), np.int64)
        self.run.check_sums(name)
        return self.column(name)

    def codes(self, name: str | None) -> tuple[Int32, int]:
        """A column's codes by event, and how many there are."""
        codes = self.column(name)
        return codes, int(codes.max(initial=-1)) + 1

    @property
    def edges(self) -> tuple[Int32, Int32]:
        """The positions of the first and the last event in the window."""
        if self._edges is None:
            self._edges = folds.edges(self.trace, len(self.events.places))
        return self._edges


def _own(held: Held, name: str | None) -> Int:
    mine: Int32 = held.run.column(str(name)).astype(np.int32, copy=False)
    return folds.own(held.trace, held.column(name), int(mine.max(initial=-1)) + 1, mine)


def _largest(held: Held, name: str | None) -> Int:
    return _mirrored(folds.least(held.trace, _mirrored(held.column(name)), held.trace.spread))


def _mirrored(units: Int) -> Int:
    return np.where(units == NONE, NONE, -units)


def _decayed(held: Held, name: str | None) -> Floats:
    steps, now = held.events.times // held.resolution, (held.run.queries.times - held.delay) // held.resolution
    return folds.decayed(held.trace, held.summable(name), steps, now, *held.edges, _DECAY)


FOLDS: Final[dict[aggregates.Kind, Callable[[Held, str | None], Numbers]]] = {
    "count": lambda held, _: held.trace.held,
    "present": lambda held, name: folds.present(held.trace, held.column(name)),
    "total": lambda held, name: folds.total(held.trace, held.summable(name)),
    "scatter": lambda held, name: folds.scatter(held.trace, held.summable(name)),
    "min": lambda held, name: folds.least(held.trace, held.column(name), held.trace.spread),
    "max": _largest,
    "distinct": lambda held, name: folds.distinct(held.trace, *held.codes(name)),
    "own": _own,
    "entropy": lambda held, name: folds.entropy(held.trace, *held.codes(name), _terms(held.trace.spread)),
    "top": lambda held, name: folds.top(held.trace, *held.codes(name), held.trace.spread),
    "decayed": _decayed,
    "time": lambda held, _: held.run.queries.times,
    "first": lambda held, _: folds.pick(held.edges[0], held.events.times),
    "last": lambda held, _: folds.pick(held.edges[1], held.events.times),
}


def _terms(most: int) -> Int:
    """`aggregates.term` of every count up to `most`."""
    return _table_of_terms(1 << max(most, 1023).bit_length())


@cache
def _table_of_terms(size: int) -> Int:
    return np.fromiter(map(term, range(size)), np.int64, size)


@cache
def compiled(recipe: Recipe) -> Callable[..., Floats]:
    """A recipe's formula over whole columns; not to be compiled in two threads at once."""
    kinds = ["float64" if kind in ("scatter", "decayed") else "int64" for kind in recipe.measures]
    kinds += ["float64"] * recipe.constants
    formula: Callable[..., Floats] = vectorize([f"float64({', '.join(kinds)})"], cache=True)(recipe.formula)  # type: ignore[no-untyped-call]
    return formula
