"""Payments whose result or label may still come."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.features.streams import Later

KeptPayment = tuple[int, int, *tuple[Value, ...]]
"""What is kept of a payment: its time, its amount in units, and its values in some columns."""


class Notice(NamedTuple):
    """A result or a label, as it was reported.

    Of several labels the one of the lowest `rank` stands, within a rank the one that `arrived`
    last, in whatever order they come: so a repeated label changes nothing.
    """

    value: Value
    rank: int = 0
    arrived: int = 0

    def supersedes(self, other: Notice) -> bool:
        """Whether this one stands, of two."""
        return (self.rank, -self.arrived) <= (other.rank, -other.arrived)


class Pending(NamedTuple):
    """A payment, as far as it is kept, and its later events so far."""

    payment: Payment
    known: Mapping[Later, Notice]


class Change(NamedTuple):
    """What is known of a payment now, and what was before."""

    payment: Payment
    known: Mapping[Later, Value]
    before: Mapping[Later, Value]


class PendingPayments:
    """Payments by id, oldest first, each with its values in these columns."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = columns
        self._held: OrderedDict[str, KeptPayment] = OrderedDict()
        self._known: dict[str, dict[Later, Notice]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Pending]:
        return (
            Pending(self._payment(*item), self._known.get(item[0], {}))
            for item in self._held.items()
        )

    def put(self, payment: Payment, limit: int, newest: int) -> None:
        """Keep a payment, and drop those up to `limit`; one after `newest` blocks no others."""
        held = self._held
        held[payment.id] = (payment.time, payment.units, *map(payment.values.get, self.columns))
        while (oldest := next(iter(held.values()))[0]) <= limit:
            self._known.pop(held.popitem(last=False)[0], None)
            if not held:
                return
        if oldest > newest:
            held.move_to_end(next(iter(held)))

    def fill(
        self,
        ids: Sequence[str],
        payments: Iterable[KeptPayment],
        known: Mapping[str, dict[Later, Notice]],
    ) -> None:
        """Keep payments, oldest first, with what is known of some."""
        self._held.update(zip(ids, payments, strict=True))
        self._known.update(known)

    def drop(self, payment_id: str) -> None:
        """Drop a payment."""
        self._held.pop(payment_id, None)
        self._known.pop(payment_id, None)

    def tell(self, payment_id: str, event: Later, word: Notice) -> Change | None:
        """Keep a payment's result or label where it stands; returns what that changes, if anything.

        The first result stands; of labels see `Notice`.
        """
        known = self._known.setdefault(payment_id, {})
        before = known.get(event)
        if before is not None and (event == "result" or not word.supersedes(before)):
            return None
        said = _values(known)
        known[event] = word
        if before is not None and before.value == word.value:
            return None
        return Change(self._payment(payment_id, self._held[payment_id]), _values(known), said)

    def __contains__(self, payment_id: str) -> bool:
        return payment_id in self._held

    @property
    def names(self) -> Iterable[str]:
        """The ids of the payments, oldest first."""
        return self._held.keys()

    def pack(self, names: Iterable[str]) -> list[tuple[str, KeptPayment, dict[Later, Notice]]]:
        """Some of them as MessagePack values, which no later event changes."""
        held, known = self._held, self._known
        return [(name, held[name], dict(known.get(name, ()))) for name in names if name in held]

    def unpack(self, packed: Sequence[tuple[str, Sequence[Value], dict[Later, Notice]]]) -> None:
        """Add what was packed."""
        self._held.update((name, tuple(held)) for name, held, _ in packed)  # type: ignore[misc]  # it was one
        self._known.update((name, known) for name, _, known in packed if known)

    def clear(self) -> None:
        """Drop all payments."""
        self._held.clear()
        self._known.clear()

    def _payment(self, payment_id: str, held: KeptPayment) -> Payment:
        time, units, *values = held
        return Payment(payment_id, time, 0, 0, units, dict(zip(self.columns, values, strict=True)))


def _values(known: Mapping[Later, Notice]) -> dict[Later, Value]:
    return {event: word.value for event, word in known.items()}
