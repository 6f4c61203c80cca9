"""`POST /v1/decisions:batch`: payments as NDJSON in, decisions as NDJSON out, while lines still
come.

Each line that is not blank gets one line, in order: its decision, or a problem with the line's
number. A window bounds what is read and not yet answered: a sender who does not read the answers is
not read from any more. The window holds `MAX_WAITING_LINES` lines of up to 4 KiB, so a sender of no
more than that may read after it has sent.

A batch may last. It ends early, and its last line says why, when its sender is silent for
`MAX_SILENCE_SECONDS`, when its key is no longer valid, and when it has `MAX_SURPLUS_REFUSALS` more
refused lines than decided ones: the answer to a refused line has a hundred times its bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from functools import partial
from itertools import chain
from time import monotonic
from typing import Final

from shroff.errors import BadPayment, TooManyRequests, UnknownKey
from shroff.ledger.answer import Answer, encode
from shroff.scoring.scorer import Scorer
from shroff.serve import asgi, problem
from shroff.serve.asgi import MAX_BODY_BYTES, Message, Receive, Refusal, Send
from shroff.serve.operation import Call, Operation, Reply
from shroff.serve.operations.lines import Splitter, Window
from shroff.serve.problem import Problem, Refused

PATH: Final = "/v1/decisions:batch"
NDJSON: Final = "application/x-ndjson"
MAX_WAITING_LINES: Final = 1_024
"""Lines read and not yet answered; a longer line counts as one for each 4 KiB."""
MAX_SURPLUS_REFUSALS: Final = 10_000
"""Lines refused beyond those decided, after which a batch ends."""
MAX_SILENCE_SECONDS: Final = 20.0
"""Seconds that a sender may be silent."""

_LOOK_SECONDS: Final = 0.5
"""Seconds between two looks whether a batch is to end."""
_UNIT_BYTES: Final = 4_096
_SLICE_PAYMENTS: Final = 64
_MAX_BLANK_LINES: Final = 256
"""Blank lines skipped in one stretch."""
_EMPTY: Final = Refused(
    problem.TOO_LARGE, f"expected payments, got more than {MAX_BODY_BYTES:,} blank lines."
)
_NO_PAYMENTS: Final = Refused(
    problem.TOO_LARGE,
    f"expected payments, got {MAX_SURPLUS_REFUSALS:,} more lines refused than decided: the batch "
    "ends here.",
)
_SILENT: Final = Refused(
    problem.TIMEOUT,
    f"expected a line or the end, got nothing for {MAX_SILENCE_SECONDS:.0f} seconds: the batch "
    "ends here.",
)
_TOO_LONG: Final = Refused(
    problem.TOO_LARGE, f"expected a line of at most {MAX_BODY_BYTES:,} bytes, got a longer one."
)


class LineProblem(Problem, frozen=True):
    """Problem details of one line, counted from 1."""

    line: int


def batch(scorer: Scorer) -> Operation:
    """The operation over a scorer; what is wrong with the whole request is a problem as
    everywhere.
    """

    async def decide(call: Call) -> Reply:
        return Reply(partial(_stream, scorer, call))

    return Operation(
        method="POST",
        path=PATH,
        name="decideBatch",
        summary="Decide payments, one JSON object a line, answered in order while lines still come",
        handler=decide,
        scope="decide",
        takes={NDJSON: (str,), "application/ndjson": (str,), "application/jsonl": (str,)},
        gives={NDJSON: (Answer, LineProblem)},
        streamed=True,
    )


async def _stream(scorer: Scorer, call: Call, receive: Receive, send: Send) -> None:
    # the first piece before the first byte of the answer: who asked for `100 Continue` waits for it
    try:
        first = await receive()
    except (BadPayment, Refused) as error:
        await asgi.send_problem(send, asgi.explain(error))
        return
    headers = [(b"content-type", NDJSON.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    async with asyncio.TaskGroup() as tasks:
        batch = _Batch(scorer, call, receive, tasks)
        tasks.create_task(batch.write(send))
        await batch.read(first)


class _Batch:
    """The lines of one request, and what becomes of them."""

    def __init__(
        self, scorer: Scorer, call: Call, receive: Receive, tasks: asyncio.TaskGroup
    ) -> None:
        self._scorer = scorer
        self._count = call.count
        self._receive = receive
        self._tasks = tasks
        self._waiting: asyncio.Queue[tuple[int, asyncio.Task[bytes]] | None] = asyncio.Queue()
        self._window = Window(MAX_WAITING_LINES)
        self._number = self._payments = 0
        # lines refused beyond those decided
        self._surplus = 0
        # since when the sender is listened to; None while it is not
        self._since: float | None = None

    async def read(self, first: Message) -> None:
        """Read to the end, or until the batch is to end before."""
        reading = asyncio.create_task(self._take_all(first))
        try:
            await self._watched(reading)
        except (BadPayment, Refused, UnknownKey) as error:
            # what is behind these lines cannot be read, or is not wanted
            self._put(0, self._refused(error, self._number + 1))
        finally:
            reading.cancel()
        self._waiting.put_nowait(None)

    async def write(self, send: Send) -> None:
        """Send answers in the order of their lines, those that wait together at once."""
        open_ = True
        while open_:
            items = [await self._waiting.get()]
            while len(items) < _SLICE_PAYMENTS and not self._waiting.empty():
                items.append(self._waiting.get_nowait())
            lines = [item for item in items if item is not None]
            open_ = len(lines) == len(items)
            body = b"".join([await task for _, task in lines])
            await send({"type": "http.response.body", "body": body, "more_body": open_})
            self._window.give(sum(units for units, _ in lines))

    async def _watched(self, reading: asyncio.Task[None]) -> None:
        """Wait until all is read; raises why the batch is to end before."""
        while not (await asyncio.wait({reading}, timeout=_LOOK_SECONDS))[0]:
            self._count(0)
            if self._since is not None and monotonic() - self._since > MAX_SILENCE_SECONDS:
                raise _SILENT
        await reading

    async def _take_all(self, first: Message) -> None:
        async for line in self._lines(first):
            units = 1 + len(line or b"") // _UNIT_BYTES
            await self._window.take(units)
            try:
                # the first is the request's own
                self._count(1 if self._payments else 0)
            except TooManyRequests as error:
                self._put(units, self._refused(error, self._number))
            else:
                self._put(units, self._decide(line, self._number))
            self._payments += 1
            if self._payments % _SLICE_PAYMENTS == 0:
                # these begin at once, and more would keep the event loop from everything else
                await asyncio.sleep(0)
            if self._surplus >= MAX_SURPLUS_REFUSALS:
                raise _NO_PAYMENTS

    async def _lines(self, message: Message) -> AsyncIterator[bytes | None]:
        """The lines with something in them; None for one that is too long.

        Raises:
            BadPayment, Refused: the body is not as its headers say, or of blank lines.
        """
        splitter, blank = Splitter(), 0
        while message["type"] == "http.request":
            more = message.get("more_body", False)
            # the end is looked at when the last piece was
            for line in chain(
                splitter.feed(message.get("body", b"")), () if more else splitter.end()
            ):
                self._number += 1
                if line is None or line.strip():
                    yield line
                    continue
                blank += 1
                if blank % _MAX_BLANK_LINES == 0:
                    await asyncio.sleep(0)
            if not more:
                return
            # a line that is not answered holds nobody back, and a thousand of them are a byte when
            # compressed
            if blank > MAX_BODY_BYTES:
                raise _EMPTY
            self._since = monotonic()
            message = await self._receive()
            self._since = None

    def _put(self, units: int, answer: Coroutine[None, None, bytes]) -> None:
        self._waiting.put_nowait((units, self._tasks.create_task(answer)))

    async def _decide(self, line: bytes | None, number: int) -> bytes:
        try:
            if line is None:
                raise _TOO_LONG
            answer = await self._scorer.decide(line)
        except Exception as error:  # noqa: BLE001  # one line must not take its neighbours with it
            return await self._refused(error, number)
        self._surplus -= 1
        return answer + b"\n"

    async def _refused(self, error: Exception, number: int) -> bytes:
        self._surplus += 1
        return _problem(asgi.explain(error), number)


def _problem(refusal: Refusal, number: int) -> bytes:
    kind, detail = refusal
    told = kind.problem(detail)
    return encode(LineProblem(told.type, told.title, told.status, told.detail, number)) + b"\n"
