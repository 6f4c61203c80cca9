"""Many payments that await a result or a label, packed: 30 bytes and its id instead of 400 each."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

import numpy as np

from shroff.collect.payment import Value
from shroff.features.engines.online.amounts import narrow
from shroff.features.engines.online.hex_texts import halved
from shroff.features.engines.online.shared_names import NAMES

KeptPayment = tuple[int, int, *tuple[Value, ...]]
"""What is kept of a payment: its time, its amount in units, and its values in some columns."""

_HASH_BITS: Final = 0xFFFF_FFFF
_MAX_SHORT: Final = 1 << 16
"""So many places or names are told apart by two bytes."""


class NameCodes(Sequence[Value]):
    """Names of which many are equal: each once, and two bytes for each place."""

    __slots__ = ("_codes", "_names")

    def __init__(self, names: Sequence[str | None], values: Sequence[Value]) -> None:
        places = {name: place for place, name in enumerate(names)}
        self._names = names
        self._codes = array("H", [places[value] for value in values])  # type: ignore[index]  # a name

    def __len__(self) -> int:
        return len(self._codes)

    def __getitem__(self, place: Any) -> Any:
        return self._names[self._codes[place]]


def _names(values: Sequence[Value]) -> Sequence[Value]:
    """Values of a column as those that all share: as codes, where that is shorter."""
    # numbers that are equal may differ in type
    if all(value is None or value.__class__ is str for value in values):
        names = NAMES.all(dict.fromkeys(values))
        if 8 * len(names) < 6 * len(values) and len(names) <= _MAX_SHORT:
            return NameCodes(tuple(names), values)  # type: ignore[arg-type]  # texts and None
    return tuple(NAMES.all(values))


class PendingBlock:
    """Payments, at least one, in their order; they leave it from the front, or by `drop`.

    A payment is found by bisection of its id's hash; its values are those that timelines share.
    """

    __slots__ = ("_columns", "_dropped", "_hashes", "_ids", "_places", "_starts", "_times", "first")

    def __init__(self, held: Mapping[str, KeptPayment]) -> None:
        hashes = np.fromiter(map(hash, held), np.int64, len(held)).astype(np.uint32)
        order = np.argsort(hashes)
        self._hashes = array("I", hashes[order].tobytes())
        self._places = array("I", order.astype(np.uint32).tobytes())
        if len(held) <= _MAX_SHORT:
            self._places = array("H", self._places)
        ids = "".join(held)
        width = len(ids) // len(held)
        if width and all(len(name) == width for name in held):
            self._ids: str | bytes = ids if width % 2 else halved(ids)
            self._starts: Sequence[int] = range(0, len(ids) + 1, width)
        else:
            self._ids = ids
            self._starts = array("I", accumulate(map(len, held), initial=0))
        times, units, *columns = zip(*held.values(), strict=True)
        self._times: array[int] = array("q", times)
        self._columns: list[Sequence[Value]] = [self._times, narrow(units)]
        self._columns += [_names(values) for values in columns]
        self._dropped: set[int] = set()
        self.first = 0
        """The place of the first payment that is still there; the number of places if none is."""

    def __len__(self) -> int:
        return len(self._places) - self.first - len(self._dropped)

    def find(self, payment_id: str) -> int | None:
        """The place of a payment, if it is there."""
        hashes, hashed = self._hashes, hash(payment_id) & _HASH_BITS
        at = bisect_left(hashes, hashed)
        while at < len(hashes) and hashes[at] == hashed:
            place = self._places[at]
            if self._there(place) and self.name(place) == payment_id:
                return place
            at += 1
        return None

    def name(self, place: int) -> str:
        """The id of a payment."""
        low, high = self._starts[place], self._starts[place + 1]
        ids = self._ids
        return ids[low:high] if isinstance(ids, str) else ids[low // 2 : high // 2].hex()

    @property
    def oldest(self) -> int:
        """The time of the first payment."""
        return self._times[self.first]

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

    def drop_until(self, limit: int) -> list[int]:
        """Drop payments from the front as long as they are not later than `limit`; their places."""
        dropped, times, gone, place = list[int](), self._times, self._dropped, self.first
        while place < len(times) and (place in gone or times[place] <= limit):
            if place in gone:
                gone.discard(place)
            else:
                dropped.append(place)
            place += 1
        self.first = place
        return dropped

    def places(self) -> Iterable[int]:
        """The places of the payments that are there."""
        return filter(self._there, range(self.first, len(self._places)))

    def __iter__(self) -> Iterator[tuple[str, KeptPayment]]:
        return ((self.name(place), self.kept(place)) for place in self.places())

    def _there(self, place: int) -> bool:
        return place >= self.first and place not in self._dropped
