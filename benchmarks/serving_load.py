"""The load generator of `serving.py`: one closed loop over plain sockets, the same for every
server.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CLIENT_CORES = frozenset({1})
"""Where the load generator runs, apart from a server on the first core."""


@dataclass(frozen=True)
class Run:
    """One run: how long each good answer took in milliseconds [n], failures, seconds, server CPU µs
    a request.
    """

    milliseconds: NDArray[np.float64]
    failures: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return (len(self.milliseconds) + self.failures) / self.seconds


def request(path: str, body: bytes) -> bytes:
    """One request as it is sent."""
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body


def drive(
    port: int,
    requests: Sequence[bytes],
    parallel: int,
    group: int,
    *,
    cores: Collection[int] = CLIENT_CORES,
) -> Run:
    """Send all requests over `parallel` connections, each as soon as the answer before it came.

    Args:
        group: the process group of the server, whose processor time is counted.
        cores: where this process runs.

    Raises:
        ConnectionError: the server closed a connection.
    """
    os.sched_setaffinity(0, cores)
    before = processor_seconds(group)
    loop = _Loop(port, requests)
    seconds = loop.run(min(parallel, len(requests)))
    cpu = (processor_seconds(group) - before) / len(requests) * 1e6
    return Run(np.array(loop.milliseconds), loop.failures, seconds, cpu)


def processor_seconds(group: int) -> float:
    """User and system time of all processes of a group."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == group:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


class _Loop:
    def __init__(self, port: int, requests: Sequence[bytes]) -> None:
        self.milliseconds: list[float] = []
        self.failures = 0
        self._port = port
        self._left: Iterator[bytes] = iter(requests)
        self._wanted = len(requests)
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._parts: dict[int, bytes] = {}
        self._sent: dict[int, float] = {}

    def run(self, parallel: int) -> float:
        started = time.perf_counter()
        for _ in range(parallel):
            self._open()
        while len(self.milliseconds) + self.failures < self._wanted:
            for descriptor, _ in self._poll.poll():
                self._receive(descriptor)
        seconds = time.perf_counter() - started
        for connection in self._sockets.values():
            connection.close()
        return seconds

    def _open(self) -> None:
        connection = socket.create_connection(("127.0.0.1", self._port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        descriptor = connection.fileno()
        self._sockets[descriptor], self._parts[descriptor] = connection, b""
        self._poll.register(descriptor, select.EPOLLIN)
        self._send(descriptor)

    def _send(self, descriptor: int) -> None:
        following = next(self._left, None)
        if following is not None:
            self._sent[descriptor] = time.perf_counter()
            self._sockets[descriptor].sendall(following)

    def _receive(self, descriptor: int) -> None:
        data = self._sockets[descriptor].recv(65536)
        if not data:
            raise ConnectionError("the server closed a connection")
        data = self._parts[descriptor] + data
        self._parts[descriptor] = b""
        if not _whole(data):
            self._parts[descriptor] = data
            return
        if data[9:12] == b"200":
            self.milliseconds.append((time.perf_counter() - self._sent[descriptor]) * 1000)
        else:
            self.failures += 1
        self._send(descriptor)


def _whole(data: bytes) -> bool:
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = data[:end].lower() + b"\r\n"
    at = head.find(b"content-length:")
    if at < 0:
        return data.endswith(b"0\r\n\r\n")  # chunked
    return len(data) >= end + 4 + int(head[at + 15 : head.index(b"\r", at)])
