"""A filter of ids: which events the ledger certainly lacks. Most look-ups are for new events."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import islice
from random import Random
from typing import Final

from shroff import speedups
from shroff.ledger.record import Kind

_IDS_A_WORD: Final = 4  # of 64 bits
_FIRST_FILTER_IDS: Final = 1 << 18  # ids in the first filter
_WORD_MASK: Final = (1 << 64) - 1


def _masks() -> array[int]:
    """4,096 words with three bits set in each."""
    bits = iter(Random(0).randbytes(1 << 14))
    words = (
        1 << (one & 63) | 1 << (two & 63) | 1 << (three & 63)
        for one, two, three in zip(bits, bits, bits, strict=False)
    )
    return array("Q", islice((word for word in words if word.bit_count() == 3), 1 << 12))


_BIT_MASKS: Final = _masks()


class _Filter:
    """A Bloom filter for `capacity` ids, three bits in each of two words; 0.2 % false positives.

    Putze, Sanders and Singler, Cache-, Hash- and Space-Efficient Bloom Filters, 2007: few memory
    reads, precomputed masks. Most unknown ids fail at the first word.
    """

    def __init__(self, capacity: int) -> None:
        self.left = capacity
        self._size = capacity // _IDS_A_WORD
        self._words = array("Q", bytes(8 * self._size))

    def add(self, hashed: int) -> None:
        if speedups.compiled is not None:
            speedups.compiled.add_bits(self._words, _BIT_MASKS, hashed)
        else:
            self._add(hashed & _WORD_MASK)
        self.left -= 1

    def _add(self, hashed: int) -> None:
        words, size = self._words, self._size
        words[hashed % size] |= _BIT_MASKS[hashed >> 52]
        words[(hashed >> 20) % size] |= _BIT_MASKS[hashed >> 40 & 0xFFF]

    def add_all(self, identifiers: Sequence[str]) -> None:
        """`add` for many, ten times as fast."""
        import numpy as np  # a long ledger only

        words = np.frombuffer(self._words, np.uint64)
        hashed = np.fromiter(map(hash, identifiers), np.int64, len(identifiers)).view(np.uint64)
        masks = np.array(_BIT_MASKS, np.uint64)
        size, low = np.uint64(self._size), np.uint64(0xFFF)
        for place, mask in (
            (hashed, hashed >> np.uint64(52)),
            (hashed >> np.uint64(20), hashed >> np.uint64(40) & low),
        ):
            np.bitwise_or.at(words, (place % size).astype(np.int64), masks[mask.astype(np.int64)])
        self.left -= len(identifiers)

    def has(self, hashed: int) -> bool:
        if speedups.compiled is not None:
            return bool(speedups.compiled.has_bits(self._words, _BIT_MASKS, hashed))
        return self._has(hashed & _WORD_MASK)

    def _has(self, hashed: int) -> bool:
        words, size = self._words, self._size
        mask = _BIT_MASKS[hashed >> 52]
        if words[hashed % size] & mask != mask:
            return False
        mask = _BIT_MASKS[hashed >> 40 & 0xFFF]
        return words[(hashed >> 20) % size] & mask == mask


def filter_key(payment_id: str, kind: Kind) -> str:
    """The key of an event; that of a payment is its id, which costs nothing to make.

    >>> filter_key("p1", "payment"), filter_key("p1", "label")
    ('p1', 'label p1')
    """
    return payment_id if kind == "payment" else f"{kind} {payment_id}"


class IdFilter:
    """A growing Bloom filter: may say yes to an unknown id, never no to a known one; 2–6 bytes an
    id.

    >>> ids = IdFilter(["p1"])
    >>> ids.may_have("p1"), ids.may_have("p2")
    (True, False)
    """

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._filters = [_Filter(_FIRST_FILTER_IDS)]
        for identifier in ids:
            self.add(identifier)

    def add(self, identifier: str) -> None:
        """Remember an id."""
        if self._filters[-1].left <= 0:
            # each filter holds twice as many as the one before, so there are few
            self._filters.append(_Filter(_FIRST_FILTER_IDS << len(self._filters)))
        self._filters[-1].add(hash(identifier))

    def add_before(self, pages: Iterable[Sequence[str]], ids: int) -> None:
        """Remember about so many ids, given by pages, all at once after the last.

        Other threads may add and ask meanwhile: they change a filter of their own.
        """
        earlier = _Filter(max(ids, _IDS_A_WORD))
        for page in pages:
            earlier.add_all(page)
        self._filters.insert(0, earlier)

    def may_have(self, identifier: str) -> bool:
        """Whether the id may have been added; False is certain."""
        hashed = hash(identifier)
        for one in self._filters:  # noqa: SIM110  # `any` of a generator takes twice as long
            if one.has(hashed):
                return True
        return False
