"""Several processes that answer on one port: started and stopped as one, and started again when one dies."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from time import monotonic
from types import FrameType
from typing import Final

from shroff.errors import ConfigurationError, ShroffError
from shroff.settings import Settings

Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None
Work = Callable[[socket.socket], None]
"""Answers on a listening socket until SIGTERM; importable and picklable."""

_DRAIN: Final = 40.0
"""Seconds that workers get to finish what is in flight."""
_YOUNG: Final = 10.0
"""A worker that dies within so many seconds of its start is not started for ever."""
_TRIES: Final = 5
_log = logging.getLogger("shroff.serve")


def require_shared(settings: Settings) -> None:
    """Raise `ConfigurationError` unless several processes can share the state and the ledger."""
    if settings.state == "memory":
        raise ConfigurationError(
            "several workers need a state that they share: set SHROFF_STATE to the URL of a Redis server."
        )
    if not settings.ledger.startswith("postgresql"):
        raise ConfigurationError(
            "several workers need a ledger that all of them write: set SHROFF_LEDGER to a PostgreSQL database."
        )


class Workers:
    """`number` processes that do `work` on one listening socket.

    A worker that dies is replaced. SIGTERM and SIGINT end all of them, each after what it has in flight.
    """

    def __init__(self, work: Work, listener: socket.socket, number: int) -> None:
        self._context = get_context("spawn")
        self._work = work
        self._listener = listener
        self._number = number
        self._running: dict[int, tuple[BaseProcess, float]] = {}
        self._stop_reader, self._stop_writer = self._context.Pipe(duplex=False)
        self._early_deaths = 0

    def run(self) -> None:
        """Run until told to stop.

        Raises:
            ShroffError: workers die as soon as they are started.
        """
        before = self._catch_signals()
        try:
            for _ in range(self._number):
                self._start()
            while self._watch():
                pass
        finally:
            self._end()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _catch_signals(self) -> dict[int, Handler]:
        if threading.current_thread() is not threading.main_thread():
            return {}
        return {
            int(number): signal.signal(number, lambda *_: self._stop_writer.send(True))
            for number in (signal.SIGTERM, signal.SIGINT)
        }

    def _start(self) -> None:
        process = self._context.Process(target=self._work, args=(self._listener,), daemon=False)
        process.start()
        self._running[process.sentinel] = process, monotonic()

    def _watch(self) -> bool:
        """Wait until a worker dies, and replace it; False when told to stop."""
        for ready in wait([*self._running, self._stop_reader]):
            if ready is self._stop_reader:
                return False
            if not isinstance(ready, int):
                continue
            process, started = self._running.pop(ready)
            process.join()
            _log.warning("a worker ended with code %s; another takes its place.", process.exitcode)
            self._early_deaths = self._early_deaths + 1 if monotonic() - started < _YOUNG else 0
            if self._early_deaths >= _TRIES:
                raise ShroffError("workers end as soon as they are started: see what they logged.")
            self._start()
        return True

    def _end(self) -> None:
        for process, _ in self._running.values():
            process.terminate()
        deadline = monotonic() + _DRAIN
        for process, _ in self._running.values():
            process.join(max(0.0, deadline - monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
