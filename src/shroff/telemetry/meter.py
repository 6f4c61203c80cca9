"""The counters of the scoring path; all of them belong to the event loop.

Times are nanoseconds of `time.perf_counter_ns`.
"""

from __future__ import annotations

from collections import defaultdict
from time import perf_counter_ns
from typing import Final, Literal, NamedTuple, get_args

import msgspec

from shroff.decide import Action
from shroff.telemetry.histogram import Histogram
from shroff.telemetry.tracing import Trace

Stage = Literal["parse", "wait", "features", "score", "decide", "ledger", "whole"]
"""The stages of a payment.

`parse` reads it and looks it up; `wait` lasts until its batch begins; `features`, `score` and
`decide` (policy, reasons, the record) are shared by all payments of the batch, each of which waits
for all of them; `ledger` ends with the answer; `whole` is the sum.
"""
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)

_MS_NS: Final = 1_000_000
DURATION_BOUNDS_NS: Final = tuple(
    int(ms * _MS_NS)
    for ms in (
        0.5,
        1,
        1.5,
        2,
        3,
        4,
        5,
        7.5,
        10,
        15,
        20,
        30,
        50,
        75,
        100,
        200,
        500,
        1_000,
        2_000,
        5_000,
    )
)
"""Bounds of all histograms of time, in nanoseconds, from half a millisecond up."""
_PROBABILITY_BOUNDS: Final = (
    0.001,
    0.003,
    0.01,
    0.03,
    0.1,
    0.2,
    0.3,
    0.4,
    0.5,
    0.6,
    0.7,
    0.8,
    0.9,
    0.95,
    0.99,
)
_MAX_DEFERRED_PAYMENTS: Final = 1_024


class Decided(msgspec.Struct, frozen=True, gc=False):
    """How a payment was decided: model version, action, and whether without a score."""

    version: str
    action: Action
    degraded: bool


class Turn(NamedTuple):
    """A batch's times (begin, features, scores, decisions done) and number of payments."""

    began: int
    observed: int
    scored: int
    decided: int
    payments: int


class Journey(msgspec.Struct, eq=False):
    """One payment's way through the service.

    `trace` is the trace of its request, if any.
    """

    trace: Trace | None = None
    started: int = msgspec.field(default_factory=perf_counter_ns)
    parsed: int = 0
    turn: Turn | None = None
    decided: Decided | None = None
    probability: float | None = None


class Meter:
    """Counts requests and payments since the start of the process.

    `requests` by route and HTTP status (0: the client left first), `decisions` once they are
    durable, `repeated` payments that got an earlier decision, recorded `labels` by source and
    value.
    """

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.decisions: defaultdict[Decided, int] = defaultdict(int)
        self.probabilities: defaultdict[str, Histogram] = defaultdict(
            lambda: Histogram(_PROBABILITY_BOUNDS)
        )
        self.failures: defaultdict[str, int] = defaultdict(int)
        self.repeated = 0
        self.labels: defaultdict[tuple[str, bool], int] = defaultdict(int)
        self.stages: dict[Stage, Histogram] = {
            stage: Histogram(DURATION_BOUNDS_NS) for stage in STAGES
        }
        self._parse, self._wait, self._ledger, self._whole = (
            self.stages[stage].defer for stage in ("parse", "wait", "ledger", "whole")
        )
        self._deferred = 0

    def parsed(self, journey: Journey) -> None:
        """Count a new payment that was parsed."""
        journey.parsed = now = perf_counter_ns()
        self._parse(now - journey.started)

    def took(self, turn: Turn) -> None:
        """Count a batch that was decided and handed to the ledger."""
        self.stages["features"].add_all(turn.observed - turn.began, turn.payments)
        self.stages["score"].add_all(turn.scored - turn.observed, turn.payments)
        self.stages["decide"].add_all(turn.decided - turn.scored, turn.payments)
        self._deferred += turn.payments
        if self._deferred >= _MAX_DEFERRED_PAYMENTS:
            self._deferred = 0
            for histogram in (*self.stages.values(), *self.probabilities.values()):
                histogram.settle()

    def settled(self, journey: Journey) -> None:
        """Count a decision that is durable."""
        now = perf_counter_ns()
        turn, decided = journey.turn, journey.decided
        if turn is None or decided is None:
            return
        self._wait(turn.began - journey.parsed)
        self._ledger(now - turn.decided)
        self._whole(now - journey.started)
        self.decisions[decided] += 1
        if journey.probability is not None:
            self.probabilities[decided.version].defer(journey.probability)
        if journey.trace is not None:
            journey.trace.stages(
                parse=(journey.started, journey.parsed),
                wait=(journey.parsed, turn.began),
                features=(turn.began, turn.observed),
                score=(turn.observed, turn.scored),
                decide=(turn.scored, turn.decided),
                ledger=(turn.decided, now),
            )
