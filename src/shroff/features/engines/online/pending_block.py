"""Many payments that await a result or a label, packed: 50 bytes and its id instead of 400 each."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

import numpy as np

from shroff.collect.payment import Value
from shroff.features.engines.online.shared_names import NAMES

KeptPayment = tuple[int, int, *tuple[Value, ...]]
"""What is kept of a payment: its time, its amount in units, and its values in some columns."""


class PendingBlock:
    """Payments in their order; they leave it from the front, or by `drop`.

    A payment is found by bisection of its id's hash; its values are those that timelines share.
    """

    __slots__ = ("_columns", "_dropped", "_hashes", "_ids", "_places", "_starts", "first")

    def __init__(self, held: Mapping[str, KeptPayment]) -> None:
        hashes = np.fromiter(map(hash, held), np.int64, len(held))
        order = np.argsort(hashes)
        self._hashes = array("q", hashes[order].tobytes())
        self._places = array("I", order.astype(np.uint32).tobytes())
        self._ids = "".join(held)
        self._starts = array("I", accumulate(map(len, held), initial=0))
        times, units, *columns = zip(*held.values(), strict=True)
        self._columns: list[Sequence[Value]] = [array("q", times), array("q", units)]
        self._columns += [tuple(NAMES.all(values)) for values in columns]
        self._dropped: set[int] = set()
        self.first = 0
        """The place of the first payment that is still there; the number of places if none is."""

    def __len__(self) -> int:
        return len(self._places) - self.first - len(self._dropped)

    def find(self, payment_id: str) -> int | None:
        """The place of a payment, if it is there."""
        hashes, hashed = self._hashes, hash(payment_id)
        at = bisect_left(hashes, hashed)
        while at < len(hashes) and hashes[at] == hashed:
            place = self._places[at]
            if self._there(place) and self.name(place) == payment_id:
                return place
            at += 1
        return None

    def name(self, place: int) -> str:
        """The id of a payment."""
        return self._ids[self._starts[place] : self._starts[place + 1]]

    @property
    def oldest(self) -> int:
        """The time of the first payment."""
        return self._columns[0][self.first]  # type: ignore[return-value]  # times are whole numbers

    def kept(self, place: int) -> KeptPayment:
        """What is kept of a payment."""
        return tuple([column[place] for column in self._columns])  # type: ignore[return-value]  # it was one

    def drop(self, place: int) -> None:
        """Drop a payment."""
        if place != self.first:
            self._dropped.add(place)
            return
        self.first += 1
        while self.first in self._dropped:
            self._dropped.discard(self.first)
            self.first += 1

    def places(self) -> Iterable[int]:
        """The places of the payments that are there."""
        return filter(self._there, range(self.first, len(self._places)))

    def __iter__(self) -> Iterator[tuple[str, KeptPayment]]:
        return ((self.name(place), self.kept(place)) for place in self.places())

    def _there(self, place: int) -> bool:
        return place >= self.first and place not in self._dropped
