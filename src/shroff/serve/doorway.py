"""Which of several workers take connections: those that can decide, and while none can, all of
them.

They listen on one socket, so a worker that has just taken the place of another would answer its
share of connections with 503 while it starts. A file says whether anybody takes connections: each
who does holds a shared lock on it, which the kernel takes back when it dies.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Final

_PATIENCE_SECONDS: Final = 3.0
"""Seconds after which a worker that cannot decide takes connections if nobody else does: health
must be answered.
"""
_LOOK_SECONDS: Final = 0.02


class Doorway:
    """The way to the connections that workers share, in the folder that is theirs alone."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "doorway", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __del__(self) -> None:
        os.close(self._file)

    async def enter(self, able: Callable[[], bool], ending: Callable[[], bool]) -> None:
        """Wait until this worker is to take connections: it is able to decide, ending, or nobody
        else takes any.
        """
        patient = monotonic() + _PATIENCE_SECONDS
        while not (able() or ending() or (monotonic() > patient and self._empty())):
            await asyncio.sleep(_LOOK_SECONDS)
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def _empty(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(self._file, fcntl.LOCK_UN)
        return True
