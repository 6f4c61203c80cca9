"""Timeouts for connections to PostgreSQL.

A suspended server, or a network that drops packets, keeps a connection open and silent, and the
driver waits forever. Here a thread watches waiting connections and closes one that has waited too
long, which the driver reports as a lost server.
"""

from __future__ import annotations

import logging
import socket
from contextlib import suppress
from threading import Lock, Thread
from time import monotonic, sleep
from typing import Any, Final, TypeVar

from psycopg import Connection, OperationalError
from psycopg.abc import PQGen
from psycopg.rows import TupleRow

T = TypeVar("T")
_POLL_SECONDS: Final = 0.25
"""Seconds between two checks."""
_CONNECTION_FAILURE: Final = "08006"
# it warns of what fails after a failure, as the end of a pipeline does; the first is raised
logging.getLogger("psycopg").setLevel(logging.ERROR)


class _Watch:
    """Shuts down sockets whose timeout has passed."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._ends: dict[int, float] = {}
        self._thread: Thread | None = None

    def begin(self, fd: int, seconds: float) -> None:
        """Start the timeout of a socket."""
        with self._lock:
            self._ends[fd] = monotonic() + seconds
            if self._thread is None:
                self._thread = Thread(target=self._run, name="shroff-silence", daemon=True)
                self._thread.start()

    def end(self, fd: int) -> None:
        """Stop the timeout of a socket."""
        with self._lock:
            self._ends.pop(fd, None)

    def _run(self) -> None:
        while True:
            sleep(_POLL_SECONDS)
            # under the lock: a closed socket's number may be reused at once
            with self._lock:
                now = monotonic()
                for fd in [fd for fd, end in self._ends.items() if end < now]:
                    del self._ends[fd]
                    _shut(fd)


class Impatient(Connection[TupleRow]):
    """A psycopg connection that breaks when the server is silent for `patience` seconds."""

    patience = 30.0

    def wait(self, gen: PQGen[T], *arguments: Any, **options: Any) -> T:
        """Wait for an answer as psycopg does, under the timeout."""
        fd = self.pgconn.socket
        _WATCH.begin(fd, self.patience)
        try:
            return super().wait(gen, *arguments, **options)
        except OperationalError as error:
            # what the driver says without a code, it says of the connection
            error.sqlstate = error.sqlstate or _CONNECTION_FAILURE
            raise
        finally:
            _WATCH.end(fd)


def _shut(fd: int) -> None:
    with suppress(OSError), socket.socket(fileno=socket.dup(fd)) as same:
        same.shutdown(socket.SHUT_RDWR)


_WATCH: Final = _Watch()
