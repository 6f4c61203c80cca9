"""Decision ids: UUID version 7 (RFC 9562), in the order of the decisions."""

from __future__ import annotations

import os
from functools import lru_cache
from itertools import chain
from typing import Final

_MILLISECOND_US = 1_000
_STEPS_PER_MILLISECOND = 4_096  # the range of 12 bits
_DRAWN_BYTES = 4_096
_VARIANT = bytes([byte & 0x3F | 0x80 for byte in range(256)])

_VERSIONS: Final = tuple(
    [f"7{us * _STEPS_PER_MILLISECOND // _MILLISECOND_US:03x}" for us in range(_MILLISECOND_US)]
)
"""The version and the fraction of the millisecond, by its microseconds."""


def _draw() -> list[str]:
    """Ends of ids: the variant and 62 random bits each."""
    drawn = bytearray(os.urandom(_DRAWN_BYTES))
    drawn[::8] = drawn[::8].translate(_VARIANT)
    text = drawn.hex()
    return [f"{text[at : at + 4]}-{text[at + 4 : at + 16]}" for at in range(0, len(text), 16)]


# drawn many at a time: a system call costs as much as fifty ids
_ENDS: Final = chain.from_iterable(iter(_draw, []))


def decision_id(micros: int) -> str:
    """The id of the decision made at `micros` since the epoch.

    The 12 bits after the version carry the fraction of the millisecond (RFC 9562, 6.2, method 3),
    so that ids of different microseconds sort in their order; the last 62 bits are random.

    >>> decision_id(1_700_000_000_123_456)[:19]
    '018bcfe5-687b-774b-'
    """
    millis, rest = divmod(micros, _MILLISECOND_US)
    return f"{_start(millis)}-{_VERSIONS[rest]}-{next(_ENDS)}"


@lru_cache(maxsize=1_000)
def _start(millis: int) -> str:
    """The first 48 bits of an id; what is decided together mostly shares the millisecond."""
    text = f"{millis:012x}"
    return f"{text[:8]}-{text[8:]}"
