"""Worker processes on one port: started and stopped together, and replaced when they die."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from types import FrameType
from typing import Final

from shroff.errors import ConfigurationError, ShroffError
from shroff.settings import Settings

Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None
Work = Callable[[socket.socket, "Seat"], None]
"""Serves on a listening socket until SIGTERM; importable and picklable."""

_SIGNAL_INTERVAL_SECONDS: Final = 0.5
"""Seconds between two SIGTERMs to an orphaned worker."""
_EARLY_DEATH_SECONDS: Final = 10.0
"""A worker that dies within so many seconds of its start died early."""
_MAX_EARLY_DEATHS: Final = 5
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seat:
    """The place of one worker, which its replacement takes over when it dies.

    `folder` is the workers' own while any of them runs; `seats` is how many there are.
    """

    folder: Path
    number: int
    seats: int = 1

    @property
    def name(self) -> str:
        """A name unique among the seats of all services.

        >>> Seat(Path("/tmp/shroff-x7"), 1).name
        'shroff-x7-1'
        """
        return f"{self.folder.name}-{self.number}"


def require_shared(settings: Settings) -> None:
    """Raise `ConfigurationError` unless several processes can share the state and the ledger."""
    if settings.state == "memory":
        raise ConfigurationError(
            "several workers need a state that they share: set SHROFF_STATE to the URL of a Redis "
            "server."
        )
    if not settings.ledger.startswith("postgresql"):
        raise ConfigurationError(
            "several workers need a ledger that all of them write: set SHROFF_LEDGER to a "
            "PostgreSQL database."
        )


class Workers:
    """`number` processes that do `work` on one listening socket.

    A worker that dies is replaced. SIGTERM, SIGINT and the death of the parent process end all
    workers, each after its requests in flight, for which it has `drain` seconds.
    """

    def __init__(
        self, work: Work, listener: socket.socket, number: int, *, drain: float = 40.0
    ) -> None:
        self._context = get_context("spawn")
        self._work = work
        self._listener = listener
        self._number = number
        self._drain = drain
        self._running: dict[int, tuple[BaseProcess, float, Seat]] = {}
        self._stop_reader, self._stop_writer = self._context.Pipe(duplex=False)
        self._early_deaths = 0

    def run(self) -> None:
        """Run until SIGTERM or SIGINT.

        Raises:
            ShroffError: workers keep dying early.
        """
        before = self._catch_signals()
        try:
            with TemporaryDirectory(prefix="shroff-", ignore_cleanup_errors=True) as folder:
                self._live(Path(folder))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _catch_signals(self) -> dict[int, Handler]:
        if threading.current_thread() is not threading.main_thread():
            return {}
        return {
            int(number): signal.signal(number, lambda *_: self._stop_writer.send(True))
            for number in (signal.SIGTERM, signal.SIGINT)
        }

    def _live(self, folder: Path) -> None:
        try:
            for number in range(self._number):
                self._start(Seat(folder, number, self._number))
            while self._watch():
                pass
        finally:
            self._end()

    def _start(self, seat: Seat) -> None:
        process = self._context.Process(
            target=_sit, args=(self._work, self._listener, seat, self._drain), daemon=False
        )
        process.start()
        self._running[process.sentinel] = process, monotonic(), seat

    def _watch(self) -> bool:
        """Wait until a worker dies, and replace it; False when stopping."""
        for ready in wait([*self._running, self._stop_reader]):
            if ready is self._stop_reader:
                return False
            if not isinstance(ready, int):
                continue
            process, started, seat = self._running.pop(ready)
            process.join()
            _log.warning("a worker ended with code %s; another takes its place.", process.exitcode)
            self._early_deaths = (
                self._early_deaths + 1 if monotonic() - started < _EARLY_DEATH_SECONDS else 0
            )
            if self._early_deaths >= _MAX_EARLY_DEATHS:
                raise ShroffError("workers end as soon as they are started: see what they logged.")
            self._start(seat)
        return True

    def _end(self) -> None:
        for process, *_ in self._running.values():
            process.terminate()
        deadline = monotonic() + self._drain
        for process, *_ in self._running.values():
            process.join(max(0.0, deadline - monotonic()))
            if process.is_alive():
                process.kill()
                process.join()


def _sit(work: Work, listener: socket.socket, seat: Seat, drain: float) -> None:
    """Work on a seat while the parent process lives."""
    threading.Thread(
        target=_end_with_parent, args=(drain,), name="shroff-parent", daemon=True
    ).start()
    work(listener, seat)


def _end_with_parent(drain: float) -> None:
    """End this process once its parent is dead: gracefully, or by force after `drain` seconds.

    SIGTERM is repeated until it works: a worker that starts or ends may not handle it yet.
    """
    parent = parent_process()
    if parent is None:
        return
    wait([parent.sentinel])
    deadline = monotonic() + drain
    while monotonic() < deadline:
        os.kill(os.getpid(), signal.SIGTERM)
        sleep(_SIGNAL_INTERVAL_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
