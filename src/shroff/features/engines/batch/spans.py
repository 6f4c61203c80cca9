"""The events of a partition, and where windows over them begin and end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import numpy as np

from shroff.features import aggregates
from shroff.features.engines.batch import kernel, sum_folds
from shroff.features.engines.batch.encoded_table import KEPT, KNOWN, NO_LIVES, NO_TIMES, SINCE, Name
from shroff.features.engines.batch.events import Events, Lives, Queries, settle
from shroff.features.engines.batch.grouping import Flags, Int, Int32
from shroff.features.engines.batch.kernel import Span
from shroff.features.streams import Stream
from shroff.features.window import Window


class EventSpans:
    """Events of a partition, and where windows over them begin and end.

    `keep`: which of the events count.
    """

    def __init__(self, queries: Queries, events: Events, keep: Flags) -> None:
        self.queries = queries
        self.events = events
        self.keep = keep
        self.ordered = bool(events.ordered.all())
        self._edges: dict[tuple[int, int], Int32] = {}
        self._seen: dict[bool, Int32] = {}
        self._running: dict[tuple[aggregates.Kind, str], Int] = {}

    def only(self, keep: Flags) -> EventSpans:
        """The same events, of which only these count."""
        spans = EventSpans(self.queries, self.events, keep)
        spans._edges, spans._seen = self._edges, self._seen
        return spans

    def span(self, window: Window, beside: Iterable[Window] = ()) -> Span:
        """Where a window's events lie, for ordered keys; finds edges of windows `beside` it too."""
        if any((shift, window.resolution) not in self._edges for shift in _shifts(window)):
            self._find_edges(window.resolution, {window, *beside})
        low = self._edges[window.delay + window.window, window.resolution]
        upper = self._edges[window.delay, window.resolution] if window.delay else None
        if self.events.plain and not window.resolution:
            # every earlier event is known already, so `low` cannot exceed `high`
            return Span(low, self._seen_by(window.include_current) if upper is None else upper)
        high = self._seen_by(window.include_current)
        high = high if upper is None else np.minimum(high, upper)
        return Span(np.minimum(low, high), high)

    def running(
        self, kind: aggregates.Kind, name: str, column: Callable[[], tuple[Int, int]]
    ) -> Int:
        """`sum_folds.running` of a column and its value for none, computed once."""
        if (kind, name) not in self._running:
            values, none = column()
            self._running[kind, name] = sum_folds.running(values, self.keep, none)
        return self._running[kind, name]

    def _find_edges(self, resolution: int, windows: Collection[Window]) -> None:
        # windows over other events may have found some of them already
        shifts = set[int]().union(*map(_shifts, windows))
        needed = sorted(shift for shift in shifts if (shift, resolution) not in self._edges)
        found = kernel.edges(self.queries, self.events, np.array(needed), resolution)
        self._edges.update(
            ((shift, resolution), places) for shift, places in zip(needed, found, strict=True)
        )

    def _seen_by(self, current: bool) -> Int32:
        if current not in self._seen:
            self._seen[current] = kernel.seen(self.queries, self.events, int(current))
        return self._seen[current]


class StreamEvents:
    """The events of a partition by the condition that they meet, each found once.

    It has no reference to the partition, so that both are freed without a cycle.
    """

    def __init__(
        self, queries: Queries, columns: Mapping[Name, Int], lives: Mapping[str, Lives]
    ) -> None:
        self.queries = queries
        self._columns = columns
        self._lives = lives
        self._found: dict[tuple[str, bool], EventSpans] = {}

    def of(self, stream: Stream | None) -> EventSpans:
        """The payments that are events of a stream; all payments without one."""
        where = stream.where.sql if stream and stream.where else ""
        if (where, False) not in self._found:
            own = self.queries.rows.astype(np.int64)
            known, lives = self._columns.get((KNOWN, where), own), self._lives.get(where, NO_LIVES)
            since = self._columns.get((SINCE, where), NO_TIMES)
            events = settle(self.queries, self._kept(where), known, since, lives)
            self._found[where, False] = EventSpans(
                self.queries, events, np.ones(len(events.places), np.bool_)
            )
        return self._found[where, False]

    def summed(self, stream: Stream) -> EventSpans:
        """`of`, for sums: where conditions are known on arrival, every payment, with those that do
        not match masked.

        So all streams of an entity share the edges of their windows.
        """
        where = stream.where.sql if stream.where else ""
        everything = self.of(None)
        if not where or (KNOWN, where) in self._columns or not everything.events.plain:
            return self.of(stream)
        if (where, True) not in self._found:
            self._found[where, True] = everything.only(self._kept(where))
        return self._found[where, True]

    def _kept(self, where: str) -> Flags:
        return (
            self._columns[KEPT, where] != 0 if where else np.ones(len(self.queries.rows), np.bool_)
        )


def _shifts(window: Window) -> set[int]:
    """How far before a payment the window begins, and ends if it is delayed."""
    return {window.delay + window.window, window.delay} - {0}
