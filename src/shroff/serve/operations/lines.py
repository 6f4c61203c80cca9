"""Lines of a text that comes in pieces, and the window of those that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from shroff.serve.asgi import MAX_BODY_BYTES


class Splitter:
    """Splits a text that comes in pieces; a line that is too long is None and never kept whole.

    >>> splitter = Splitter(limit=5)
    >>> (
    ...     list(splitter.feed(b"one\\ntw")),
    ...     list(splitter.feed(b"o\\nsixsix\\n")),
    ...     list(splitter.end()),
    ... )
    ([b'one'], [b'two', None], [])
    """

    def __init__(self, *, limit: int = MAX_BODY_BYTES) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> Iterator[bytes | None]:
        """The lines that this piece completes."""
        *whole, rest = piece.split(b"\n")
        for part in whole:
            self._keep(part)
            yield self._take()
        self._keep(rest)

    def end(self) -> Iterator[bytes | None]:
        """The last line, if it has no line end."""
        if self._size:
            yield self._take()

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._limit:
            self._parts.clear()
        elif part:
            self._parts.append(part)

    def _take(self) -> bytes | None:
        line = b"".join(self._parts) if self._size <= self._limit else None
        self._parts.clear()
        self._size = 0
        return line


class LineWindow:
    """A limit on the lines that wait; one reader waits for room."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._freed = asyncio.Event()

    async def take(self, units: int) -> None:
        """Take room for a line, once there is any."""
        while self._room < units:
            self._freed.clear()
            await self._freed.wait()
        self._room -= units

    def give(self, units: int) -> None:
        """Give room back."""
        self._room += units
        self._freed.set()
