"""The state that payments are judged by and extend: what is asked of it, and the one of this
process alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.errors import OutOfBounds
from shroff.features.engines.online import OnlineEngine, StateEngine
from shroff.features.plan import Later
from shroff.ledger import Head, Ledger
from shroff.state.arrivals import Arrivals
from shroff.state.backfill import Backfill
from shroff.state.rebuild import Mark

CLOCK_BACK: Final = "the clock was set back, and the state is filled anew"
_log = logging.getLogger(__name__)

Seen = dict[str, Value] | Exception | None
"""What became of a payment: its features, why it is refused, or None while there is no state to
ask.
"""


class News(NamedTuple):
    """A payment's result or label: what it says, how much its source is trusted, when it arrived
    (0: not known yet).

    `token` tells it from all others of the payment.
    """

    kind: Later
    value: Value
    rank: int = 0
    arrived: int = 0
    token: bytes = b""


class State(Protocol):
    """What the sequencer asks of a state."""

    @property
    def engine(self) -> StateEngine:
        """What computes features."""

    @property
    def failure(self) -> str | None:
        """Why payments are decided without features now; None while they are not."""

    @property
    def ruined(self) -> int:
        """How often this process has dropped it, because it held what no process of ours has put
        there.
        """

    @property
    def away(self) -> bool:
        """Whether a server has lost the state, so that this process may have to fill it anew
        there.
        """

    @property
    def overtaken(self) -> bool:
        """Whether the clock was set back behind a state that only this process can fill anew."""

    @property
    def sharers(self) -> frozenset[bytes]:
        """The other processes that share it."""

    def ahead_of(self, ledger: Ledger) -> Head | None:
        """The record that it knows and the ledger does not have; None where the ledger has all that
        it knows.
        """

    def prepare(self, backfill: Backfill, *, only_empty: bool = False) -> Mark:
        """Come to know history and ledger; with `only_empty` only where the state is shared, and
        there is none.
        """

    def join(self, tick: Callable[[], None]) -> None:
        """Wait, calling `tick`, until it knows what all processes that share it know; before the
        first `observe`.
        """

    def assembled(self, before: State) -> bool:
        """Whether all who share the state before are about to change over to this one, which nobody
        has used yet.
        """

    def entered(self) -> bool:
        """Whether all of them have let it know what they decided by the state before."""

    def observe(self, payments: Sequence[Payment]) -> list[Seen]:
        """What payments that wait together see, and their arrivals set; from now on later payments
        see them.

        Either all are None, or none is.
        """

    def announce(self, payment_id: str, news: News) -> int:
        """A payment's result or label is about to be recorded: its arrival, 0 where the state gives
        none.
        """

    def later(self, payment_id: str, news: News) -> None:
        """A payment's result or label is durable."""

    def forget(self, payment: Payment) -> None:
        """A payment came to nothing."""

    def concede(self, payment: Payment) -> None:
        """A payment was decided by another process first."""

    def recount(self, payment: Payment) -> None:
        """A payment that was to be forgotten is durable after all."""

    def late(self, now: int) -> bool:
        """Whether a payment that the lateness excludes is late indeed, by a clock that reads `now`.

        It is not where the clock was set back: then the state is the one that is wrong, and
        payments go on without it.
        """

    def beat(self) -> None:
        """To be called twice a second, between payments."""

    def leave(self) -> None:
        """This process observes no more."""


class LocalState:
    """State in the memory of this process: there, unless the clock was set back behind what it has
    forgotten.

    Then payments are decided without features, until a state that was filled anew takes its place.
    """

    def __init__(self, engine: OnlineEngine, arrivals: Arrivals) -> None:
        self.engine = engine
        self.failure: str | None = None
        self.ruined = 0
        self.away = False
        self.sharers: frozenset[bytes] = frozenset()
        self._arrivals = arrivals

    @property
    def overtaken(self) -> bool:
        """Whether the clock was set back behind what it has forgotten."""
        return self.engine.overtaken

    def ahead_of(self, ledger: Ledger) -> Head | None:
        """None: it was filled from that ledger."""
        return None

    def prepare(self, backfill: Backfill, *, only_empty: bool = False) -> Mark:
        """Come to know history and ledger."""
        return backfill.fill(self.engine)

    def join(self, tick: Callable[[], None]) -> None:
        """Nothing: nobody shares it."""

    def assembled(self, before: State) -> bool:
        """Yes: there is nobody else."""
        return True

    def entered(self) -> bool:
        """Yes: there is nobody else."""
        return True

    def observe(self, payments: Sequence[Payment]) -> list[Seen]:
        """What payments see, each with the arrival that comes next."""
        if self.failure is not None:
            for payment in payments:
                payment.arrived = self._arrivals.next()
            return [None] * len(payments)
        return [self._one(payment) for payment in payments]

    def _one(self, payment: Payment) -> Seen:
        payment.arrived = self._arrivals.next()
        engine = self.engine
        if payment.time < engine.timelines.watermark and engine.plan.streams:
            # one that came together with it was newer than all when both were let in
            return OutOfBounds(engine.too_late)
        try:
            return engine.observe(payment)
        except Exception as error:  # noqa: BLE001  # one payment must not take its neighbours with it
            return error

    def announce(self, payment_id: str, news: News) -> int:
        """Nothing yet: a result or label counts when it is durable."""
        return 0

    def later(self, payment_id: str, news: News) -> None:
        """A payment's result or label is durable."""
        self.engine.later(payment_id, news.kind, news.value, rank=news.rank, arrived=news.arrived)

    def forget(self, payment: Payment) -> None:
        """A payment came to nothing."""
        if self.failure is None:
            self.engine.forget(payment)

    def concede(self, payment: Payment) -> None:
        """A payment was decided by another process first, whose state it is in."""
        self.forget(payment)

    def recount(self, payment: Payment) -> None:
        """A payment that was to be forgotten is durable after all: it counts with the arrival it
        had.
        """
        if self.failure is None:
            self.engine.observe(payment)

    def late(self, now: int) -> bool:
        """Whether it is late indeed; where it is not, there are no features from now on."""
        if not self.engine.overtaken:
            return True
        if self.failure is None:
            self.failure = CLOCK_BACK
            _log.warning(
                "payments are decided without features: %s",
                CLOCK_BACK,
                extra={"event": "state_lost"},
            )
        return False

    def beat(self) -> None:
        """Nothing: nobody waits for this process."""

    def leave(self) -> None:
        """Nothing: nobody waits for this process."""
