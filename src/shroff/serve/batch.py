"""`POST /v1/decisions:batch`: payments as NDJSON in, decisions as NDJSON out, while lines still come.

Each line that is not blank gets one line, in order: its decision, or a problem with the line's number. A window
bounds what is read and not yet answered: a sender who does not read the answers is not read from any more. The
window holds `LINES` lines of up to 4 KiB, so a sender of no more than that may read after it has sent.

A refused line is answered with a hundred times its bytes, so a batch ends when it has `REFUSED` more refused lines than
decided ones: its last line says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import chain
from typing import Final

from shroff.errors import BadPayment
from shroff.serve import asgi, problem
from shroff.serve.answer import Answer, encode
from shroff.serve.asgi import LIMIT, Message, Receive, Refusal, Send
from shroff.serve.problem import Kind, Problem, Refused
from shroff.serve.protocols.http import Call, Interface, Reply, Route
from shroff.serve.scorer import Scorer

NDJSON: Final = "application/x-ndjson"
LINES: Final = 1_024
"""Lines read and not yet answered; a longer line counts as one for each 4 KiB."""
REFUSED: Final = 10_000
"""Lines refused beyond those decided, after which a batch ends."""

_UNIT: Final = 4_096
_TOGETHER: Final = 64
_BLANK: Final = 256
"""Blank lines skipped in one stretch."""
_EMPTY: Final = Refused(problem.TOO_LARGE, f"expected payments, got more than {LIMIT:,} blank lines.")
_NO_PAYMENTS: Final = Refused(
    problem.TOO_LARGE, f"expected payments, got {REFUSED:,} more lines refused than decided: the batch ends here."
)
_TOO_LONG: Final[Refusal] = (problem.TOO_LARGE, f"expected a line of at most {LIMIT:,} bytes, got a longer one.")


class LineProblem(Problem, frozen=True):
    """Problem details of one line, counted from 1."""

    line: int


def interface(scorer: Scorer) -> Interface:
    """The route over a scorer; what is wrong with the whole request is answered as for every native route."""

    async def decide(_: Call) -> Reply:
        return Reply(partial(_stream, scorer))

    route = Route(
        method="POST",
        path="/v1/decisions:batch",
        operation="decideBatch",
        summary="Decide payments, one JSON object a line, answered in order while lines still come",
        handler=decide,
        scope="decide",
        takes={NDJSON: (str,), "application/ndjson": (str,), "application/jsonl": (str,)},
        gives={NDJSON: (Answer, LineProblem)},
        streamed=True,
    )
    return Interface("Native", (route,), Kind.problem, Problem, problem.MEDIA_TYPE)


class Splitter:
    """The lines of a text that comes in pieces; one that is too long is None, and never held whole.

    >>> splitter = Splitter(limit=5)
    >>> list(splitter.feed(b"one\\ntw")), list(splitter.feed(b"o\\nsixsix\\n")), list(splitter.end())
    ([b'one'], [b'two', None], [])
    """

    def __init__(self, *, limit: int = LIMIT) -> None:
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


class _Window:
    """Room for lines; one reader waits for it."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._freed = asyncio.Event()

    async def take(self, units: int) -> None:
        while self._room < units:
            self._freed.clear()
            await self._freed.wait()
        self._room -= units

    def give(self, units: int) -> None:
        self._room += units
        self._freed.set()


class _Lines:
    """Decides lines, and keeps count of what became of them."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._surplus = 0

    def require_payments(self) -> None:
        """Raise `Refused` when far more lines were refused than decided."""
        if self._surplus >= REFUSED:
            raise _NO_PAYMENTS

    async def decide(self, line: bytes | None, number: int) -> bytes:
        """The answer to a line, whatever it is."""
        try:
            if line is not None:
                answer = await self._scorer.decide(line)
                self._surplus -= 1
                return _ended(answer)
            refusal = _TOO_LONG
        except Exception as error:  # noqa: BLE001  # one line must not take its neighbours with it
            refusal = asgi.explain(error)
        self._surplus += 1
        return _ended(_problem(refusal, number))


_Waiting = asyncio.Queue[tuple[int, asyncio.Task[bytes]] | None]


async def _stream(scorer: Scorer, receive: Receive, send: Send) -> None:
    # the first piece before the first byte of the answer: who asked for `100 Continue` waits for it
    try:
        first = await receive()
    except (BadPayment, Refused) as error:
        await asgi.send_problem(send, asgi.explain(error))
        return
    headers = [(b"content-type", NDJSON.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    waiting, window, all_lines = _Waiting(), _Window(LINES), _Lines(scorer)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_write(waiting, window, send))
        number = 0
        try:
            async for number, line in _lines(receive, first):
                units = 1 + len(line or b"") // _UNIT
                await window.take(units)
                waiting.put_nowait((units, tasks.create_task(all_lines.decide(line, number))))
                if number % _TOGETHER == 0:
                    # these begin at once, and more would keep the event loop from everything else
                    await asyncio.sleep(0)
                all_lines.require_payments()
        except (BadPayment, Refused) as error:
            # what is behind these lines cannot be read
            waiting.put_nowait((0, tasks.create_task(_refused(error, number + 1))))
        waiting.put_nowait(None)


async def _lines(receive: Receive, message: Message) -> AsyncIterator[tuple[int, bytes | None]]:
    """The lines of a body with something in them, and their numbers from 1; None for one that is too long.

    Raises:
        BadPayment, Refused: the body is not as its headers say, or of blank lines.
    """
    splitter, number, blank = Splitter(), 0, 0
    while message["type"] == "http.request":
        more = message.get("more_body", False)
        # the end is looked at when the last piece was
        for line in chain(splitter.feed(message.get("body", b"")), () if more else splitter.end()):
            number += 1
            if line is None or line.strip():
                yield number, line
                continue
            blank += 1
            if blank % _BLANK == 0:
                await asyncio.sleep(0)
        if not more:
            return
        # a line that is not answered holds nobody back, and a thousand of them are a byte when compressed
        if blank > LIMIT:
            raise _EMPTY
        message = await receive()


async def _refused(error: Exception, number: int) -> bytes:
    return _ended(_problem(asgi.explain(error), number))


def _problem(refusal: Refusal, number: int) -> bytes:
    kind, detail = refusal
    told = kind.problem(detail)
    return encode(LineProblem(told.type, told.title, told.status, told.detail, number))


def _ended(answer: bytes) -> bytes:
    return answer + b"\n"


async def _write(waiting: _Waiting, window: _Window, send: Send) -> None:
    """Send answers in the order of their lines, those that wait together at once."""
    open_ = True
    while open_:
        items = [await waiting.get()]
        while len(items) < _TOGETHER and not waiting.empty():
            items.append(waiting.get_nowait())
        lines = [item for item in items if item is not None]
        open_ = len(lines) == len(items)
        body = b"".join([await task for _, task in lines])
        await send({"type": "http.response.body", "body": body, "more_body": open_})
        window.give(sum(units for units, _ in lines))
