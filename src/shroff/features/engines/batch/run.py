"""A run of keys: its payments and events side by side, its windows traced, their measures folded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import pairwise
from typing import Final

import numpy as np
from numba import vectorize

from shroff.collect import money
from shroff.errors import DataError
from shroff.features import aggregates, folds, kernel
from shroff.features.aggregates import DECAY, NONE, Recipe, term
from shroff.features.engines.batch.table import HIGHEST, KEPT, KNOWN, Keyed, Name, Table
from shroff.features.folds import Floats
from shroff.features.kernel import Events, Int, Int32, Queries
from shroff.features.plan import Input, Measure, Output, Slot, Stream

Numbers = Int | Floats

_MANY_NAMES: Final = 1 << 18
"""More codes than this are numbered anew in each run, for the tables that folds count in."""
_DECAY: Final = np.array(DECAY)


class Run:
    """Keys `first` … `last - 1` of an entity.

    Args:
        columns: what aggregates read, in the order of the entity's rows. What this run needs is copied: afterwards its
            features may be written over them.
    """

    def __init__(self, table: Table, keyed: Keyed, columns: Mapping[Name, Int], first: int, last: int) -> None:
        start, stop = keyed.starts[first], keyed.starts[last]
        self.table = table
        self.places = slice(start, stop)
        self.columns = {name: column[self.places].copy() for name, column in columns.items()}
        times = self.columns.pop(table.schema.time)
        starts = keyed.starts[first : last + 1] - start
        begins = np.repeat(starts[:-1].astype(np.uint64), np.diff(starts))
        self.queries = Queries(starts, keyed.rows[self.places], times, begins)
        self._events: dict[str, Events] = {}
        self._held: dict[Slot, Held] = {}
        for name in table.names.keys() & self.columns.keys():
            if table.names[name] > _MANY_NAMES:
                codes, _ = kernel.factorise(self.columns[name].astype(np.uint64), self.columns[name] >= 0)
                self.columns[name] = codes.astype(np.int64)

    def write(self, output: Output, out: Floats) -> None:
        """Compute a feature of the payments of these keys into their places, key by key; NaN for no value."""
        measures = [self._measure(item) for item in output.inputs]
        # vectorised code divides before it asks whether it may
        with np.errstate(divide="ignore", invalid="ignore"):
            compiled(output.recipe)(*measures, *output.constants, out=out[self.places])

    def _measure(self, item: Input) -> Numbers:
        held = self._held.get(item.slot)
        if held is None:
            held = self._held[item.slot] = Held(self.queries, self.events(item.stream), item.slot)
        if item.measure not in held.measures:
            held.measures[item.measure] = FOLDS[item.measure.kind](self, held, str(item.measure.column))
        return held.measures[item.measure]

    def check_sums(self, name: str) -> None:
        """Make sure that no sum of a column over a key leaves 64 bits.

        Raises:
            DataError: one may.
        """
        if self.table.summable[name]:
            return
        column, starts = self.columns[name], self.queries.starts.tolist()
        if any(kernel.size(column[start:stop], NONE) >= HIGHEST for start, stop in pairwise(starts)):
            raise DataError(
                f"column `{name}`: one key's values add up to more than {HIGHEST / money.UNITS:.0e}, too much for "
                "exact totals; give the column in a larger unit."
            )

    def events(self, stream: Stream) -> Events:
        """The payments that are events of a stream."""
        where = stream.where.sql if stream.where else ""
        if where not in self._events:
            own = self.queries.rows.astype(np.int64)
            keep = self.columns[KEPT, where] != 0 if where else np.ones(len(own), np.bool_)
            self._events[where] = kernel.settle(self.queries, keep, self.columns.get((KNOWN, where), own))
        return self._events[where]


class Held:
    """What one window of a run holds before each payment, traced once and folded for each measure."""

    def __init__(self, queries: Queries, events: Events, slot: Slot) -> None:
        self.queries = queries
        self.events = events
        self.window = slot.window
        self.trace = kernel.trace(queries, events, slot.window)
        self.measures: dict[Measure, Numbers] = {}
        self._edges: tuple[Int32, Int32] | None = None

    @property
    def edges(self) -> tuple[Int32, Int32]:
        """The positions of the first and the last event in the window."""
        if self._edges is None:
            self._edges = folds.edges(self.trace, len(self.events.places))
        return self._edges


def _column(run: Run, held: Held, name: str) -> Int:
    """A column by event."""
    column = run.columns[name]
    return column if held.events.plain else kernel.take(column, held.events.places)


def _summable(run: Run, held: Held, name: str) -> Int:
    """A column of numbers by event, to be summed."""
    run.check_sums(name)
    return _column(run, held, name)


def _codes(run: Run, held: Held, name: str) -> tuple[Int, int]:
    """A column's codes by event, and how many there are among the payments."""
    return _column(run, held, name), int(run.columns[name].max(initial=-1)) + 1


def _present(run: Run, held: Held, name: str) -> Int:
    return folds.present(held.trace, _column(run, held, name), -1 if name in run.table.names else NONE)


def _smallest(run: Run, held: Held, name: str) -> Int:
    return folds.least(held.trace, _column(run, held, name), held.trace.spread)


def _largest(run: Run, held: Held, name: str) -> Int:
    return _mirrored(folds.least(held.trace, _mirrored(_column(run, held, name)), held.trace.spread))


def _mirrored(units: Int) -> Int:
    return np.where(units == NONE, NONE, -units)


def _entropy(run: Run, held: Held, name: str) -> Int:
    return folds.entropy(held.trace, *_codes(run, held, name), _terms(held.trace.spread))


def _decayed(run: Run, held: Held, name: str) -> Floats:
    step, delay = held.window.resolution, held.window.delay
    steps, now = held.events.times // step, (held.queries.times - delay) // step
    column = _summable(run, held, name) if name in run.columns else np.ones(len(steps), np.int64)
    return folds.decayed(held.trace, column, steps, now, *held.edges, _DECAY)


FOLDS: Final[dict[aggregates.Kind, Callable[[Run, Held, str], Numbers]]] = {
    "count": lambda run, held, _: held.trace.held,
    "present": _present,
    "total": lambda run, held, name: folds.total(held.trace, _summable(run, held, name)),
    "scatter": lambda run, held, name: folds.scatter(held.trace, _summable(run, held, name)),
    "min": _smallest,
    "max": _largest,
    "distinct": lambda run, held, name: folds.distinct(held.trace, *_codes(run, held, name)),
    "own": lambda run, held, name: folds.own(held.trace, *_codes(run, held, name), run.columns[name]),
    "entropy": _entropy,
    "top": lambda run, held, name: folds.top(held.trace, *_codes(run, held, name), held.trace.spread),
    "decayed": _decayed,
    "time": lambda run, held, _: held.queries.times,
    "first": lambda run, held, _: folds.pick(held.edges[0], held.events.times),
    "last": lambda run, held, _: folds.pick(held.edges[1], held.events.times),
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
