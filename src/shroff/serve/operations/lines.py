"""Lines of a text that comes in pieces, and room for those that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from shroff.serve.asgi import MAX_BODY_BYTES


class Splitter:
    """The lines of a text that comes in pieces; one that is too long is None, and never held whole.

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
        """The lines that end in this piece."""
        *whole, rest = piece.split(b"\n")
        for part in whole:
            self._keep(part)
            yield self._take()
        self._keep(rest)

    def end(self) -> Iterator[bytes | None]:
        """The last line, where it has no end of its own."""
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


class Window:
    """Room for lines; one reader waits for it."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._freed = asyncio.Event()

    async def take(self, units: int) -> None:
        """Take room for a line, as soon as there is any."""
        while self._room < units:
            self._freed.clear()
            await self._freed.wait()
        self._room -= units

    def give(self, units: int) -> None:
        """Give it back."""
        self._room += units
        self._freed.set()
