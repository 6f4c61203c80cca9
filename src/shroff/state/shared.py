"""A state in Redis that several processes share, while it is there, while it is away, and when it
comes back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from shroff.clock import overtaken
from shroff.collect import Payment
from shroff.errors import OutOfBounds, StateGarbled, Unavailable
from shroff.features.engines.online import OnlineEngine
from shroff.features.engines.online.redis import RedisEngine, Roll
from shroff.ledger import Head, Ledger
from shroff.state.arrivals import Arrivals
from shroff.state.backfill import Backfill, Tick
from shroff.state.backlog import Backlog, Numbers
from shroff.state.base import News, Seen, State
from shroff.state.rebuild import Mark, ensure_filled

_LOOK_SECONDS: Final = 0.1
"""Seconds between two looks whether the other processes have sent their backlog."""
_START_PATIENCE_SECONDS: Final = 3.0
"""Seconds without an answer after which a starting process takes another for dead, as its
predecessors mostly are.
"""
_log = logging.getLogger(__name__)


class SharedState:
    """State in Redis, whose order of arrivals is everybody's.

    While Redis is away, payments are decided without features, and what the state misses waits in a
    backlog. When Redis is back, each process sends its backlog; payments have features again once
    all processes have. If another state has been filled meanwhile, it knows the payments that the
    ledger had at that time.

    Args:
        numbers: of payments' records in the ledger.
        durable: the last record that this process has seen in the ledger.
        member: the name of this process among those that share states.
    """

    def __init__(
        self,
        engine: RedisEngine,
        arrivals: Arrivals,
        numbers: Numbers,
        durable: Callable[[], Head],
        *,
        member: str,
    ) -> None:
        self.engine = engine
        self.failure: str | None = None
        self.overtaken = False
        self._arrivals = arrivals
        self._roll = Roll(engine, member=member)
        self._backlog = Backlog(engine, numbers)
        self._durable = durable
        self._vouched: tuple[bytes, Head] | None = None

    @property
    def away(self) -> bool:
        """Whether this process has lost the state."""
        return self.failure is not None

    def ahead_of(self, ledger: Ledger) -> Head | None:
        """The record that the state knows and the ledger does not have.

        Raises:
            StateUnavailable, LedgerUnavailable: the server or the database does not answer.
        """
        vouched = Head(*self.engine.voucher.vouched())
        held = self.engine.mark() <= ledger.head().seq and ledger.holds(vouched)
        return None if held else vouched

    def prepare(self, backfill: Backfill, *, only_empty: bool = False) -> Mark:
        """Fill the state, or wait until another process has.

        Raises:
            StateUnavailable, LedgerUnavailable: the server or the database does not answer.
            BrokenChain: the ledger was changed.
        """
        # what is known of a state that another process fills
        mark = Mark(0, 0, shared=True)
        if only_empty and self.engine.ready():
            return mark

        def fill(tick: Tick) -> tuple[OnlineEngine, Mark]:
            nonlocal mark
            source = backfill.engine()
            mark = backfill.fill(source, tick)
            return source, mark

        known = ensure_filled(self.engine, fill, backfill.recent, currency=backfill.currency)
        mark = mark._replace(seq=known, arrived=0)
        newest = self.engine.newest
        # one that has seen nothing is as new as its lateness
        return (
            mark._replace(newest=newest) if mark.shared and newest > self.engine.lateness else mark
        )

    def join(self, tick: Callable[[], None]) -> None:
        """Wait until all who share the state have sent it their backlogs.

        Args:
            tick: called meanwhile; may raise, to break it off.

        Raises:
            Unavailable: the server cannot be reached, or the ledger.
        """
        while True:
            self._backlog.flush()
            if self._roll.answer(clear=not self._backlog, patience=_START_PATIENCE_SECONDS):
                return
            tick()
            time.sleep(_LOOK_SECONDS)

    def assembled(self, before: State) -> bool:
        """Whether all who share the state before are about to change over to this one, as this
        process is from now on.

        Raises:
            Unavailable: the server cannot be reached, or the ledger.
        """
        before.beat()
        self._backlog.flush()
        self._roll.answer(clear=False)
        return before.sharers <= self.sharers

    def entered(self) -> bool:
        """Whether all who are about to use this state have sent it what they decided before, as
        this process has.

        Raises:
            StateUnavailable: the server cannot be reached.
        """
        return self._roll.answer(clear=not self._backlog, times=1)

    @property
    def ruined(self) -> int:
        """How often this process has dropped it, because a key held what no process of ours has put
        there.
        """
        return self.engine.ruined

    @property
    def sharers(self) -> frozenset[bytes]:
        """The others that share it."""
        return self._roll.others

    def observe(self, payments: Sequence[Payment]) -> list[Seen]:
        """What payments see, with the arrivals that the state gave them."""
        try:
            complete = self._complete()
            observed = self.engine.observe_all(payments)
            # over a new connection: others may have noticed more of what happened
            complete = self._steady or (self._complete() and complete)
        except Unavailable as error:
            self._lost(error)
            for payment in payments:
                payment.arrived = self._arrivals.next()
                self._backlog.add_payment(payment)
            return [None] * len(payments)
        seen: list[Seen] = []
        for payment, one in zip(payments, observed, strict=True):
            payment.arrived = one.arrived
            self._arrivals.after(one.arrived)
            if one.features is None:
                seen.append(OutOfBounds(self.engine.too_late))
            else:
                self._backlog.note_sent_payment(payment)
                seen.append(one.features if complete else None)
        return seen

    def announce(self, payment_id: str, news: News) -> int:
        """Let payments see a result or label, and say when it arrived in the order that all
        processes share.

        It counts before it is durable, because only the state can say what came before it. Should
        the ledger refuse it, whoever sent it sends it again, and it counts once.
        """
        kind, value, rank, _, token = news
        send = partial(self.engine.later, payment_id, kind, value, rank=rank)
        try:
            self._complete()
            if not self._backlog:
                given = self.engine.announce(payment_id, kind, value, rank=rank, token=token)
                self._arrivals.after(given)
                arrived = given if given > 1 else self._arrivals.next()
                self._backlog.note_sent(
                    payment_id, f"{kind} {token.hex()}", partial(send, arrived=arrived)
                )
                return arrived
        except Unavailable as error:
            self._lost(error)
        # perhaps the state does not know the payment yet
        arrived = self._arrivals.next()
        self._backlog.add(payment_id, partial(send, arrived=arrived))
        return arrived

    def later(self, payment_id: str, news: News) -> None:
        """Nothing: `announce` has sent it."""

    def forget(self, payment: Payment) -> None:
        """A payment came to nothing."""
        self._backlog.withdraw_payment(payment)
        self._backlog.add(payment.id, partial(self.engine.forget, payment))
        self._flush()

    def concede(self, payment: Payment) -> None:
        """Nothing: it counts once in the state they share, whoever sent it first."""

    def recount(self, payment: Payment) -> None:
        """A payment that was to be forgotten is durable after all."""
        self._backlog.add_payment(payment)
        self._flush()

    def late(self, now: int) -> bool:
        """Whether it is late indeed, as far as this process knows; the server knows it for all, by
        its own clock.
        """
        engine = self.engine
        return not overtaken(engine.newest - engine.lateness, now, engine.lateness)

    def beat(self) -> None:
        """Send the backlog, and let the others see that this process is there."""
        try:
            if self._steady:
                self._roll.answer(clear=True)
                self._vouch()
            else:
                self._complete()
        except Unavailable as error:
            self._lost(error)

    def leave(self) -> None:
        """Leave the shared state so that other processes stop waiting for this one."""
        with suppress(Unavailable):
            self._vouch()
            self._roll.leave()

    def _vouch(self) -> None:
        """Keep with the state how far the ledger is known to reach: one that does not is not the
        state's.
        """
        record = self.engine.epoch, self._durable()
        if record != self._vouched:
            self.engine.voucher.vouch(*record[1])
            self._vouched = record

    @property
    def _steady(self) -> bool:
        """Whether everything was sent, over this connection and to this state."""
        return self.failure is None and self._roll.current and self._backlog.settled

    def _complete(self) -> bool:
        """Whether the state knows all that was decided by now; sends the backlog first.

        Raises:
            Unavailable: it is away, or the ledger is, which says what a new one knows.
        """
        if self._steady:
            return True
        self._backlog.flush()
        if not self._roll.answer(clear=not self._backlog):
            self.failure = "the state has not got everything yet that was decided while it was away"
            return False
        if self.failure is not None:
            _log.warning("payments are decided with features again.", extra={"event": "state_back"})
        self.failure = None
        return True

    def _flush(self) -> None:
        """Send the backlog at once, unless the state is away."""
        if self.failure is None:
            try:
                self._backlog.flush()
            except Unavailable as error:
                self._lost(error)

    def _lost(self, error: Unavailable) -> None:
        if isinstance(error, StateGarbled):
            _log.error("%s", error, extra={"event": "state_garbled"})
        if self.failure is None:
            _log.warning(
                "payments are decided without features: %s", error, extra={"event": "state_lost"}
            )
        self.failure = str(error)
        self._roll.lost()
