"""Which of several workers accept connections: those that can decide, or all while none can.

They listen on one socket, so a worker that replaces another would answer its share of connections
with 503 while it starts. Each worker that accepts holds a shared lock on a file, which the kernel
releases when the worker dies; so the file shows whether any accepts.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Final

_ACCEPT_TIMEOUT_SECONDS: Final = 3.0
"""Seconds until a worker that cannot decide accepts all the same, to answer health checks."""
_POLL_SECONDS: Final = 0.02


class AcceptLock:
    """The lock of the workers that accept connections, a file in their own folder."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "accept.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __del__(self) -> None:
        os.close(self._file)

    async def enter(self, able: Callable[[], bool], ending: Callable[[], bool]) -> None:
        """Wait until this worker shall accept: it can decide, is ending, or nobody else accepts."""
        patient = monotonic() + _ACCEPT_TIMEOUT_SECONDS
        while not (able() or ending() or (monotonic() > patient and self._empty())):
            await asyncio.sleep(_POLL_SECONDS)
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def _empty(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(self._file, fcntl.LOCK_UN)
        return True
