"""Kill the service at every system call that lies between a payment and its answer."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.faults.load import Client, Told, payment
from benchmarks.faults.place import Place
from benchmarks.faults.service import Service
from benchmarks.faults.verdict import Verdict, judge
from shroff.ledger import Ledger
from shroff.package import load as load_bundle

_CALLS: Final = (
    "read,recvfrom,recvmsg",
    "pwrite64",
    "fsync,fdatasync",
    "write,writev,sendto,sendmsg",
)
_MOST: Final = 6
_BEFORE, _AFTER, _ANSWERED = (
    "before its commit",
    "after its commit and before its answer",
    "after its answer",
)


def steps(place: Place) -> Verdict:
    """One payment after another, each killed at the n-th system call of a kind that a thread
    enters.
    """
    if shutil.which("strace") is None:
        raise LookupError("strace is not installed: apt-get install strace")
    service, told, found = Service(place.bundle, place.folder), Told(), Counter[str]()
    with service:
        for calls in _CALLS:
            for at in range(1, _MOST + 1):
                step = _one(service, calls, at, sum(found.values()), told)
                found[step] += 1
                if step == _ANSWERED:
                    break
    done = "at each system call of a payment: " + ", ".join(
        f"{found[step]} {step}" for step in found
    )
    verdict = judge("kill -9 at each step", done, told, load_bundle(place.bundle), service.ledger)
    missing = tuple(f"no kill came {step}" for step in (_BEFORE, _AFTER) if not found[step])
    return replace(verdict, wrong=verdict.wrong + missing)


def _one(service: Service, calls: str, at: int, number: int, told: Told) -> str:
    """Send a payment to a service that is killed on the way, then again to one that is not; when it
    was killed.
    """
    sent = payment(number, time.time(), "step")
    name, body = sent["payment_id"], json.dumps(sent).encode()
    # it has answered before, so what is done once is done
    asyncio.run(_ask(service.port, json.dumps(payment(number, time.time(), "first")).encode()))
    inject = f"inject={calls}:signal=KILL:when={at}"
    command = ["strace", "-f", "-q", "-o", "/dev/null", "-e", f"trace={calls}", "-e", inject]
    tracer = subprocess.Popen([*command, "-p", str(service.process.pid)], stderr=subprocess.PIPE)
    try:
        _wait_until_traced(service)
        first = asyncio.run(_ask(service.port, body))
    finally:
        service.kill()
        tracer.wait()
        if tracer.stderr is not None:
            tracer.stderr.close()
    ledger = Ledger(service.ledger)
    recorded = any(entry.payment_id == name for entry in ledger.entries())
    ledger.close()
    service.start()
    again = asyncio.run(_ask(service.port, body))
    told.interrupted += first is None
    if again is None:
        told.unanswered.add(name)
    else:
        told.answers[name] = first or again
        if first not in (None, again):
            told.changed.add(name)
    return _ANSWERED if first is not None else _AFTER if recorded else _BEFORE


def _wait_until_traced(service: Service) -> None:
    status = Path(f"/proc/{service.process.pid}/status")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(FileNotFoundError), status.open() as lines:
            if any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in lines):
                # the other threads follow
                time.sleep(0.1)
                return
        time.sleep(0.01)
    raise LookupError("strace cannot trace another process here")


async def _ask(port: int, body: bytes) -> bytes | None:
    client = Client(port)
    with suppress(OSError, EOFError):
        status, answer = await client.post("/v1/decisions", body)
        client.close()
        return answer if status == 200 else None
    return None
