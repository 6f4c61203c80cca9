"""Payments whose result or label may still come."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Final, NamedTuple

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.features.engines.online.pending_block import KeptPayment, PendingBlock
from shroff.features.streams import Later
from shroff.features.window import END_OF_TIME_US

_BLOCK_PAYMENTS: Final = 1_024
_MAX_BLOCK_PAYMENTS: Final = 32_768
"""Packing so many takes 20 milliseconds, in which no payment is decided."""
_FEW_BLOCKS: Final = 32
_LOOK_PAYMENTS: Final = 128
"""Old payments are dropped once in so many, in 0.2 ms: one by one they take twice as long."""


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


PackedPayment = tuple[str, KeptPayment, dict[Later, Notice]]
"""A payment by its id: what is kept of it, and what is known."""


class Change(NamedTuple):
    """What is known of a payment now, and what was before."""

    payment: Payment
    known: Mapping[Later, Value]
    before: Mapping[Later, Value]


class PendingPayments:
    """Payments by id, oldest first, each with its values in these columns.

    The latest are a dictionary; the others are packed in blocks, of which there are some dozens.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = columns
        self._latest: dict[str, KeptPayment] = {}
        self._blocks: deque[PendingBlock] = deque()
        self._packed = 0
        self._known: dict[str, dict[Later, Notice]] = {}
        self._limit, self._newest = -1, END_OF_TIME_US

    def __len__(self) -> int:
        self._drop_old()
        return self._packed + len(self._latest)

    def __iter__(self) -> Iterator[Pending]:
        self._drop_old()
        return (
            Pending(self._payment(*item), self._known.get(item[0], {}))
            for item in chain(*self._blocks, self._latest.items())
        )

    def put(self, payment: Payment, limit: int, newest: int) -> None:
        """Keep a payment, and drop those up to `limit`; one after `newest` blocks no others."""
        latest = self._latest
        latest[payment.id] = (payment.time, payment.units, *map(payment.values.get, self.columns))
        # who asks drops them first
        self._limit, self._newest = limit, newest
        if len(latest) % _LOOK_PAYMENTS == 0:
            self._pack_if_many()

    def fill(
        self,
        ids: Sequence[str],
        payments: Iterable[KeptPayment],
        known: Mapping[str, dict[Later, Notice]],
    ) -> None:
        """Keep payments, oldest first, with what is known of some."""
        for name, kept in zip(ids, payments, strict=True):
            self._latest[name] = kept
            if len(self._latest) % _LOOK_PAYMENTS == 0:
                self._pack_if_many()
        self._known.update(known)

    def drop(self, payment_id: str) -> None:
        """Drop a payment."""
        self._known.pop(payment_id, None)
        if self._latest.pop(payment_id, None) is None and (found := self._find(payment_id)):
            block, place = found
            block.drop(place)
            self._packed -= 1

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
        return Change(self._payment(payment_id, self._kept(payment_id)), _values(known), said)

    def __contains__(self, payment_id: str) -> bool:
        self._drop_old()
        return payment_id in self._latest or self._find(payment_id) is not None

    def pack(self, size: int) -> Iterator[list[PackedPayment]]:
        """The payments in stretches, as MessagePack values, which no later event changes.

        Between two of them payments may be put; those may be packed too.
        """
        known, each = self._known, self._each()
        while some := list(islice(each, size)):
            yield [(name, kept, dict(known.get(name, ()))) for name, kept in some]

    def _each(self) -> Iterator[tuple[str, KeptPayment]]:
        """The payments, also those that move to a later block meanwhile."""
        self._drop_old()
        self._pack()
        done: set[PendingBlock] = set()
        while block := next((one for one in self._blocks if one not in done), None):
            done.add(block)
            yield from block
        yield from list(self._latest.items())

    def unpack(self, packed: Sequence[PackedPayment]) -> None:
        """Add what was packed."""
        self.fill(
            [name for name, _, _ in packed],
            (kept for _, kept, _ in packed),
            {name: known for name, _, known in packed if known},
        )

    def clear(self) -> None:
        """Drop all payments."""
        self._latest.clear()
        self._blocks.clear()
        self._known.clear()
        self._packed, self._limit, self._newest = 0, -1, END_OF_TIME_US

    def _find(self, payment_id: str) -> tuple[PendingBlock, int] | None:
        """Where a packed payment is; most that are asked for are of the last minutes."""
        for block in reversed(self._blocks):
            if (place := block.find(payment_id)) is not None:
                return block, place
        return None

    def _kept(self, payment_id: str) -> KeptPayment:
        kept = self._latest.get(payment_id)
        if kept is not None:
            return kept
        found = self._find(payment_id)
        if found is None:
            raise KeyError("expected a payment that waits.")
        return found[0].kept(found[1])

    def _pack_if_many(self) -> None:
        """Pack the latest payments once they are a fair share of all: so blocks stay few."""
        if len(self._latest) < _BLOCK_PAYMENTS:
            return
        self._drop_old()
        if len(self._latest) >= min(self._packed // _FEW_BLOCKS, _MAX_BLOCK_PAYMENTS):
            self._pack()

    def _pack(self) -> None:
        if self._latest:
            self._blocks.append(PendingBlock(self._latest))
            self._packed += len(self._latest)
            self._latest.clear()

    def _front(self) -> PendingBlock | None:
        """The block that begins with the oldest payment."""
        blocks = self._blocks
        while blocks and not blocks[0]:
            blocks.popleft()
        if not blocks:
            self._pack()
        return blocks[0] if blocks else None

    def _drop_old(self) -> None:
        """Drop the oldest payments, up to the limit; those from the future go behind all others."""
        future: dict[str, KeptPayment] = {}
        while (block := self._front()) is not None:
            first = block.first
            if block.oldest > self._newest:
                future[block.name(first)] = block.kept(first)
                block.drop(first)
                self._packed -= 1
                continue
            dropped = block.drop_until(self._limit)
            if not dropped:
                break
            self._packed -= len(dropped)
            if self._known:
                for place in dropped:
                    self._known.pop(block.name(place), None)
        self._latest |= future

    def _payment(self, payment_id: str, held: KeptPayment) -> Payment:
        time, units, *values = held
        return Payment(payment_id, time, 0, 0, units, dict(zip(self.columns, values, strict=True)))


def _values(known: Mapping[Later, Notice]) -> dict[Later, Value]:
    return {event: word.value for event, word in known.items()}
