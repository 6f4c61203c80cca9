"""An engine that goes on from portions which were packed at different moments."""

from __future__ import annotations

from collections.abc import Sequence

from shroff.collect import Payment
from shroff.features.engines.online.engine import OnlineEngine
from shroff.features.engines.online.pending import Notice
from shroff.features.engines.online.snapshot import Portion
from shroff.features.engines.online.stream_timelines import Key, StreamTimelines
from shroff.features.streams import Later


class Resuming:
    """Feeds each event to those timelines that do not hold it yet.

    Events are numbered; a portion has the number of the last event that it knows, its mark. Marks
    rise from portion to portion.

    Args:
        engine: an empty one.
    """

    def __init__(self, engine: OnlineEngine) -> None:
        self._engine = engine
        self._marks: list[dict[Key, int]] = [{} for _ in engine.timelines.by_stream]
        self._waiting: dict[str, int] = {}

    def put(self, portion: Portion, mark: int) -> None:
        """Take over a portion."""
        self._engine.put(portion)
        self._waiting.update((name, mark) for name, _, _ in portion.waiting)
        marks = self._marks[portion.stream]
        marks.update(
            (tuple(key) if isinstance(key, list) else key, mark) for key, _ in portion.lines
        )

    def count(self, payment: Payment, number: int) -> None:
        """A payment came."""
        engine = self._engine
        engine.count_in(self._lacking(payment, number), payment)
        if number > self._waiting.get(payment.id, 0):
            engine.expect(payment)

    def later(self, payment_id: str, event: Later, notice: Notice, number: int) -> None:
        """A payment's result or label came."""
        if number > self._waiting.get(payment_id, 0):
            self._engine.learn(
                payment_id, event, notice, lambda payment: self._lacking(payment, number)
            )

    def _lacking(self, payment: Payment, number: int) -> Sequence[StreamTimelines]:
        """The timelines in which the event of this number does not count yet."""
        by_stream = self._engine.timelines.by_stream
        return [
            timelines
            for timelines, marks in zip(by_stream, self._marks, strict=True)
            if number > marks.get(timelines.key(payment.values), 0)
        ]
