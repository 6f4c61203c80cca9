"""The state that payments are judged by and extend: of this process alone, or shared by several through Redis."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Final, Protocol

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.errors import BadPayment, StateUnavailable, Unavailable
from shroff.features.engines.online import OnlineEngine
from shroff.features.engines.online.redis import RedisEngine, claim
from shroff.features.plan import Later
from shroff.serve.clock import Arrivals
from shroff.serve.rebuild import Mark, Read, replay

Seen = dict[str, Value] | Exception | None
"""What became of a payment: its features, why it is refused, or None while there is no state to ask."""

_MOST_OWED: Final = 100_000
_PATIENCE: Final = 0.2
"""Seconds between two looks at a state that another process fills."""
_HOLD: Final = 10_000
"""Records after which a claim is renewed."""
_log = logging.getLogger("shroff.serve")


@dataclass(frozen=True, slots=True)
class _Owed:
    """What the state should have been told of a payment; `counts` when that lets the payment count."""

    payment: str
    call: Callable[[], object]
    counts: bool = False


class State(Protocol):
    """What the sequencer asks of a state."""

    @property
    def engine(self) -> OnlineEngine | RedisEngine:
        """What computes."""

    @property
    def failure(self) -> str | None:
        """Why payments are decided without features now; None while they are not."""

    def observe(self, payments: Sequence[Payment]) -> list[Seen]:
        """What payments that wait together see, and their arrivals set; from now on later payments see them.

        Either all are None, or none is.
        """

    def announce(self, payment_id: str, event: Later, value: Value) -> int:
        """A payment's result or label is about to be recorded: its arrival, 0 where the state gives none."""

    def later(self, payment_id: str, event: Later, value: Value) -> None:
        """A payment's result or label is durable."""

    def forget(self, payment: Payment) -> None:
        """A payment came to nothing."""

    def concede(self, payment: Payment) -> None:
        """A payment was decided by another process first."""

    def recount(self, payment: Payment) -> None:
        """A payment that was to be forgotten is durable after all."""


class LocalState:
    """State in the memory of this process: always there."""

    failure = None

    def __init__(self, engine: OnlineEngine, arrivals: Arrivals) -> None:
        self.engine = engine
        self._arrivals = arrivals

    def observe(self, payments: Sequence[Payment]) -> list[Seen]:
        """What payments see, each with the arrival that comes next."""
        return [self._one(payment) for payment in payments]

    def _one(self, payment: Payment) -> Seen:
        payment.arrived = self._arrivals.next()
        try:
            return self.engine.observe(payment)
        except Exception as error:  # noqa: BLE001  # one payment must not take its neighbours with it
            return error

    def announce(self, payment_id: str, event: Later, value: Value) -> int:
        """Nothing yet: a result or label counts when it is durable."""
        return 0

    def later(self, payment_id: str, event: Later, value: Value) -> None:
        """A payment's result or label is durable."""
        self.engine.later(payment_id, event, value)

    def forget(self, payment: Payment) -> None:
        """A payment came to nothing."""
        self.engine.forget(payment)

    def concede(self, payment: Payment) -> None:
        """A payment was decided by another process first, whose state it is in."""
        self.forget(payment)

    def recount(self, payment: Payment) -> None:
        """A payment that was to be forgotten is durable after all: it counts with the arrival it had."""
        self.engine.observe(payment)


