"""Analysts of the demo: they work on cases, and are right most of the time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Final

from shroff.act import Desk, Outcome
from shroff.act.outbox import CaseLabel

_NAMES: Final = ("mia", "noah")
_NOTES: Final[dict[Outcome, tuple[str, ...]]] = {
    "fraud": (
        "The customer did not make this payment.",
        "Same host as the cards of yesterday.",
        "Card reported stolen.",
    ),
    "genuine": (
        "The customer confirmed it on the phone.",
        "A journey: the hotel is the same.",
        "The usual shop, a larger basket.",
    ),
}
_MISTAKEN: Final = 0.04
_UNCLEAR: Final = 0.03


class DemoAnalysts:
    """Two people who decide what waits; who decides what is drawn with a seed."""

    def __init__(self, desk: Desk, *, seed: int) -> None:
        self._desk = desk
        self._random = Random(seed)

    def work(self, truth: Mapping[str, bool], *, at_most: int | None = None) -> None:
        """Decide the cases that wait; `truth` says of each payment whether it is fraud."""
        done = 0
        while done != at_most:
            done += 1
            by = self._random.choice(_NAMES)
            case = self._desk.next(by)
            if case is None:
                return
            _, payments, _ = self._desk.case(case.id, by)
            fraud = any(truth.get(one.payment_id, False) for one in payments)
            drawn = self._random.random()
            if drawn < _UNCLEAR:
                self._desk.decide(case.id, by, outcome="unclear", note="Nobody could be reached.")
                continue
            outcome: Outcome = "fraud" if fraud != (drawn < _UNCLEAR + _MISTAKEN) else "genuine"
            note = self._random.choice(_NOTES[outcome])
            self._desk.decide(case.id, by, outcome=outcome, note=note)

    def labels(self) -> Iterator[CaseLabel]:
        """The labels that are due; each counts as sent once the next is asked for."""
        while waiting := self._desk.take_labels():
            for label in waiting:
                yield label
                self._desk.sent(label)
