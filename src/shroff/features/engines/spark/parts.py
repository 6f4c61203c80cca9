"""Which part of a table a row belongs to: by the hash of its key, the same in every worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np
import polars as pl

from shroff.errors import ConfigurationError

if TYPE_CHECKING:
    Words = np.ndarray[tuple[int], np.dtype[np.uint32]]

_word: Final = np.uint32
_PROBE: Final = pl.DataFrame({"text": ["a", "shroff"], "number": [1, 1 << 40]})


class Parts(NamedTuple):
    """The parts of a table, a task each.

    `numbers` are those that Spark sends to different partitions (`spread`); `probe` is what the
    hash of the driver gives.
    """

    numbers: Sequence[int]
    probe: Sequence[int]

    @classmethod
    def of(cls, count: int) -> Self:
        """So many parts, for workers that hash as this process does."""
        return cls(spread(count), _probed())

    def place(self, key: Sequence[str]) -> pl.Expr:
        """The place among all parts of rows by their key; null where a column of it is.

        Spark's own hash would have to be carried beside each row.
        """
        place = (pl.struct(key).hash() % len(self.numbers)).cast(pl.Int32)
        return pl.when(pl.all_horizontal(pl.col(key).is_not_null())).then(place)

    def require_same_hash(self) -> None:
        """Raise `ConfigurationError` where this process hashes otherwise than the driver."""
        if _probed() != self.probe:
            raise ConfigurationError(
                "expected the driver's release of Polars on every machine, got another: give all "
                "of them one environment."
            )


def _probed() -> list[int]:
    return _PROBE.select(pl.struct(pl.all()).hash()).to_series().to_list()


def spread(parts: int) -> list[int]:
    """A whole number for each part, which Spark's hash sends to a partition of its own.

    With as many partitions as parts; the hash is MurmurHash3 (32 bits, of one word of four bytes)
    with the seed 42.
    """
    found: dict[int, int] = {}
    start = 0
    while len(found) < parts:
        tried = np.arange(start, start + 8 * parts, dtype=np.uint32)
        hashed = _rotated(tried * _word(0xCC9E2D51), 15) * _word(0x1B873593)
        hashed = _rotated(hashed ^ _word(42), 13) * _word(5) + _word(0xE6546B64)
        hashed ^= _word(4)
        hashed = (hashed ^ hashed >> _word(16)) * _word(0x85EBCA6B)
        hashed = (hashed ^ hashed >> _word(13)) * _word(0xC2B2AE35)
        hashed ^= hashed >> _word(16)
        for number, place in zip(tried.tolist(), hashed.view(np.int32) % parts, strict=True):
            found.setdefault(int(place), number)
        start += 8 * parts
    return [found[place] for place in range(parts)]


def _rotated(words: Words, bits: int) -> Words:
    return (words << _word(bits)) | (words >> _word(32 - bits))
