"""The events of a run of keys, and where windows over them begin and end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import numpy as np

from shroff.features import aggregates, folds, kernel
from shroff.features.grouping import Flags, Int, Int32
from shroff.features.kernel import Events, Queries, Span
from shroff.features.window import Window


class Past:
    """Events of a run, and where windows over them begin and end.

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

    def only(self, keep: Flags) -> Past:
        """The same events, of which only these count."""
        past = Past(self.queries, self.events, keep)
        past._edges, past._seen = self._edges, self._seen
        return past

    def span(self, window: Window, beside: Iterable[Window] = ()) -> Span:
        """Where the events of a window lie, of keys in order; edges are found for those `beside` it too."""
        if any((shift, window.resolution) not in self._edges for shift in _shifts(window)):
            self._find_edges(window.resolution, {window, *beside})
        low = self._edges[window.delay + window.window, window.resolution]
        upper = self._edges[window.delay, window.resolution] if window.delay else None
        if self.events.plain and not window.resolution:
            # what happened earlier has been seen
            return Span(low, self._seen_by(window.include_current) if upper is None else upper)
        high = self._seen_by(window.include_current)
        high = high if upper is None else np.minimum(high, upper)
        return Span(np.minimum(low, high), high)

    def running(self, kind: aggregates.Kind, name: str, column: Callable[[], tuple[Int, int]]) -> Int:
        """`folds.running` of a column and its value for none, made once."""
        if (kind, name) not in self._running:
            values, none = column()
            self._running[kind, name] = folds.running(values, self.keep, none)
        return self._running[kind, name]

    def _find_edges(self, resolution: int, windows: Collection[Window]) -> None:
        # windows over other events may have needed some of them before
        shifts = set[int]().union(*map(_shifts, windows))
        needed = sorted(shift for shift in shifts if (shift, resolution) not in self._edges)
        found = kernel.edges(self.queries, self.events, np.array(needed), resolution)
        self._edges.update(((shift, resolution), places) for shift, places in zip(needed, found, strict=True))

    def _seen_by(self, current: bool) -> Int32:
        if current not in self._seen:
            self._seen[current] = kernel.seen(self.queries, self.events, int(current))
        return self._seen[current]


def _shifts(window: Window) -> set[int]:
    """How far before a payment the window begins and ends, unless it ends with it."""
    return {window.delay + window.window, window.delay} - {0}
