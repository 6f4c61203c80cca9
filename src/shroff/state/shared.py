"""A state in Redis that several processes share: in use, during an outage, and after it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from shroff.clock import overtaken
from shroff.collect import Payment
from shroff.errors import OutOfBounds, PaymentConflict, StateGarbled, Unavailable
from shroff.features.engines.online import OnlineEngine
from shroff.features.engines.online.redis import Membership, RedisEngine
from shroff.ledger import Head, Ledger
from shroff.state.arrivals import Arrivals
from shroff.state.backfill import Backfill, Tick
from shroff.state.backlog import Backlog, Numbers
from shroff.state.base import News, Seen, State
from shroff.state.mark import Mark
from shroff.state.rebuild import ensure_filled

_LOOK_SECONDS: Final = 0.1
"""Seconds between two checks whether the other processes have sent their backlogs."""
_START_PATIENCE_SECONDS: Final = 3.0
"""Seconds without a heartbeat after which a starting process takes another for dead, as its
predecessors mostly are.
"""
_RECORDING_US: Final = 10_000_000
"""For how long a result that another process has announced may be on its way to the ledger: what is
not there by then was never recorded.
"""
_log = logging.getLogger(__name__)


class SharedState:
    """State in Redis, whose order of arrivals all processes share.

    During an outage of Redis, payments are decided without features, and updates of the state wait
    in a backlog. When Redis is back, each process sends its backlog; payments have features again
    once all processes have. If another state was filled meanwhile, it knows the payments that the
    ledger had at that time.

    Args:
        numbers: of payments' records in the ledger.
        durable: the last record that this process has seen in the ledger.
        member: the name of this process among those that share states.
        destroyed: the keys of subjects that are gone by now, by a name.
    """

    def __init__(
        self,
        engine: RedisEngine,
        arrivals: Arrivals,
        numbers: Numbers,
        durable: Callable[[], Head],
        *,
        member: str,
        destroyed: str = "",
    ) -> None:
        self.engine = engine
        self.destroyed = destroyed
        self.failure: str | None = None
        self.overtaken = False
        self._arrivals = arrivals
        self._members = Membership(engine, member=member)
        self._backlog = Backlog(engine, numbers)
        self._durable = durable
        self._ledger_head: tuple[bytes, Head] | None = None

    @property
    def away(self) -> bool:
        """Whether this process has lost the state."""
        return self.failure is not None

    def ahead_of(self, ledger: Ledger) -> Head | None:
        """The record that the state knows and the ledger does not have.

        Raises:
            StateUnavailable, LedgerUnavailable: the server or the database does not answer.
        """
        vouched = Head(*self.engine.ledger_head.kept())
        held = self.engine.mark() <= ledger.head().seq and ledger.holds(vouched)
        return None if held else vouched

    def prepare(self, backfill: Backfill, *, only_empty: bool = False) -> Mark:
        """Fill the state, or wait until another process has.

        Raises:
            StateUnavailable, LedgerUnavailable: the server or the database does not answer.
            BrokenChain: the ledger was changed.
        """
        evicting = self.engine.link.evicting()
        # the mark of a state that another process fills
        mark = Mark(0, 0, shared=True, evicting=evicting)
        if only_empty and self.engine.ready():
            return mark

        def fill(tick: Tick) -> tuple[OnlineEngine, Mark]:
            nonlocal mark
            source = backfill.engine()
            mark = backfill.fill(source, tick)
            return source, mark

        known = ensure_filled(
            self.engine, fill, backfill.recent, currency=backfill.currency, tick=backfill.tick
        )
        mark = mark._replace(seq=known, arrived=0, evicting=evicting)
        newest = self.engine.newest
        # a state without payments is as new as its lateness
        return (
            mark._replace(newest=newest) if mark.shared and newest > self.engine.lateness else mark
        )

    def join(self, tick: Callable[[], None]) -> None:
        """Wait until all who share the state have sent it their backlogs.

        Args:
            tick: called meanwhile; may raise to abort.

        Raises:
            Unavailable: the server cannot be reached, or the ledger.
        """
        while True:
            self._backlog.flush()
            if self._members.heartbeat(clear=not self._backlog, patience=_START_PATIENCE_SECONDS):
                return
            tick()
            time.sleep(_LOOK_SECONDS)

    def assembled(self, before: State) -> bool:
        """Whether all who share the state `before` are about to switch to this one.

        Raises:
            Unavailable: the server cannot be reached, or the ledger.
        """
        before.beat()
        self._backlog.flush()
        self._members.heartbeat(clear=False)
        return before.sharers <= self.sharers

    def entered(self) -> bool:
        """Whether all who are about to use this state have sent it their backlogs.

        Raises:
            StateUnavailable: the server cannot be reached.
        """
        return self._members.heartbeat(clear=not self._backlog, times=1)

    @property
    def drops(self) -> int:
        """How often this process has dropped it because a key could not be read."""
        return self.engine.drops

    @property
    def sharers(self) -> frozenset[bytes]:
        """The other processes that share it."""
        return self._members.others

    def observe(self, payments: Sequence[Payment]) -> list[Seen]:
        """The features of payments, with arrivals from the state."""
        try:
            complete = self._complete()
            observed = self.engine.observe_all(payments)
            # over a new connection: other processes may know more about the outage
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
        """Let payments see a result or label; returns its arrival in the order of all processes.

        It counts before it is durable, because only the state knows what arrived before it. If the
        ledger refuses it, the client sends it again, and it counts once. Of two different results
        the state counts the first, so the ledger must not be asked for the other before it could
        have that one.
        """
        kind, value, rank, _, token = news
        send = partial(self.engine.later, payment_id, kind, value, rank=rank)
        try:
            self._complete()
            if not self._backlog:
                given = self.engine.announce(payment_id, kind, value, rank=rank, token=token)
                self._arrivals.after(abs(given))
                if given < 0:
                    return self._arrival_beside(-given)
                arrived = given if given > 1 else self._arrivals.next()
                self._backlog.note_sent(
                    payment_id, f"{kind} {token.hex()}", partial(send, arrived=arrived)
                )
                return arrived
        except Unavailable as error:
            self._lost(error)
        # the state may not know the payment yet
        arrived = self._arrivals.next()
        self._backlog.add(payment_id, partial(send, arrived=arrived))
        return arrived

    def _arrival_beside(self, standing: int) -> int:
        """The arrival of a result where the state counts another one, which arrived at `standing`.

        Raises:
            PaymentConflict: the process that announced that one may be recording it.
        """
        arrived = self._arrivals.next()
        if arrived - standing < _RECORDING_US:
            raise PaymentConflict("another result of this payment is being recorded.")
        return arrived

    def later(self, payment_id: str, news: News) -> None:
        """Nothing to do: `announce` has sent it."""

    def forget(self, payment: Payment) -> None:
        """A payment was not accepted."""
        self._backlog.withdraw_payment(payment)
        self._backlog.add(payment.id, partial(self.engine.forget, payment))
        self._flush()

    def concede(self, payment: Payment, standing: Payment | None) -> None:
        """It counts once in the shared state, whichever process sent it first; where that was this
        one with another payload than the ledger has, the ledger's takes its place.
        """
        if standing is not None:
            self.forget(payment)
            self.recount(standing)

    def recount(self, payment: Payment) -> None:
        """A payment that was to be forgotten is durable after all."""
        self._backlog.add_payment(payment)
        self._flush()

    def late(self, now: int) -> bool:
        """Whether it is late, as far as this process knows; the server decides by its own clock."""
        engine = self.engine
        return not overtaken(engine.newest - engine.lateness, now, engine.lateness)

    def beat(self) -> None:
        """Send the backlog and a heartbeat."""
        try:
            if self._steady:
                self._members.heartbeat(clear=True)
                self._keep_ledger_head()
            else:
                self._complete()
        except Unavailable as error:
            self._lost(error)

    def leave(self) -> None:
        """Leave the shared state so that other processes stop waiting for this one."""
        with suppress(Unavailable):
            self._keep_ledger_head()
            self._members.leave()

    def discard(self) -> None:
        """Remove it, after `leave`: it counts people who were forgotten."""
        try:
            self.engine.discard()
        except Unavailable as error:
            _log.warning(
                "the state before a forgetting stays until it expires: %s",
                error,
                extra={"event": "state_not_removed"},
            )
        self.engine.close()

    def _keep_ledger_head(self) -> None:
        """Keep the ledger's last known record with the state: a ledger without it is another."""
        record = self.engine.epoch, self._durable()
        if record != self._ledger_head:
            self.engine.ledger_head.keep(*record[1])
            self._ledger_head = record

    @property
    def _steady(self) -> bool:
        """Whether all updates were sent, over this connection and to this state."""
        return self.failure is None and self._members.current and self._backlog.settled

    def _complete(self) -> bool:
        """Whether the state knows all decisions by now; sends the backlog first.

        Raises:
            Unavailable: the state is away, or the ledger that says what a new state knows.
        """
        if self._steady:
            return True
        self._backlog.flush()
        if not self._members.heartbeat(clear=not self._backlog):
            self.failure = "the state has not got everything yet that was decided while it was away"
            return False
        if self.failure is not None:
            _log.warning("payments are decided with features again.", extra={"event": "state_back"})
        self.failure = None
        return True

    def _flush(self) -> None:
        """Send the backlog, unless the state is away."""
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
        self._members.lost()
