"""The computer's clock, and how far two of them may differ."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

Clock = Callable[[], int]
"""Microseconds since the epoch."""

MAX_AHEAD_US: Final = 300_000_000
"""How far in the future a payment's time may lie, in microseconds: clocks differ."""


def system_time() -> int:
    """The computer's clock in microseconds since the epoch."""
    return time.time_ns() // 1_000


def overtaken(watermark: int, now: int, lateness: int) -> bool:
    """Whether a state is ahead of a clock that reads `now`: the clock was set back by more than
    clocks differ.

    Such a state has forgotten, before its watermark, what payments need that are no later than
    `lateness` by the clock. All in microseconds.

    >>> day, now = 86_400_000_000, 1_700_000_000_000_000
    >>> overtaken(now - day, now, lateness=day), overtaken(now, now, lateness=day)
    (False, True)
    """
    return watermark > max(0, now - lateness + min(MAX_AHEAD_US, lateness))
