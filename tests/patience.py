"""How long tests wait: for a condition, and much longer than an idle machine needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

PATIENCE: Final = 240.0
"""Seconds after which what a test waits for is taken to never come, also where other work fills the
machine.
"""
_LOOK: Final = 0.02


def until(holds: Callable[[], object], *, said: Callable[[], str] = lambda: "") -> None:
    """Wait for a condition; `said` is what went on meanwhile, for the failure."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, said()
        time.sleep(_LOOK)
