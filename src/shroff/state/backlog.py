"""The backlog of a shared state: the updates that it missed, in order, sent once it is back."""

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
"""The numbers of payments' records in the ledger, for the payments that it has."""

_MAX_UPDATES: Final = 100_000
_MAX_SENT_UPDATES: Final = 10_000
"""Sent updates that are remembered: no more can wait for the ledger at once."""
_FLUSH_UPDATES: Final = 200
"""Updates sent by one `flush`, before new payments have their turn."""
_BATCH_PAYMENTS: Final = 100
"""Payments sent in one round trip."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Update:
    """An update that the state must get about this payment; with `payment`, that it counts."""

    id: str
    send: Callable[[], object]
    payment: Payment | None = None


class Backlog:
    """Updates that a state must get, at most 100,000; beyond that the state is filled anew.

    Args:
        numbers: of payments' records in the ledger.
    """

    def __init__(self, engine: RedisEngine, numbers: Numbers) -> None:
        self._engine = engine
        self._numbers = numbers
        self._epoch = b""
        self._waiting: deque[_Update] = deque(maxlen=_MAX_UPDATES)
        self._overflowed = False
        # another state must get these, too: it may have been filled before the ledger had them
        self._sent: OrderedDict[tuple[str, str], _Update] = OrderedDict()

    def __len__(self) -> int:
        """How many updates wait."""
        return len(self._waiting)

    @property
    def settled(self) -> bool:
        """Whether no update waits, and this state got them all."""
        return not self._waiting and self._engine.epoch == self._epoch

    def add(self, payment_id: str, send: Callable[[], object]) -> None:
        """Add an update of a payment; `send` sends it."""
        self._add(_Update(payment_id, send))

    def add_payment(self, payment: Payment) -> None:
        """Add the update that a payment counts."""
        self._add(self._counting(payment))

    def note_sent(self, payment_id: str, what: str, send: Callable[[], object]) -> None:
        """Note that the state got an update of a payment before the ledger has it."""
        self._remember(what, _Update(payment_id, send))

    def note_sent_payment(self, payment: Payment) -> None:
        """Note that the state counts a payment before the ledger has it."""
        self._remember("", self._counting(payment))

    def withdraw_payment(self, payment: Payment) -> None:
        """Note that a payment does not count."""
        self._sent.pop((payment.id, ""), None)

    def flush(self) -> None:
        """Send the waiting updates, or the first of them if they are many.

        Raises:
            StateUnavailable: it is away.
            LedgerUnavailable: the state was replaced, and the ledger cannot say with what it was
                filled.
        """
        self._engine.require_ready()
        if self._engine.epoch != self._epoch:
            self._turn_to_another()
        if self._overflowed:
            self._engine.invalidate()
            raise StateUnavailable("the state was away for too long: it has to be filled anew.")
        left = _FLUSH_UPDATES
        while self._waiting and left > 0:
            left -= self._send_first()

    def _send_first(self) -> int:
        """Send the first update, or a batch of payments; returns how many updates that were."""
        first = takewhile(
            lambda update: update.payment is not None, islice(self._waiting, _BATCH_PAYMENTS)
        )
        payments = [update.payment for update in first if update.payment is not None]
        if payments:
            self._engine.observe_all(payments)
        else:
            self._waiting[0].send()
        count = len(payments) or 1
        for _ in range(count):
            self._waiting.popleft()
        return count

    def _turn_to_another(self) -> None:
        """Queue the updates that the ledger did not have when another state was filled from it."""
        mark = self._engine.mark()
        known = [*self._sent.values(), *self._waiting]
        numbers = self._numbers([update.id for update in known if update.payment is not None])
        missing = [
            one for one in known if one.payment is None or numbers.get(one.id, mark + 1) > mark
        ]
        # what was dropped came before all that waits
        first = next((numbers[one.id] for one in self._waiting if one.id in numbers), mark + 1)
        self._overflowed = (self._overflowed and first > mark) or len(missing) > _MAX_UPDATES
        self._waiting = deque(missing, maxlen=_MAX_UPDATES)
        self._sent.clear()
        self._epoch = self._engine.epoch

    def _remember(self, what: str, update: _Update) -> None:
        self._sent[update.id, what] = update
        if len(self._sent) > _MAX_SENT_UPDATES:
            self._sent.popitem(last=False)

    def _counting(self, payment: Payment) -> _Update:
        return _Update(payment.id, partial(self._engine.observe_all, [payment]), payment)

    def _add(self, update: _Update) -> None:
        if len(self._waiting) == _MAX_UPDATES:
            if not self._overflowed:
                _log.warning(
                    "the state has been away for long: it will be filled anew from the ledger."
                )
            # the ledger has the updates that are dropped
            self._overflowed = True
        self._waiting.append(update)
