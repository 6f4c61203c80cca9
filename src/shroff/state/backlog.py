"""The backlog of a shared state: what it missed while it was away, kept in order and sent as soon as it is back."""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, takewhile
from typing import Final

from shroff.collect import Payment
from shroff.errors import StateUnavailable
from shroff.features.engines.online.redis import RedisEngine

Numbers = Callable[[Sequence[str]], Mapping[str, int]]
"""The numbers of payments' records in the ledger, of those that it has."""

_MOST: Final = 100_000
_TOLD: Final = 10_000
"""So many messages to the state are remembered: no more can wait for the ledger at once."""
_AT_ONCE: Final = 200
"""So many messages are sent before new payments have their turn."""
_BATCH_PAYMENTS: Final = 100
"""Payments told in one round trip."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Owed:
    """What the state should be told of a payment, whose id this is: with `payment`, that it counts."""

    id: str
    tell: Callable[[], object]
    payment: Payment | None = None


class Backlog:
    """What is owed to a state, at most 100,000 payments and events: if it is more, the state has to be filled anew.

    Args:
        numbers: of payments' records in the ledger.
    """

    def __init__(self, engine: RedisEngine, numbers: Numbers) -> None:
        self._engine = engine
        self._numbers = numbers
        self._epoch = b""
        self._owed: deque[_Owed] = deque(maxlen=_MOST)
        self._forgone = False
        # what another state must be sent again: the ledger may not have had it yet when that state was filled
        self._told: OrderedDict[tuple[str, str], _Owed] = OrderedDict()

    def __len__(self) -> int:
        """How much is owed."""
        return len(self._owed)

    @property
    def settled(self) -> bool:
        """Whether nothing is owed, and the state is the one that was told."""
        return not self._owed and self._engine.epoch == self._epoch

    def owe(self, payment_id: str, tell: Callable[[], object]) -> None:
        """The state should be told something of a payment."""
        self._owe(_Owed(payment_id, tell))

    def owe_payment(self, payment: Payment) -> None:
        """The state should be told that a payment counts."""
        self._owe(self._counting(payment))

    def told(self, payment_id: str, what: str, tell: Callable[[], object]) -> None:
        """The state was told something of a payment, before the ledger has it."""
        self._remember(what, _Owed(payment_id, tell))

    def told_payment(self, payment: Payment) -> None:
        """The state was told that a payment counts, before the ledger has it."""
        self._remember("", self._counting(payment))

    def untold_payment(self, payment: Payment) -> None:
        """A payment is not to count."""
        self._told.pop((payment.id, ""), None)

    def pay(self) -> None:
        """Tell the state what it is owed, or some of it where that is much.

        Raises:
            StateUnavailable: it is away.
            LedgerUnavailable: the state is another one, and the ledger cannot say what it was filled with.
        """
        self._engine.require_ready()
        if self._engine.epoch != self._epoch:
            self._owe_another()
        if self._forgone:
            self._engine.renounce()
            raise StateUnavailable("the state was away for too long: it has to be filled anew.")
        left = _AT_ONCE
        while self._owed and left > 0:
            left -= self._pay_some()

    def _pay_some(self) -> int:
        """Tell the state what it is owed first; how much that was."""
        first = takewhile(lambda owed: owed.payment is not None, islice(self._owed, _BATCH_PAYMENTS))
        payments = [owed.payment for owed in first if owed.payment is not None]
        if payments:
            self._engine.observe_all(payments)
        else:
            self._owed[0].tell()
        paid = len(payments) or 1
        for _ in range(paid):
            self._owed.popleft()
        return paid

    def _owe_another(self) -> None:
        """The state is another one: it is owed what is known here and was not in the ledger when it was filled."""
        mark = self._engine.mark()
        every = [*self._told.values(), *self._owed]
        numbers = self._numbers([owed.id for owed in every if owed.payment is not None])
        missing = [owed for owed in every if owed.payment is None or numbers.get(owed.id, mark + 1) > mark]
        self._owed = deque(missing, maxlen=_MOST)
        self._told.clear()
        self._forgone = False
        self._epoch = self._engine.epoch

    def _remember(self, what: str, told: _Owed) -> None:
        self._told[told.id, what] = told
        if len(self._told) > _TOLD:
            self._told.popitem(last=False)

    def _counting(self, payment: Payment) -> _Owed:
        return _Owed(payment.id, partial(self._engine.observe_all, [payment]), payment)

    def _owe(self, owed: _Owed) -> None:
        if len(self._owed) == _MOST:
            if not self._forgone:
                _log.warning("the state has been away for long: it will be filled anew from the ledger.")
            # the ledger has what is dropped
            self._forgone = True
        self._owed.append(owed)
