"""What the ledger certainly has not: most look-ups are for events that are new."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from shroff.serve.ledger.record import Kind

_BITS: Final = 16  # for each id
_PROBES: Final = 4
_FIRST: Final = 1 << 18  # ids in the first filter


class _Filter:
    """A Bloom filter for `capacity` ids: 16 bits and 4 probes each let 2 of 1,000 unknown ids pass.

    Bloom, Space/Time Trade-offs in Hash Coding with Allowable Errors, 1970; two hashes make all probes: Kirsch and
    Mitzenmacher, Less Hashing, Same Performance, 2006.
    """

    def __init__(self, capacity: int) -> None:
        self.left = capacity
        self._bits = bytearray(capacity * _BITS // 8)
        self._size = capacity * _BITS

    def add(self, hashed: int) -> None:
        bits, size, step = self._bits, self._size, hashed >> 32 | 1
        for _ in range(_PROBES):
            at = hashed % size
            bits[at >> 3] |= 1 << (at & 7)
            hashed += step
        self.left -= 1

    def has(self, hashed: int) -> bool:
        bits, size, step = self._bits, self._size, hashed >> 32 | 1
        for _ in range(_PROBES):
            at = hashed % size
            if not bits[at >> 3] >> (at & 7) & 1:
                return False
            hashed += step
        return True


def seen_as(payment_id: str, kind: Kind) -> str:
    """What an event is known by: a payment by its id alone, which costs nothing.

    >>> seen_as("p1", "payment"), seen_as("p1", "label")
    ('p1', 'label p1')
    """
    return payment_id if kind == "payment" else f"{kind} {payment_id}"


class Seen:
    """Every id ever added, and a few more: says "no" only where it is sure. 2 to 6 bytes an id.

    >>> seen = Seen(["p1"])
    >>> seen.may_have("p1"), seen.may_have("p2")
    (True, False)
    """

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._filters = [_Filter(_FIRST)]
        for identifier in ids:
            self.add(identifier)

    def add(self, identifier: str) -> None:
        """Remember an id."""
        if not self._filters[-1].left:
            # each filter holds twice as many, so few have to be asked
            self._filters.append(_Filter(_FIRST << len(self._filters)))
        self._filters[-1].add(hash(identifier) & (1 << 64) - 1)

    def may_have(self, identifier: str) -> bool:
        """Whether the id may have been added; certainly not when False."""
        hashed = hash(identifier) & (1 << 64) - 1
        return any(one.has(hashed) for one in self._filters)
