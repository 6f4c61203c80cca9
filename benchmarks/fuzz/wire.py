"""One case over a connection of its own: its answers, and a payment behind it that must get its
own.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

SMUGGLED: Final = b"smuggled"
"""What the id of a payment begins with that no reader of a case may take for a request."""
PATIENCE: Final = 40.0
"""Seconds in which a connection must be answered or closed: twice what a slow client is given."""
_QUIET: Final = 0.4
"""Seconds without an answer after which a case is taken for one that is given none."""
_BODYLESS: Final = frozenset({204, 304})
_GRACE: Final = frozenset({501, 503, 505})
"""Server errors that say something about the request or the moment, and nothing of a defect."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Bytes that are sent piece by piece, and what may come back.

    Args:
        answers: how many answers may come at most.
        due: whether an answer must come; then it is waited for.
        whole: whether every byte of the last request is there, so that what follows is a request.
        head: whether it is HEAD, whose answers have no body.
        ends: whether the client then says that it sends no more; `leaves`: whether it is gone at
            once.
        pause: seconds between pieces.
    """

    pieces: tuple[bytes, ...]
    answers: int = 1
    due: bool = False
    whole: bool = True
    head: bool = False
    ends: bool = False
    leaves: bool = False
    pause: float = 0.0


@dataclass(frozen=True)
class Answer:
    """One answer as it came."""

    status: int
    closes: bool
    content: bytes


class Garbled(Exception):
    """Bytes that are no answer of HTTP."""


async def ask(port: int, case: Case, probe: bytes, name: bytes) -> str:
    """Send a case, and a probe behind it where the connection stays; what is wrong, or nothing.

    Args:
        probe: a good payment as a request, whose answer holds its `name`.
    """
    try:
        async with asyncio.timeout(2 * PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            talk = _Talk(reader, writer, case)
            try:
                return await talk.run(probe, name)
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError:
        return "hangs: neither answered nor closed"
    except Garbled as error:
        return str(error)
    except OSError as error:
        return f"no connection ({type(error).__name__})"


class _Talk:
    """A case on its connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, case: Case
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._case = case
        self._received = bytearray()
        self._closed = False

    async def run(self, probe: bytes, name: bytes) -> str:
        case = self._case
        await self._send(case.pieces, case.pause)
        if case.leaves:
            self._vanish()
            return ""
        if case.ends:
            self._end()
        answers = await self._answers(case.answers, PATIENCE if case.due or case.ends else _QUIET)
        kept = bool(answers) and not self._closed and not answers[-1].closes and not case.ends
        if kept:
            await self._send((probe,), 0)
            wait = PATIENCE if case.whole and len(answers) == case.answers else _QUIET
            answers = await self._answers(len(answers) + 1, wait)
        self._end()
        await self._until_closed()
        answers = parsed(bytes(self._received), head=case.answers if case.head else 0)
        return self._wrong(answers, name if kept else None)

    def _wrong(self, answers: Sequence[Answer], name: bytes | None) -> str:
        case = self._case
        failed = [one.status for one in answers if one.status >= 500 and one.status not in _GRACE]
        if failed:
            return f"answered {failed[0]}"
        if any(SMUGGLED in one.content for one in answers if one.status == 200):
            return "a payment hidden in another request was decided"
        if case.due and not answers:
            return "not answered"
        most = case.answers + (name is not None)
        if len(answers) > most:
            return f"{len(answers)} answers where {most} were due"
        if name is None or not case.whole or any(one.closes for one in answers[:-1]):
            return ""
        if len(answers) == most and name not in answers[-1].content:
            return f"the payment behind it got another answer ({answers[-1].status})"
        return ""

    async def _send(self, pieces: Sequence[bytes], pause: float) -> None:
        with suppress(OSError):
            for number, piece in enumerate(pieces):
                if number and pause:
                    await asyncio.sleep(pause)
                self._writer.write(piece)
                await self._writer.drain()

    async def _answers(self, count: int, patience: float) -> list[Answer]:
        """The answers so far: when there are so many, the connection is closed, or nothing came for
        so long.
        """
        while True:
            head = self._case.answers if self._case.head else 0
            answers = parsed(bytes(self._received), head=head, open_end=not self._closed)
            if self._closed or len(answers) >= count:
                return answers
            try:
                async with asyncio.timeout(patience):
                    await self._receive()
            except TimeoutError:
                return answers

    async def _until_closed(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while not self._closed:
                await self._receive()

    async def _receive(self) -> None:
        try:
            received = await self._reader.read(65_536)
        except OSError:
            received = b""
        self._received += received
        self._closed = not received

    def _end(self) -> None:
        with suppress(OSError):
            self._writer.write_eof()

    def _vanish(self) -> None:
        """Reset the connection, so that what the other side sends finds nobody."""
        opened: socket.socket = self._writer.get_extra_info("socket")
        with suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


def parsed(received: bytes, *, head: int = 0, open_end: bool = False) -> list[Answer]:
    """The whole answers among bytes, but for interim ones.

    Args:
        head: so many answers, from the first on, have no body.
        open_end: whether more may come; otherwise what is left must be nothing.

    Raises:
        Garbled: they are no answers.

    >>> parsed(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nok")
    [Answer(status=200, closes=False, content=b'ok')]
    """
    answers: list[Answer] = []
    while received:
        begun, end, rest = received.partition(b"\r\n\r\n")
        if not b"HTTP/1.1 ".startswith(received[:9]):
            raise Garbled("answered with bytes that are no answer")
        if not end:
            break
        status, fields = _head(begun)
        if 100 <= status < 200:
            received = rest
            continue
        closes = fields.get(b"connection") == b"close"
        bare = status in _BODYLESS or len(answers) < head
        content, after = (b"", rest) if bare else _body(fields, rest, closed=not open_end)
        if after is None:
            break
        answers.append(Answer(status, closes, content))
        received = after
        if closes:
            # nobody reads what comes behind it: such as the body of a refusal of HEAD
            return answers
    if received and not open_end:
        raise Garbled("the connection was closed in the middle of an answer")
    return answers


def _head(begun: bytes) -> tuple[int, dict[bytes, bytes]]:
    first, *lines = begun.split(b"\r\n")
    try:
        fields = dict(line.lower().split(b": ", 1) for line in lines)
        return int(first[9:12]), fields
    except ValueError:
        raise Garbled("answered with a head that is none") from None


def _body(fields: dict[bytes, bytes], rest: bytes, *, closed: bool) -> tuple[bytes, bytes | None]:
    """The body of an answer and what follows it; None while it is not whole."""
    if fields.get(b"transfer-encoding") == b"chunked":
        return _chunks(rest)
    if b"content-length" not in fields:
        return (rest, b"") if closed else (b"", None)
    size = int(fields[b"content-length"])
    return rest[:size], rest[size:] if len(rest) >= size else None


def _chunks(rest: bytes) -> tuple[bytes, bytes | None]:
    content = b""
    while True:
        digits, end, after = rest.partition(b"\r\n")
        if not end:
            return content, None
        try:
            size = int(digits.split(b";")[0], 16)
        except ValueError:
            raise Garbled("answered with a chunk that is none") from None
        if len(after) < size + 2:
            return content, None
        content, rest = content + after[:size], after[size + 2 :]
        if size == 0:
            return content, rest
