"""A partition of keys: its payments and events, its windows, and the measures over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache, cached_property
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numba import vectorize
from numpy.typing import NDArray

from shroff.arrays import Floats
from shroff.features import aggregates
from shroff.features.aggregates import DECAY_WEIGHTS, MISSING, Recipe, term
from shroff.features.engines.batch import (
    bigint_folds,
    code_folds,
    grouping,
    kernel,
    order_folds,
    sum_folds,
)
from shroff.features.engines.batch.encoded_table import (
    MAX_INT64_SUM,
    EncodedTable,
    Keyed,
    Name,
    within,
)
from shroff.features.engines.batch.events import Events, Queries
from shroff.features.engines.batch.grouping import Int, Int32
from shroff.features.engines.batch.kernel import Span, Trace
from shroff.features.engines.batch.spans import EventSpans, StreamEvents
from shroff.features.streams import Input, Measure, Output, Slot, Stream
from shroff.features.window import Window

Numbers = Int | Floats

_MIN_RENUMBERED_CODES: Final = 1 << 18
"""Each partition renumbers more codes than this, to keep the tables small that folds count in."""
_DECAY_WEIGHTS: Final = np.array(DECAY_WEIGHTS)
_FLOATS: Final = frozenset({"scatter", "decayed", "away"})
_PLACED: Final = frozenset[aggregates.Kind]({"first", "last", "latest", "earliest"})
"""Measures of one event, found by its place in the window."""


class Partition:
    """Keys `first` … `last - 1` of an entity.

    Args:
        columns: what aggregates read, in the order of the entity's rows. The partition copies what
            it needs: afterwards its features may be written over them.
    """

    def __init__(
        self,
        table: EncodedTable,
        keyed: Keyed,
        columns: Mapping[Name, NDArray[Any]],
        first: int,
        last: int,
    ) -> None:
        start, stop = keyed.starts[first], keyed.starts[last]
        self.table = table
        self.places = slice(start, stop)
        self.columns = {
            name: column[self.places].astype(np.int64) for name, column in columns.items()
        }
        times = self.columns.pop(table.schema.time)
        starts = keyed.starts[first : last + 1] - start
        self.queries = Queries(starts, keyed.rows[self.places], times)
        lives = {where: within(lived, keyed, start, stop) for where, lived in table.lives.items()}
        self.stream_events = StreamEvents(self.queries, self.columns, lives)
        self._sweeps: dict[Slot, Sweep] = {}
        self._constants: dict[float, Floats] = {}
        self._overflows: dict[str, bool] = {}
        for name in table.names.keys() & self.columns.keys():
            if table.names[name] > _MIN_RENUMBERED_CODES:
                codes, _ = grouping.factorise(
                    grouping.pairs(self.columns[name]), self.columns[name] >= 0
                )
                self.columns[name] = codes.astype(np.int64)

    def write(self, output: Output, out: Floats) -> None:
        """Write a feature of these keys' payments into their places, by key; NaN for no value."""
        measures = [self._measure(item) for item in output.inputs]
        constants = [self._column_of(constant) for constant in output.constants]
        # vectorised code divides before it checks the divisor
        with np.errstate(divide="ignore", invalid="ignore"):
            compiled(output.recipe)(*measures, *constants, out=out[self.places])

    def drop(self, slots: Iterable[Slot]) -> None:
        """Free what is kept over windows that no other feature reads."""
        for slot in slots:
            del self._sweeps[slot]

    def _column_of(self, constant: float) -> Floats:
        """A constant as a column, so that the formula is vectorised."""
        if constant not in self._constants:
            self._constants[constant] = np.full(len(self.queries.rows), constant)
        return self._constants[constant]

    def _measure(self, item: Input) -> Numbers:
        sweep = self._sweeps.get(item.slot)
        if sweep is None:
            sweep = self._sweeps[item.slot] = Sweep(
                self.stream_events, item.stream, item.slot.window
            )
        if item.measure not in sweep.measures:
            sweep.measures[item.measure] = self._folded(item.measure, sweep)
        return sweep.measures[item.measure]

    def _folded(self, measure: Measure, sweep: Sweep) -> Numbers:
        name = str(measure.column)
        if measure.kind == "quantile":
            codes, values = _ranked(self, name)
            return code_folds.quantile(
                sweep.trace, _by_event(codes, sweep.events), values, measure.at
            )
        if measure.kind not in _PLACED:
            return FOLDS[measure.kind](self, sweep, name)
        places = sweep.nth(measure.at, forward=measure.kind in ("first", "earliest"))
        if measure.kind in ("first", "last"):
            return order_folds.pick(places, sweep.events.times)
        if name in self.table.names:
            return order_folds.pick(places, self.queries.rows[sweep.events.places].astype(np.int64))
        return order_folds.pick(places, _column(self, sweep.events, name))

    def overflows(self, name: str) -> bool:
        """Whether the sum of a column over a key may leave 64 bits."""
        if name not in self._overflows:
            column, starts = self.columns[name], self.queries.starts.tolist()
            self._overflows[name] = not self.table.summable[name] and any(
                grouping.size(column[start:stop], MISSING) >= MAX_INT64_SUM
                for start, stop in pairwise(starts)
            )
        return self._overflows[name]


