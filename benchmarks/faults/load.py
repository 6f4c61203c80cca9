"""Clients that send payments, results and labels, each again until it is answered, and remember
every answer.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

_TOGETHER: Final = 12
_PAUSE: Final = 0.05
"""Seconds before what was not answered is sent again."""
_PATIENCE: Final = 90.0
_AGAIN: Final = 7
"""Every so many payments are sent once more after their answer."""
_TIMEOUT: Final = 30.0


@dataclass
class Told:
    """What the clients saw.

    `answers` are the bytes of each payment's first answer, `last` is the newest; `changed` are the
    payments whose second answer differed. `interrupted` counts requests that broke off without an
    answer (also where nobody listened), `refused` those that were told to come later, `degraded`
    the decisions without a model or features. `well` is when there was one with features last.
    """

    answers: dict[str, bytes] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    unanswered: set[str] = field(default_factory=set)
    unexpected: list[str] = field(default_factory=list)
    interrupted: int = 0
    refused: int = 0
    degraded: int = 0
    last: bytes = b""
    well: float = 0.0
    without: float = 0.0

    def note(self, answer: bytes) -> None:
        """One more decision."""
        self.last = answer
        if b'"degraded":true' in answer:
            self.degraded += 1
        else:
            self.measure()
            self.well = time.monotonic()

    def measure(self) -> None:
        """See how long there has been no decision with features."""
        self.without = max(self.without, time.monotonic() - self.well)

    def mark(self) -> None:
        """From now on `without` is the longest that there was no decision with features."""
        self.well, self.without = time.monotonic(), 0.0


def payment(number: int, moment: float, prefix: str = "n") -> dict[str, Any]:
    """A payment; some cards, hosts and merchants come again and again."""
    return {
        "payment_id": f"{prefix}{number}",
        "created_at": datetime.fromtimestamp(moment, UTC).isoformat(),
        "amount": 10 + number % 400,
        "currency": "EUR",
        "card_id": f"c{number % 17}",
        "merchant_id": f"m{number % 7}",
        "host_id": f"10.0.0.{number % 29}",
        "mcc": "5411" if number % 3 else "6011",
        "request_country": "DK",
        "account_country": "DK" if number % 5 else "SE",
        "items": number % 4,
        "email": f"user{number % 17}@example.org",
    }


class Client:
    """One connection, opened when it is needed."""

    def __init__(self, port: int, token: str = "") -> None:
        self._port = port
        self._token = token
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.StreamReader

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer; raises OSError or EOFError when there is none."""
        try:
            async with asyncio.timeout(_TIMEOUT):
                return await self._post(path, body)
        except BaseException:
            self.close()
            raise

    async def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(request(path, body, self._token))
        head = await self._reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        answer = await self._reader.readexactly(int(fields.get(b"content-length", 0)))
        if fields.get(b"connection") == b"close":
            self.close()
        return int(head[9:12]), answer

    def close(self) -> None:
        """Let go of the connection."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def request(path: str, body: bytes, token: str = "") -> bytes:
    """A POST as it is sent."""
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    head += f"authorization: Bearer {token}\r\n" if token else ""
    return head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body


class Load:
    """Runs beside the fault, in a thread; `age` is how old payments are when they are sent, in
    seconds.
    """

    def __init__(self, port: int, *, age: float = 60.0, token: str = "") -> None:
        self.told = Told()
        self._port = port
        self._age = age
        self._token = token
        self._numbers = count()
        self._ending = False
        self._deadline = float("inf")
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def wait(self, more: int) -> None:
        """Wait until so many more payments are answered.

        Raises:
            TimeoutError: they are not.
        """
        aim = len(self.told.answers) + more
        self.until(lambda: len(self.told.answers) >= aim)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds; raises TimeoutError."""
        deadline = time.monotonic() + _PATIENCE
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError("the service does not answer again.")
            time.sleep(0.01)

    def end(self) -> Told:
        """Send nothing new, and what is not answered until it is."""
        self._deadline = time.monotonic() + _PATIENCE
        self._ending = True
        self._thread.join()
        return self.told

    async def _run(self) -> None:
        await asyncio.gather(*[self._send() for _ in range(_TOGETHER)])

    async def _send(self) -> None:
        client = Client(self._port, self._token)
        while not self._ending:
            number = next(self._numbers)
            sent = payment(number, time.time() - self._age)
            name, body = sent["payment_id"], json.dumps(sent).encode()
            answer = await self._insist(client, "/v1/decisions", body)
            if answer is None:
                self.told.unanswered.add(name)
                continue
            self.told.answers[name] = answer
            self.told.note(answer)
            if number % 5 == 0:
                await self._insist(client, f"/v1/payments/{name}/result", b'{"result":"failed"}')
            if number % 11 == 0:
                await self._insist(client, f"/v1/payments/{name}/label", b'{"fraud":true}')
            if number % _AGAIN == 0 and await self._insist(client, "/v1/decisions", body) != answer:
                self.told.changed.add(name)
        client.close()

    async def _insist(self, client: Client, path: str, body: bytes) -> bytes | None:
        while time.monotonic() < self._deadline:
            try:
                status, answer = await client.post(path, body)
            except (OSError, EOFError):
                self.told.interrupted += 1
            else:
                if status in (200, 204):
                    return answer
                if status not in (429, 503):
                    self.told.unexpected.append(f"{status} {answer.decode()}")
                    return None
                self.told.refused += 1
            await asyncio.sleep(_PAUSE)
        return None
