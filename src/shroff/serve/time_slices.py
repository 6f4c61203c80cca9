"""Long work beside an event loop: in slices that yield to other tasks, or in a thread.

A thread is no faster, but Python lets the event loop run within milliseconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final, TypeVar

T = TypeVar("T")

_SLICE_SECONDS: Final = 0.005
"""Seconds of work between two yields."""
_MAX_INLINE_BYTES: Final = 32_768
"""Larger bodies are read in a thread; to start one takes longer than to read these."""


class TimeSlices:
    """Yields to other tasks after each slice of work."""

    def __init__(self) -> None:
        self._began = perf_counter()

    async def next(self) -> None:
        """Call between two pieces of work, however small."""
        if perf_counter() - self._began > _SLICE_SECONDS:
            await asyncio.sleep(0)
            self._began = perf_counter()


async def in_thread_if_large(
    read: Callable[..., T], body: bytes, *arguments: Any, **options: Any
) -> T:
    """Apply a function to a body, in a thread if the body is large."""
    if len(body) <= _MAX_INLINE_BYTES:
        return read(body, *arguments, **options)
    return await asyncio.to_thread(read, body, *arguments, **options)
