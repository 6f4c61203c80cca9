"""`POST /v1/decisions:batch`: payments as NDJSON in, decisions as NDJSON out, while lines still
come.

Each line that is not blank gets one line, in order: its decision, or a problem with the line's
number. A window bounds the lines that are read and not yet answered: the service stops reading from
a client that does not read the answers. The window holds `MAX_WAITING_LINES` lines of up to 4 KiB,
so a client of no more than that may send everything before it reads.

A batch has no time limit. It ends early, and its last line says why, if the client is silent for
`MAX_SILENCE_SECONDS`, if the key is no longer valid, or if `MAX_SURPLUS_REFUSALS` more lines are
refused than decided: the answer to a refused line can have a hundred times its bytes.
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
from shroff.serve.operations.lines import LineWindow, Splitter
from shroff.serve.problem import Problem, Refused

PATH: Final = "/v1/decisions:batch"
NDJSON: Final = "application/x-ndjson"
MAX_WAITING_LINES: Final = 1_024
"""Lines read and not yet answered; a longer line counts as one for each 4 KiB."""
MAX_SURPLUS_REFUSALS: Final = 10_000
"""Lines refused beyond those decided, after which a batch ends."""
MAX_SILENCE_SECONDS: Final = 20.0
"""Seconds that a client may be silent."""

_POLL_SECONDS: Final = 0.5
"""Seconds between two checks whether a batch must end."""
_LINE_UNIT_BYTES: Final = 4_096
_LINE_UNIT_STEPS: Final = 2_048
"""Steps of automata that count as much: lines in wait never cost more than some 50 ms."""
_SLICE_PAYMENTS: Final = 64
_MAX_BLANK_LINES: Final = 256
"""Blank lines skipped in one stretch."""
_ONLY_BLANK_LINES: Final = Refused(
    problem.TOO_LARGE, f"expected payments, got more than {MAX_BODY_BYTES:,} blank lines."
)
_MOSTLY_REFUSED: Final = Refused(
    problem.TOO_LARGE,
    f"expected payments, got {MAX_SURPLUS_REFUSALS:,} more lines refused than decided: the batch "
    "ends here.",
)
_SILENT_SENDER: Final = Refused(
    problem.TIMEOUT,
    f"expected a line or the end, got nothing for {MAX_SILENCE_SECONDS:.0f} seconds: the batch "
    "ends here.",
)
_LINE_TOO_LONG: Final = Refused(
    problem.TOO_LARGE, f"expected a line of at most {MAX_BODY_BYTES:,} bytes, got a longer one."
)


class LineProblem(Problem, frozen=True):
    """Problem details of one line, counted from 1."""

    line: int


def batch(scorer: Scorer) -> Operation:
    """The operation over a scorer; a wrong request as a whole gets a problem as elsewhere."""

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
    # read before the answer begins: a client that asked for `100 Continue` waits for it
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
    """The lines of one request, and their answers."""

    def __init__(
        self, scorer: Scorer, call: Call, receive: Receive, tasks: asyncio.TaskGroup
    ) -> None:
        self._scorer = scorer
        self._count = call.count
        self._receive = receive
        self._tasks = tasks
        self._waiting: asyncio.Queue[tuple[int, asyncio.Task[bytes]] | None] = asyncio.Queue()
        self._window = LineWindow(MAX_WAITING_LINES)
        self._number = self._payments = 0
        # lines refused beyond those decided
        self._surplus = 0
        # when the service began to wait for the client; None while it does not
        self._since: float | None = None

    async def read(self, first: Message) -> None:
        """Read to the end, or until the batch must end."""
        reading = asyncio.create_task(self._take_all(first))
        try:
            await self._watched(reading)
        except (BadPayment, Refused, UnknownKey) as error:
            # the rest cannot be read, or must not be
            self._put(0, self._refused(error, self._number + 1))
        finally:
            reading.cancel()
        self._waiting.put_nowait(None)

    async def write(self, send: Send) -> None:
        """Send answers in the order of their lines, all that wait in one write."""
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
        """Wait until all is read; raises the reason to end early."""
        while not (await asyncio.wait({reading}, timeout=_POLL_SECONDS))[0]:
            self._count(0)
            if self._since is not None and monotonic() - self._since > MAX_SILENCE_SECONDS:
                raise _SILENT_SENDER
        await reading

    async def _take_all(self, first: Message) -> None:
        async for line in self._lines(first):
            size, states = len(line or b""), self._scorer.decider.states
            units = 1 + size // _LINE_UNIT_BYTES + size * states // _LINE_UNIT_STEPS
            units = min(units, MAX_WAITING_LINES)
            await self._window.take(units)
            try:
                # the request itself counts the first
                self._count(1 if self._payments else 0)
            except TooManyRequests as error:
                self._put(units, self._refused(error, self._number))
            else:
                self._put(units, self._decide(line, self._number))
            self._payments += 1
            if self._payments % _SLICE_PAYMENTS == 0:
                # all of these begin at once; more would block the event loop
                await asyncio.sleep(0)
            if self._surplus >= MAX_SURPLUS_REFUSALS:
                raise _MOSTLY_REFUSED

    async def _lines(self, message: Message) -> AsyncIterator[bytes | None]:
        """The lines that are not blank; None for one that is too long.

        Raises:
            BadPayment, Refused: the body is not what its headers say, or is blank.
        """
        splitter, blank = Splitter(), 0
        while message["type"] == "http.request":
            more = message.get("more_body", False)
            # the end of a compressed body is checked with its last piece
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
            # blank lines take no room in the window, and compress to a byte per thousand
            if blank > MAX_BODY_BYTES:
                raise _ONLY_BLANK_LINES
            self._since = monotonic()
            message = await self._receive()
            self._since = None

    def _put(self, units: int, answer: Coroutine[None, None, bytes]) -> None:
        self._waiting.put_nowait((units, self._tasks.create_task(answer)))

    async def _decide(self, line: bytes | None, number: int) -> bytes:
        try:
            if line is None:
                raise _LINE_TOO_LONG
            answer = await self._scorer.decide(line)
        except Exception as error:  # noqa: BLE001  # a failed line must not fail its neighbours
            return await self._refused(error, number)
        self._surplus -= 1
        return answer + b"\n"

    async def _refused(self, error: Exception, number: int) -> bytes:
        self._surplus += 1
        return _problem(asgi.explain(error), number)


def _problem(refusal: Refusal, number: int) -> bytes:
    kind, detail = refusal
    whole = kind.problem(detail)
    return encode(LineProblem(whole.type, whole.title, whole.status, whole.detail, number)) + b"\n"