class Sweep:
    """One window swept over a partition: where its events lie, found once, and its measures."""

    def __init__(self, stream_events: StreamEvents, stream: Stream, window: Window) -> None:
        self._stream_events = stream_events
        self._stream = stream
        self.window = window
        self.queries = stream_events.queries
        self.measures: dict[Measure, Numbers] = {}
        self._nth: dict[tuple[int, bool], Int32] = {}

    @cached_property
    def summed(self) -> EventSpans:
        """What sums are over."""
        return self._stream_events.summed(self._stream)

    @cached_property
    def span(self) -> Span:
        """Where among `summed` the window's events lie, of keys in order."""
        return self.summed.span(self.window, self._stream.slots)

    @property
    def events(self) -> Events:
        """What the window moves over."""
        return self._stream_events.of(self._stream).events

    @cached_property
    def trace(self) -> Trace:
        """How the window moves."""
        span = self._stream_events.of(self._stream).span(self.window, self._stream.slots)
        return kernel.trace(self.queries, self.events, self.window, span)

    @cached_property
    def edges(self) -> tuple[Int32, Int32]:
        """The positions of the first and the last event in the window."""
        return order_folds.edges(self.trace, len(self.events.places))

    def nth(self, n: int, *, forward: bool) -> Int32:
        """The position of the nth event in the window from its beginning (`forward`) or its end."""
        if n == 1:
            return self.edges[0 if forward else 1]
        if (n, forward) not in self._nth:
            self._nth[n, forward] = order_folds.nth(self.trace, len(self.events.places), n, forward)
        return self._nth[n, forward]


def _column(partition: Partition, events: Events, name: str) -> Int:
    """A column by event."""
    return _by_event(partition.columns[name], events)


def _by_event(column: Int, events: Events) -> Int:
    return column if events.plain else grouping.take(column, events.places)


def _ranked(partition: Partition, name: str) -> tuple[Int, Int]:
    """A column's values in order, and by payment which of them it has (-1: none); of texts the rows
    that say them.
    """
    column, rows = partition.columns[name], partition.queries.rows
    names = name in partition.table.names
    there = np.flatnonzero(column != (-1 if names else MISSING))
    values, firsts, inverse = np.unique(column[there], return_index=True, return_inverse=True)
    codes = np.full(len(column), -1)
    if names:
        said = rows[there[firsts]]
        order = partition.table.frame[name].gather(said).arg_sort().to_numpy()
        values, inverse = said[order].astype(np.int64), np.argsort(order)[inverse]
    codes[there] = inverse
    return codes, values


def _mode(partition: Partition, sweep: Sweep, name: str) -> Int:
    codes, values = _ranked(partition, name)
    return order_folds.pick(
        code_folds.mode(sweep.trace, _by_event(codes, sweep.events), len(values)), values
    )


def _codes(partition: Partition, sweep: Sweep, name: str) -> tuple[Int, int]:
    """A column's codes by event, and how many there are among the payments."""
    return _column(partition, sweep.events, name), int(partition.columns[name].max(initial=-1)) + 1


def _count(partition: Partition, sweep: Sweep, name: str) -> Int:
    summed = sweep.summed
    if not summed.ordered:
        return sweep.trace.held
    if summed.keep.all():
        return sum_folds.width(sweep.span)
    return sum_folds.between(
        sweep.span,
        summed.running("count", name, lambda: (np.ones(len(summed.keep), np.int64), MISSING)),
    )


def _present(partition: Partition, sweep: Sweep, name: str) -> Int:
    summed, none = sweep.summed, -1 if name in partition.table.names else MISSING
    if not summed.ordered:
        return sum_folds.present(sweep.trace, _column(partition, sweep.events, name), none)
    there = lambda: ((_column(partition, summed.events, name) != none).astype(np.int64), 0)  # noqa: E731  # inline, the call would be too long
    return sum_folds.between(sweep.span, summed.running("present", name, there))


