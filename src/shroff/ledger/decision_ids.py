"""Decision ids: UUID version 7 (RFC 9562), in the order of the decisions."""

from __future__ import annotations

import os
import struct
from itertools import chain
from typing import Final

_MILLISECOND_US = 1_000
_STEPS_PER_MILLISECOND = 4_096  # the range of 12 bits
_RANDOM_FORMAT = struct.Struct("512Q")


def _draw() -> tuple[int, ...]:
    return _RANDOM_FORMAT.unpack(os.urandom(_RANDOM_FORMAT.size))


# drawn many at a time: a system call costs as much as fifty ids
_RANDOM: Final = chain.from_iterable(iter(_draw, ()))


def decision_id(micros: int) -> str:
    """The id of the decision made at `micros` since the epoch.

    The 12 bits after the version carry the fraction of the millisecond (RFC 9562, 6.2, method 3),
    so that ids of different microseconds sort in their order; the last 62 bits are random.

    >>> decision_id(1_700_000_000_123_456)[:19]
    '018bcfe5-687b-774b-'
    """
    millis, rest = divmod(micros, _MILLISECOND_US)
    random = next(_RANDOM) >> 2
    number = (
        millis << 80
        | 7 << 76
        | rest * _STEPS_PER_MILLISECOND // _MILLISECOND_US << 64
        | 2 << 62
        | random
    )
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
