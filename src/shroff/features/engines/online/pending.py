"""Payments whose result or label may still come."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.features.plan import Later

Held = tuple[int, int, *tuple[Value, ...]]
"""What is kept of a payment: its time, its amount in units, and what it says in some columns."""


class Word(NamedTuple):
    """What a result or a label says.

    Of several labels that of the lowest `rank` stands, and of one rank the one that `arrived` last,
    in whatever order they are told: so what is told again changes nothing.
    """

    value: Value
    rank: int = 0
    arrived: int = 0

    def outdoes(self, other: Word) -> bool:
        """Whether this stands, of two."""
        return (self.rank, -self.arrived) <= (other.rank, -other.arrived)


class Pending(NamedTuple):
    """A payment, as far as it is kept, and what the later events of it say that have come."""

    payment: Payment
    known: Mapping[Later, Word]


class Change(NamedTuple):
    """What is known of a payment now, and what was before."""

    payment: Payment
    known: Mapping[Later, Value]
    before: Mapping[Later, Value]


class Pendings:
    """Payments by their id, oldest first, each with what it says in these columns."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._known: dict[str, dict[Later, Word]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Pending]:
        return (
            Pending(self._payment(*item), self._known.get(item[0], {}))
            for item in self._held.items()
        )

    def put(self, payment: Payment, limit: int, newest: int) -> None:
        """Keep a payment, and let those go that are not later than `limit`; none waits for one
        later than `newest`.
        """
        held = self._held
        held[payment.id] = (payment.time, payment.units, *map(payment.values.get, self._columns))
        while (oldest := next(iter(held.values()))[0]) <= limit:
            self._known.pop(held.popitem(last=False)[0], None)
            if not held:
                return
        if oldest > newest:
            held.move_to_end(next(iter(held)))

    def drop(self, payment_id: str) -> None:
        """Let a payment go."""
        self._held.pop(payment_id, None)
        self._known.pop(payment_id, None)

    def tell(self, payment_id: str, event: Later, word: Word) -> Change | None:
        """Keep what a payment's result or label is, where it stands; what that changes.

        The first result stands; of labels see `Word`.
        """
        known = self._known.setdefault(payment_id, {})
        before = known.get(event)
        if before is not None and (event == "result" or not word.outdoes(before)):
            return None
        said = _values(known)
        known[event] = word
        if before is not None and before.value == word.value:
            return None
        return Change(self._payment(payment_id, self._held[payment_id]), _values(known), said)

    def __contains__(self, payment_id: str) -> bool:
        return payment_id in self._held

    def pack(self) -> list[tuple[str, Held, dict[Later, Word]]]:
        """All of them as what MessagePack knows."""
        return [(name, held, self._known.get(name, {})) for name, held in self._held.items()]

    def unpack(self, packed: Sequence[tuple[str, Sequence[Value], dict[Later, Word]]]) -> None:
        """Become what was packed."""
        self._held = OrderedDict((name, tuple(held)) for name, held, _ in packed)  # type: ignore[misc]  # it was one
        self._known = {name: known for name, _, known in packed if known}

    def _payment(self, payment_id: str, held: Held) -> Payment:
        time, units, *values = held
        return Payment(payment_id, time, 0, 0, units, dict(zip(self._columns, values, strict=True)))


def _values(known: Mapping[Later, Word]) -> dict[Later, Value]:
    return {event: word.value for event, word in known.items()}