def _total(partition: Partition, sweep: Sweep, name: str) -> Numbers:
    if partition.overflows(name):
        return bigint_folds.total(sweep.trace, _column(partition, sweep.events, name))
    summed = sweep.summed
    if not summed.ordered:
        return sum_folds.total(sweep.trace, _column(partition, sweep.events, name))
    return sum_folds.between(
        sweep.span,
        summed.running("total", name, lambda: (_column(partition, summed.events, name), MISSING)),
    )


def _scatter(partition: Partition, sweep: Sweep, name: str) -> Floats:
    fold = bigint_folds.scatter if partition.overflows(name) else sum_folds.scatter
    return fold(sweep.trace, _column(partition, sweep.events, name))


def _smallest(partition: Partition, sweep: Sweep, name: str) -> Int:
    return order_folds.least(
        sweep.trace, _column(partition, sweep.events, name), sweep.trace.spread
    )


def _largest(partition: Partition, sweep: Sweep, name: str) -> Int:
    return _mirrored(
        order_folds.least(
            sweep.trace, _mirrored(_column(partition, sweep.events, name)), sweep.trace.spread
        )
    )


def _mirrored(units: Int) -> Int:
    return np.where(units == MISSING, MISSING, -units)


def _entropy(partition: Partition, sweep: Sweep, name: str) -> Int:
    return code_folds.entropy(
        sweep.trace, *_codes(partition, sweep, name), _terms(sweep.trace.spread)
    )


def _decayed(partition: Partition, sweep: Sweep, name: str) -> Floats:
    step, delay = sweep.window.resolution, sweep.window.delay
    steps, now = sweep.events.times // step, (sweep.queries.times - delay) // step
    column = np.ones(len(steps), np.int64)
    if name in partition.columns:
        column = _column(partition, sweep.events, name)
        if partition.overflows(name):
            return bigint_folds.decayed(sweep.trace, column, steps, now, _DECAY_WEIGHTS)
    return order_folds.decayed(sweep.trace, column, steps, now, *sweep.edges, _DECAY_WEIGHTS)


def _away(partition: Partition, sweep: Sweep, name: str) -> Floats:
    """`aggregates.away` of every payment: the same products, added in the same order."""
    both, mine, others = (np.zeros(len(sweep.queries.times)) for _ in range(3))
    for component in partition.table.components[name]:
        one = partition.columns[component].astype(np.float64)
        total = _total(partition, sweep, component).astype(np.float64)
        both += one * total
        mine += one * one
        others += total * total
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = 1.0 - both / (np.sqrt(mine) * np.sqrt(others))
    return np.where((mine > 0) & (others > 0), found, np.nan)


FOLDS: Final[dict[aggregates.Kind, Callable[[Partition, Sweep, str], Numbers]]] = {
    "count": _count,
    "present": _present,
    "total": _total,
    "scatter": _scatter,
    "min": _smallest,
    "max": _largest,
    "distinct": lambda partition, sweep, name: code_folds.distinct(
        sweep.trace, *_codes(partition, sweep, name)
    ),
    "own": lambda partition, sweep, name: code_folds.own(
        sweep.trace, *_codes(partition, sweep, name), partition.columns[name]
    ),
    "entropy": _entropy,
    "top": lambda partition, sweep, name: code_folds.top(
        sweep.trace, *_codes(partition, sweep, name), sweep.trace.spread
    ),
    "mode": _mode,
    "decayed": _decayed,
    "away": _away,
    "time": lambda partition, sweep, _: sweep.queries.times,
}


def _terms(most: int) -> Int:
    """`aggregates.term` of every count up to `most`."""
    return _table_of_terms(1 << max(most, 1023).bit_length())


@cache
def _table_of_terms(size: int) -> Int:
    return np.fromiter(map(term, range(size)), np.int64, size)


def compiled(recipe: Recipe) -> Callable[..., Floats]:
    """A recipe's formula over whole columns. Two threads must not compile it at once."""
    return _vectorised(recipe.formula, tuple(_signatures(recipe)))


@cache
def _vectorised(
    formula: Callable[..., float], signatures: tuple[str, ...]
) -> Callable[..., Floats]:
    """Recipes that share a formula share what is compiled: 40 to 80 ms for each signature, of
    which Numba caches only a part.
    """
    made: Callable[..., Floats] = vectorize([*signatures], cache=True)(formula)  # type: ignore[no-untyped-call]  # Numba has no types
    return made


def _signatures(recipe: Recipe) -> Iterable[str]:
    """The types of the measures: totals are integers or, where they leave 64 bits, doubles."""
    found: dict[str, None] = {}
    for floats in (_FLOATS, _FLOATS | {"total"}):
        kinds = ["float64" if kind in floats else "int64" for kind in recipe.measures]
        found[f"float64({', '.join([*kinds, *['float64'] * recipe.constants])})"] = None
    return found
