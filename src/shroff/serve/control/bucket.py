"""How often a key may be used: by one process, or by several that share one limit."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_KEPT: Final = struct.Struct("<dq")  # what is left, and since when
_TRIES: Final = 1_000  # for a lock that is held for some microseconds: less than a millisecond


class Bucket:
    """A token bucket: `rate` requests a second, and as many at once (at least one).

    Args:
        now: microseconds since the epoch.
        file: where processes of one machine keep a bucket together; None: this one has it alone.

    Raises:
        OSError: the file cannot be had.

    >>> bucket = Bucket(2, 0)
    >>> [bucket.take(0), bucket.take(0), bucket.take(0), bucket.take(500_000)]
    [True, True, False, True]
    """

    __slots__ = ("_file", "_left", "_most", "_rate", "_then")

    def __init__(self, rate: float, now: int, *, file: Path | None = None) -> None:
        self._rate = rate
        self._most = self._left = max(rate, 1.0)
        self._then = now
        self._file = None if file is None else os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self, now: int) -> bool:
        """Whether there is one for a request now; then it is taken."""
        if self._file is None:
            return self._take(now)
        with _lock(self._file):
            kept = os.pread(self._file, _KEPT.size, 0)
            if kept:
                self._left, self._then = _KEPT.unpack(kept)
            taken = self._take(now)
            with suppress(OSError):  # on a full disk each goes on with its own
                os.pwrite(self._file, _KEPT.pack(self._left, self._then), 0)
        return taken

    def _take(self, now: int) -> bool:
        # a clock that is set back gives nothing and takes nothing
        passed = max(now - self._then, 0) / 1e6
        self._left = min(self._most, self._left + passed * self._rate)
        self._then = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


@contextmanager
def _lock(file: int) -> Iterator[None]:
    """Keep the others out, if that takes no time: one that was suspended with the lock must not stop all of them."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        break
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
