"""The engine: one payment after the other, with their results and labels in between."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from shroff.collect import Payment, Schema
from shroff.collect.payment import Value
from shroff.features.define import FeatureGroup
from shroff.features.engines.online.track import Cells, Track
from shroff.features.engines.rows import reader
from shroff.features.plan import Later, Output, Plan
from shroff.features.window import micros


@dataclass
class _Pending:
    """A payment whose result or label may still come, and the later events that have."""

    payment: Payment
    known: dict[Later, Value] = field(default_factory=dict)


class OnlineEngine:
    """Features of payments as they come.

    Args:
        lateness: how much later than its event time a payment may arrive and still see all it should; state is
            kept that much longer than the longest window.

    Payments must be observed in order of arrival, each once; `forget` undoes one that came to nothing.
    """

    def __init__(self, groups: Sequence[FeatureGroup], schema: Schema, *, lateness: str = "1d") -> None:
        plan = Plan(groups, schema)
        self.plan = plan
        slots = [slot for stream in plan.streams for slot in stream.slots.values()]
        measures = [(slot, measure) for slot in slots for measure in slot.measures]
        cells = {held: cell for cell, held in enumerate(measures)}
        self._blank: Cells = [None] * len(cells)
        self._tracks = [Track(stream, plan.schema, cells) for stream in plan.streams]
        self._later = [track for track in self._tracks if track.later]
        self._finish = [
            (output.name, _finisher(output, [cells[item.slot, item.measure] for item in output.inputs]))
            for output in plan.outputs
        ]
        self._rows = [(row.name, reader(row, plan.schema.time, plan.schema.timezone)) for row in plan.rows]
        self._columns: dict[Later, str] = {"result": str(plan.schema.result), "label": str(plan.schema.label)}
        self._lateness = micros(lateness)
        self._watermark = 0
        self._horizon = max((track.horizon for track in self._later), default=0)
        self._pending: OrderedDict[str, _Pending] = OrderedDict()

    def observe(self, payment: Payment) -> dict[str, Value]:
        """The payment's features, by name; from now on later payments see it.

        Returns:
            One value per feature: float, text, or None.
        """
        self._watermark = max(self._watermark, payment.time - self._lateness)
        cells = self._blank.copy()
        for track in self._tracks:
            track.visit(payment, cells, self._watermark)
        if self._later:
            self._remember(payment)
        features: dict[str, Value] = {name: finish(cells) for name, finish in self._finish}
        if self._rows:
            seen = {**payment.values, **features}
            for name, read in self._rows:
                features[name] = seen[name] = read(seen)
        return features

    def later(self, payment_id: str, event: Later, value: Value) -> bool:
        """A payment's result or label has arrived: payments observed from now on see it.

        The first of each kind counts. Returns whether the payment is one that windows still reach.
        """
        pending = self._pending.get(payment_id)
        if pending is None or event in pending.known or value is None:
            return pending is not None
        pending.known[event] = value
        values = pending.payment.values | {self._columns[kind]: known for kind, known in pending.known.items()}
        for track in self._later:
            if event in track.later and track.later <= pending.known.keys():
                track.add(pending.payment, values, self._watermark)
        return True

    def forget(self, payment: Payment) -> None:
        """Undo `observe` for a payment that was not accepted after all (no later event of it has arrived)."""
        for track in self._tracks:
            if not track.later:
                track.remove(payment)
        self._pending.pop(payment.id, None)

    @property
    def newest(self) -> int:
        """The latest event time seen, in microseconds; windows are kept whole for `lateness` before it."""
        return self._watermark + self._lateness

    @property
    def keys(self) -> int:
        """How many timelines there are: one per stream and key."""
        return sum(len(track.timelines) for track in self._tracks)

    @property
    def events(self) -> int:
        """How many events the timelines hold; those that a resolution has made one count once."""
        return sum(len(line.times) for track in self._tracks for line in track.timelines.values())

    @property
    def pending(self) -> int:
        """How many payments may still get a result or a label that some window reaches."""
        return len(self._pending)

    def _remember(self, payment: Payment) -> None:
        pending = self._pending
        pending[payment.id] = _Pending(payment)
        limit = self._watermark - self._horizon
        while pending and next(iter(pending.values())).payment.time <= limit:
            pending.popitem(last=False)


def _finisher(output: Output, cells: Sequence[int]) -> Callable[[Cells], Value]:
    """How a feature's value follows from the cells; None where the payment has no key."""
    formula, constants = output.recipe.formula, output.constants
    first = cells[0]

    def finish(held: Cells) -> Value:
        if held[first] is None:
            return None
        value = formula(*[held[cell] for cell in cells], *constants)
        return value if value == value else None  # NaN is the one number that differs from itself

    return finish
