"""A client that pays steadily beside whatever else is asked, and how long it waits for each answer.

It is a process of its own, so that it waits for the service and not for whoever makes the cases.
What the service and it waited for a processor (Linux counts that) is taken off: on a busy machine
that says nothing about the service.

    python -m benchmarks.fuzz.neighbour PORT TOKEN PID
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from benchmarks.faults.load import payment

_PAUSE: Final = 0.02
PATIENCE: Final = 60.0
"""Seconds after which it gives up waiting for one answer."""
_ROOT: Final = Path(__file__).parents[2]


class Paid(msgspec.Struct):
    """One payment: when it was sent (monotonic), how long its answer took in seconds, what it
    was.
    """

    sent: float
    delay: float
    wrong: str = ""
    """What is wrong with the answer; empty for a decision with a probability, or without one and
    degraded.
    """


@dataclass
class Neighbour:
    """Pays from entry to exit; `token` is its API key, `pid` the process of the service."""

    port: int
    token: str
    pid: int
    paid: list[Paid] = field(default_factory=list)
    _process: subprocess.Popen[str] = field(init=False)

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", __name__, str(self.port), self.token, str(self.pid)]
        self._process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def since(self, moment: float) -> list[Paid]:
        """What was paid since a moment, with at least one payment that was sent after now."""
        now = time.monotonic()
        while self._process.poll() is None and (not self.paid or self.paid[-1].sent < now):
            time.sleep(0.005)
        return [one for one in self.paid if one.sent + one.delay >= moment]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.paid.append(msgspec.json.decode(line, type=Paid))


def queued(pid: int | str) -> float:
    """Seconds that the first thread of a process has waited for a processor so far."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def _pay(port: int, token: str, pid: int) -> None:
    connection, number = HTTPConnection("127.0.0.1", port, timeout=PATIENCE), 0
    while True:
        sent, waited = time.monotonic(), queued(pid) + queued("self")
        wrong = _decide(connection, token, number)
        delay = time.monotonic() - sent
        delay -= min(delay, queued(pid) + queued("self") - waited)
        sys.stdout.write(msgspec.json.encode(Paid(sent, delay, wrong)).decode() + "\n")
        sys.stdout.flush()
        number += 1
        time.sleep(_PAUSE)


def _decide(connection: HTTPConnection, token: str, number: int) -> str:
    body = json.dumps(payment(number, time.time() - 60, f"neighbour-{time.time_ns()}-"))
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    try:
        connection.request("POST", "/v1/decisions", body, headers)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, HTTPException) as error:
        connection.close()
        return f"the neighbour was not answered ({type(error).__name__})"
    return misjudged(answer.status, content)


def misjudged(status: int, content: bytes) -> str:
    """What is wrong with the answer to a good payment.

    >>> misjudged(200, b'{"probability": 0.5, "degraded": false}')
    ''
    >>> misjudged(200, b'{"probability": null, "degraded": false}')
    'the neighbour was given no probability, and no word that the decision is degraded'
    """
    if status == 503:
        return ""
    if status != 200:
        return f"the neighbour was answered {status}"
    decision: dict[str, Any] = json.loads(content)
    probability = decision["probability"]
    if probability is None and not decision["degraded"]:
        return "the neighbour was given no probability, and no word that the decision is degraded"
    whole = probability is None or 0 <= probability <= 1
    return "" if whole else "the neighbour was given a probability that is none"


if __name__ == "__main__":
    _pay(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
