"""Work that takes long for an event loop: in slices, between which others have their turn, or in a
thread.

A thread does not make it shorter, but Python lets the event loop go on within milliseconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final, TypeVar

T = TypeVar("T")

_SLICE_SECONDS: Final = 0.005
"""Seconds of work, after which others have their turn."""
_SMALL_BYTES: Final = 32_768
"""Bytes that are read faster than a thread is started."""


class Turns:
    """Lets others have their turn, as soon as a slice of work is done."""

    def __init__(self) -> None:
        self._began = perf_counter()

    async def next(self) -> None:
        """Called between two pieces of work, however small."""
        if perf_counter() - self._began > _SLICE_SECONDS:
            await asyncio.sleep(0)
            self._began = perf_counter()


async def apart(read: Callable[..., T], body: bytes, *arguments: Any, **options: Any) -> T:
    """What a function makes of a body: in a thread, where the body is large."""
    if len(body) <= _SMALL_BYTES:
        return read(body, *arguments, **options)
    return await asyncio.to_thread(read, body, *arguments, **options)
