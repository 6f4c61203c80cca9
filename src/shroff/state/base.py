"""The state that payments are judged by and extend: the protocol, and the state of one process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.errors import OutOfBounds
from shroff.features.engines.online import OnlineEngine, StateEngine
from shroff.features.streams import Later
from shroff.ledger import Head, Ledger
from shroff.state.arrivals import Arrivals
from shroff.state.backfill import Backfill
from shroff.state.mark import Mark

CLOCK_BACK: Final = "the clock was set back, and the state is filled anew"
_log = logging.getLogger(__name__)

Seen = dict[str, Value] | Exception | None
"""A payment's features, why it is refused, or None while the state is unavailable."""


class News(NamedTuple):
    """A payment's result or label, the rank of its source, and its arrival (0: not known yet).

    `token` identifies it among those of the payment.
    """

    kind: Later
    value: Value
    rank: int = 0
    arrived: int = 0
    token: bytes = b""


class State(Protocol):
    """A state, as the sequencer uses it."""

    destroyed: str
    """The keys of subjects that were gone when it was made, by a name."""

    @property
    def engine(self) -> StateEngine:
        """The engine that computes features."""

    @property
    def failure(self) -> str | None:
        """Why payments are decided without features now; None while they have them."""

    @property
    def drops(self) -> int:
        """How often this process has dropped it because it could not be read."""

    @property
    def away(self) -> bool:
        """Whether the server has lost the state, so that this process may have to refill it."""

    @property
    def overtaken(self) -> bool:
        """Whether the clock was set back too far for a state that only this process can refill."""

    @property
    def sharers(self) -> frozenset[bytes]:
        """The other processes that share it."""

    def ahead_of(self, ledger: Ledger) -> Head | None:
        """A record that it knows and the ledger lacks; None if the ledger has all of them."""

    def prepare(self, backfill: Backfill, *, only_empty: bool = False) -> Mark:
        """Load history and ledger; with `only_empty` only into a shared state that is missing."""

    def join(self, tick: Callable[[], None]) -> None:
        """Wait until all who share it have sent their backlogs, calling `tick` meanwhile."""

    def assembled(self, before: State) -> bool:
        """Whether all who share the state `before` are about to switch to this unused one."""

    def entered(self) -> bool:
        """Whether all of them have sent it what they decided with the state before."""

    def observe(self, payments: Sequence[Payment]) -> list[Seen]:
        """The features of payments that wait together; sets arrivals, and adds the payments.

        Either all results are None, or none is.
        """

    def announce(self, payment_id: str, news: News) -> int:
        """Announce a result or label before it is recorded; returns its arrival, or 0 for none.

        Raises:
            PaymentConflict: another process is recording another result of the payment.
        """

    def later(self, payment_id: str, news: News) -> None:
        """A payment's result or label is durable."""

    def forget(self, payment: Payment) -> None:
        """A payment was not accepted."""

    def concede(self, payment: Payment, standing: Payment | None) -> None:
        """A payment was decided by another process first.

        Args:
            standing: what the ledger has under its id, where that is another payment.
        """

    def recount(self, payment: Payment) -> None:
        """A payment that was to be forgotten is durable after all."""

    def late(self, now: int) -> bool:
        """Whether a payment that the lateness excludes is late by a clock that reads `now`.

        It is not if the clock was set back: then the state is wrong, and payments are decided
        without it.
        """

    def beat(self) -> None:
        """Called twice a second, between payments."""

    def leave(self) -> None:
        """This process stops observing."""

    def discard(self) -> None:
        """Remove it, after `leave`: it counts people who were forgotten."""


class LocalState:
    """State in the memory of this process, unusable once the clock was set back too far.

    Windows would then reach events that it has forgotten. Payments are decided without features,
    until a state that was filled anew replaces it.
    """

    def __init__(self, engine: OnlineEngine, arrivals: Arrivals, *, destroyed: str = "") -> None:
        self.engine = engine
        self.destroyed = destroyed
        self.filled: Mark | None = None
        """What it was filled from; None before it was."""
        self.failure: str | None = None
        self.drops = 0
        self.away = False
        self.sharers: frozenset[bytes] = frozenset()
        self._arrivals = arrivals

    @property
    def overtaken(self) -> bool:
        """Whether the clock was set back so far that windows reach events it has forgotten."""
        return self.engine.overtaken

    def ahead_of(self, ledger: Ledger) -> Head | None:
        """None: it was filled from this ledger."""
        return None

    def prepare(self, backfill: Backfill, *, only_empty: bool = False) -> Mark:
        """Load history and ledger."""
        self.filled = backfill.fill(self.engine)
        return self.filled

    def join(self, tick: Callable[[], None]) -> None:
        """Nothing to wait for: no other process shares it."""

    def assembled(self, before: State) -> bool:
        """True: no other process shares it."""
        return True

    def entered(self) -> bool:
        """True: no other process shares it."""
        return True

    def observe(self, payments: Sequence[Payment]) -> list[Seen]:
        """The features of payments; each gets the next arrival."""
        if self.failure is not None:
            for payment in payments:
                payment.arrived = self._arrivals.next()
            return [None] * len(payments)
        return [self._one(payment) for payment in payments]

    def _one(self, payment: Payment) -> Seen:
        payment.arrived = self._arrivals.next()
        engine = self.engine
        if payment.time < engine.timelines.watermark and engine.plan.streams:
            # a newer payment of the same batch has moved the watermark
            return OutOfBounds(engine.too_late)
        try:
            return engine.observe(payment)
        except Exception as error:  # noqa: BLE001  # one payment's error must not fail its batch
            return error

    def announce(self, payment_id: str, news: News) -> int:
        """0: a result or label counts once it is durable."""
        return 0

    def later(self, payment_id: str, news: News) -> None:
        """A payment's result or label is durable."""
        self.engine.later(payment_id, news.kind, news.value, rank=news.rank, arrived=news.arrived)

    def forget(self, payment: Payment) -> None:
        """A payment was not accepted."""
        if self.failure is None:
            self.engine.forget(payment)

    def concede(self, payment: Payment, standing: Payment | None) -> None:
        """A payment was decided by another process first, whose state it is in."""
        self.forget(payment)

    def recount(self, payment: Payment) -> None:
        """A payment that was to be forgotten is durable after all; it keeps its arrival."""
        if self.failure is None:
            self.engine.observe(payment)

    def late(self, now: int) -> bool:
        """Whether it is late; if not, there are no features from now on."""
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
        """Nothing to do: no process waits for this one."""

    def leave(self) -> None:
        """Nothing to do: no process waits for this one."""

    def discard(self) -> None:
        """Nothing to do: it goes with this process's memory."""
