"""Faults of clients: slow ones, ones that do not read, very many at once."""

from __future__ import annotations

import json
import resource
import selectors
import socket
import time
from contextlib import ExitStack, suppress
from typing import Final

from benchmarks.faults.load import Load, payment, request
from benchmarks.faults.place import Place
from benchmarks.faults.service import Service
from benchmarks.faults.verdict import Verdict
from shroff.serve.connection import READ_TIMEOUT_SECONDS

_SLOW: Final = 100
_PATIENCE_SECONDS: Final = 30.0
"""After its limit, for a service on a busy machine to let go of slow clients."""
_MANY: Final = 10_000
_SPARE: Final = 200


def slow(place: Place) -> Verdict:
    """Clients that send byte by byte, half a request, or much without reading an answer."""

    def happen(service: Service, load: Load) -> str:
        sent = request("/v1/decisions", json.dumps(payment(0, time.time(), "slow")).encode())
        with ExitStack() as stack:
            drops, halves, deaf = (
                [_connect(service, stack) for _ in range(_SLOW)] for _ in range(3)
            )
            for one in halves:
                one.sendall(sent[: len(sent) // 2])
            for one in deaf:
                with suppress(BlockingIOError):
                    while True:
                        one.send(sent * 50)
            began = time.monotonic()
            for at in range(int(READ_TIMEOUT_SECONDS * 2)):
                for one in drops:
                    with suppress(OSError):
                        one.send(sent[at : at + 1])
                time.sleep(0.5)
            left = [*drops, *halves]
            while left and time.monotonic() < began + READ_TIMEOUT_SECONDS + _PATIENCE_SECONDS:
                time.sleep(0.1)
                left = [one for one in left if not _closed(one)]
            if left:
                raise RuntimeError(f"{len(left)} slow clients were not let go")
            took = time.monotonic() - began
        gone = f"all let go after {took:.0f} s"
        return f"{_SLOW} send byte by byte, {_SLOW} half a request ({gone}), {_SLOW} read nothing"

    return place.suffer("slow clients", happen)


def _connect(service: Service, stack: ExitStack) -> socket.socket:
    connection = stack.enter_context(
        socket.create_connection(("127.0.0.1", service.port), timeout=30)
    )
    connection.setblocking(False)
    return connection


def _closed(connection: socket.socket) -> bool:
    try:
        while data := connection.recv(65_536):
            del data
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def many(place: Place) -> Verdict:
    """Very many connections open at once, each with a payment."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    wanted = min(_MANY, most - _SPARE)

    def happen(service: Service, load: Load) -> str:
        with ExitStack() as stack, selectors.DefaultSelector() as selector:
            connections = [_connect(service, stack) for _ in range(wanted)]
            for number, connection in enumerate(connections):
                name = f"many{number}"
                body = json.dumps(payment(number, time.time() - 60, "many")).encode()
                connection.send(request("/v1/decisions", body))
                selector.register(connection, selectors.EVENT_READ, name)
            _collect(selector, wanted, load)
        return f"{wanted:,} open at once beside the load, a payment over each"

    return place.suffer("open connections", happen)


def _collect(selector: selectors.BaseSelector, wanted: int, load: Load) -> None:
    deadline, parts = time.monotonic() + 60, dict[str, bytes]()
    answers: dict[str, bytes] = {}
    while len(answers) < wanted:
        for key, _ in selector.select(timeout=1):
            connection = key.fileobj
            if not isinstance(connection, socket.socket):
                continue
            received = connection.recv(65_536)
            whole = parts[key.data] = parts.get(key.data, b"") + received
            head, end, body = whole.partition(b"\r\n\r\n")
            if not received:
                raise RuntimeError("a connection was closed without an answer")
            if end and len(body) == int(
                head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
            ):
                selector.unregister(connection)
                if head[9:12] != b"200":
                    raise RuntimeError(f"one of many was answered {head[9:12].decode()}")
                answers[key.data] = body
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {len(answers):,} of {wanted:,} were answered within a minute")
    load.told.answers.update(answers)