class SharedState:
    """State in Redis, whose order of arrivals is everybody's.

    While it is away, payments are decided without features, and what it should have been told is owed to it: told
    first when it is back. If it came back as another, it knows the payments that the ledger had when it was filled.

    Args:
        number: of a payment's record in the ledger, None when it has none.
    """

    def __init__(self, engine: RedisEngine, arrivals: Arrivals, number: Callable[[str], int | None]) -> None:
        self.engine = engine
        self._number = number
        self.failure: str | None = None
        self._arrivals = arrivals
        self._epoch = b""
        self._owed: deque[_Owed] = deque(maxlen=_MOST_OWED)

    def observe(self, payments: Sequence[Payment]) -> list[Seen]:
        """What payments see, with the arrivals that the state gave them."""
        try:
            self._pay()
            observed = self.engine.observe_all(payments)
        except Unavailable as error:
            self._lost(error)
            for payment in payments:
                payment.arrived = self._arrivals.next()
                self._owe(self._counting(payment))
            return [None] * len(payments)
        self.failure, self._epoch = None, self.engine.epoch
        seen: list[Seen] = []
        for payment, one in zip(payments, observed, strict=True):
            payment.arrived = one.arrived
            self._arrivals.after(one.arrived)
            seen.append(BadPayment(self.engine.too_late) if one.features is None else one.features)
        return seen

    def announce(self, payment_id: str, event: Later, value: Value) -> int:
        """Let payments see a result or label, and say when it arrived in the order that all processes share.

        It counts before it is durable, because only the state can say what came before it. Should the ledger refuse
        it, whoever sent it sends it again, and it counts once.
        """
        try:
            self._pay()
            arrived = self.engine.announce(payment_id, event, value)
        except Unavailable as error:
            self._lost(error)
            self._owe(_Owed(payment_id, partial(self.engine.later, payment_id, event, value)))
            return 0
        self._arrivals.after(arrived)
        return arrived if arrived > 1 else 0

    def later(self, payment_id: str, event: Later, value: Value) -> None:
        """Nothing any more: the state was told before."""

    def forget(self, payment: Payment) -> None:
        """A payment came to nothing."""
        self._tell(_Owed(payment.id, partial(self.engine.forget, payment)))

    def concede(self, payment: Payment) -> None:
        """Nothing: it counts once in the state they share, whoever told it first."""

    def recount(self, payment: Payment) -> None:
        """A payment that was to be forgotten is durable after all."""
        self._tell(self._counting(payment))

    def _counting(self, payment: Payment) -> _Owed:
        return _Owed(payment.id, partial(self.engine.observe_all, [payment]), counts=True)

    def _tell(self, owed: _Owed) -> None:
        """Tell the state now, or as soon as it is there."""
        try:
            self._pay()
            owed.call()
        except Unavailable as error:
            self._lost(error)
            self._owe(owed)

    def _pay(self) -> None:
        """Tell the state what it is owed."""
        if not self._owed:
            return
        if not self.engine.ready():
            raise StateUnavailable("the state is not there: it is being rebuilt, or waits to be.")
        if self.engine.epoch != self._epoch:
            mark = self.engine.mark()
            self._owed = deque((owed for owed in self._owed if not self._was_filled_in(owed, mark)), maxlen=_MOST_OWED)
            self._epoch = self.engine.epoch
        while self._owed:
            self._owed[0].call()
            self._owed.popleft()

    def _was_filled_in(self, owed: _Owed, mark: int) -> bool:
        number = self._number(owed.payment) if owed.counts else None
        return number is not None and number <= mark

    def _owe(self, owed: _Owed) -> None:
        if len(self._owed) == _MOST_OWED:
            _log.warning("the state has been away for long: what it should have been told first is given up.")
        self._owed.append(owed)

    def _lost(self, error: Unavailable) -> None:
        if self.failure is None:
            _log.warning("payments are decided without features: %s", error)
        self.failure = str(error)


Fill = Callable[[Callable[[], None]], tuple[OnlineEngine, Mark]]
"""Makes an engine in memory that knows history and ledger; is given what it should call all the while."""


def ensure_filled(engine: RedisEngine, fill: Fill, read: Read) -> int:
    """Let there be a state: fill it, or wait until another process has; how far it knows the ledger.

    Args:
        engine: used by nobody else meanwhile.

    Raises:
        StateUnavailable: the server cannot be reached.
    """
    while not engine.ready():
        filling = claim(engine)
        if filling is None:
            time.sleep(_PATIENCE)
        else:
            source, mark = fill(_every(_HOLD, filling.hold))
            filling.pour(source)
            if filling.open(mark=mark.seq):
                _log.warning("the state was filled from the ledger up to record %d.", mark.seq)
    known = engine.mark()
    # what came while it was filled; what is there already counts once
    return max(known, replay(engine, read(known)).seq)


def _every(times: int, call: Callable[[], None]) -> Callable[[], None]:
    """A function that calls another every so many times."""
    turns = count(1)
    return lambda: call() if next(turns) % times == 0 else None
