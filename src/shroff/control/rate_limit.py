"""The rate limit of a key, in one process or shared by several.

Processes that share a limit append each request, its time and its number of tokens, to one log.
Appends are atomic, so all processes see the requests in one order; each replays them through the
same bucket, which decides its own request. There is no lock: a process that is descheduled,
suspended or killed delays nobody, and together the processes never exceed the limit.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

_HEAD_FORMAT: Final = struct.Struct("<dq")
"""A log begins with the bucket's state: its tokens, and the time (microseconds since the epoch)."""
_REQUEST_FORMAT: Final = struct.Struct("<qq")
"""The time of a request, and its number of tokens."""
_DISORDER_US: Final = 1_000_000
"""How far times may run back: processes append a request shortly after reading the clock."""
_MAX_REQUESTS: Final = 1 << 16
"""Most requests in one log, which then has one megabyte."""


class Bucket:
    """A token bucket: `rate` tokens a second, and as many at once (at least one).

    Args:
        now: microseconds since the epoch.
        folder: where processes of one machine share the bucket, created if missing; None: a bucket
            of this process alone.

    Raises:
        OSError: the folder or its log cannot be opened.

    >>> bucket = Bucket(2, 0)
    >>> [bucket.take(0), bucket.take(0), bucket.take(0), bucket.take(500_000)]
    [True, True, False, True]
    >>> bucket.take(1_500_000, 3), bucket.take(1_500_000, 2)
    (False, True)
    """

    __slots__ = ("_left", "_log", "_most", "_rate", "_then")

    def __init__(self, rate: float, now: int, *, folder: Path | None = None) -> None:
        self._rate = rate
        self._most = self._left = max(rate, 1.0)
        self._then = now
        self._log = None if folder is None else _Log(folder)
        if self._log is not None:
            self._begin(self._log)

    def take(self, now: int, tokens: int = 1) -> bool:
        """Take `tokens` if there are enough, else none; returns whether it took them."""
        if self._log is None:
            return self._take(now, tokens)
        try:
            requests = self._log.append(now, tokens)
            while requests is None:
                self._turn(self._log)
                requests = self._log.append(now, tokens)
        except OSError:
            # on a full disk, each process goes on with its own copy of the bucket
            return self._take(now, tokens)
        taken = False
        for request in requests:
            taken = self._take(*request)
        return taken

    def _take(self, now: int, tokens: int) -> bool:
        if now < self._then - _DISORDER_US:
            # a clock that was set back neither adds nor removes tokens
            self._then = now
        elif now > self._then:
            self._left = min(self._most, self._left + (now - self._then) / 1e6 * self._rate)
            self._then = now
        if self._left < tokens:
            return False
        self._left -= tokens
        return True

    def _begin(self, log: _Log) -> None:
        """Open the newest log, or begin the first one."""
        self._left, self._then = log.newest() or log.create(1, (self._left, self._then))

    def _turn(self, log: _Log) -> None:
        """Begin the next log with the tokens that the full one leaves in the bucket."""
        for request in log.rest():
            self._take(*request)
        self._left, self._then = log.create(log.number + 1, (self._left, self._then))


class _Log:
    """The requests of one bucket in order of arrival, in a folder's numbered files."""

    __slots__ = ("_file", "_folder", "_read", "number")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = -1
        self._read = 0
        self.number = 0
        folder.mkdir(mode=0o700, exist_ok=True)

    def __del__(self) -> None:
        if self._file >= 0:
            os.close(self._file)

    def append(self, now: int, tokens: int) -> list[tuple[int, int]] | None:
        """The unread requests up to this one, which comes last; None if the log is full.

        Raises:
            OSError: nothing can be appended.
        """
        if os.write(self._file, _REQUEST_FORMAT.pack(now, tokens)) != _REQUEST_FORMAT.size:
            raise OSError("the log took a part of a request")
        end = os.lseek(self._file, 0, os.SEEK_CUR)
        return self._requests(end) if end <= _MAX_LOG_BYTES else None

    def rest(self) -> list[tuple[int, int]]:
        """The unread requests of a full log."""
        return self._requests(_MAX_LOG_BYTES)

    def _requests(self, end: int) -> list[tuple[int, int]]:
        found = os.pread(self._file, end - self._read, self._read)
        self._read = end
        whole = len(found) - len(found) % _REQUEST_FORMAT.size
        return list(_REQUEST_FORMAT.iter_unpack(found[:whole]))

    def create(self, number: int, bucket: tuple[float, int]) -> tuple[float, int]:
        """Begin a log, or open another process's; returns the bucket at its beginning.

        Raises:
            OSError: it cannot be made.
        """
        with NamedTemporaryFile(dir=self._folder, prefix=".") as draft:
            draft.write(_HEAD_FORMAT.pack(*bucket))
            draft.flush()
            with suppress(FileExistsError):
                # linking is atomic: the file appears whole, and only once
                os.link(draft.name, self._path(number))
        return self.newest() or bucket

    def newest(self) -> tuple[float, int] | None:
        """Take up the newest log; the bucket at its beginning, None if there is no log yet."""
        while numbers := sorted(
            int(path.name) for path in self._folder.iterdir() if path.name.isdigit()
        ):
            try:
                file = os.open(self._path(numbers[-1]), os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # a process that is further ahead removed it
            if self._file >= 0:
                os.close(self._file)
            self._file, self._read, self.number = file, _HEAD_FORMAT.size, numbers[-1]
            for number in numbers[:-1]:
                self._path(number).unlink(missing_ok=True)
            left, then = _HEAD_FORMAT.unpack(os.pread(file, _HEAD_FORMAT.size, 0))
            return left, then
        return None

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:012d}"


_MAX_LOG_BYTES: Final = _HEAD_FORMAT.size + _MAX_REQUESTS * _REQUEST_FORMAT.size
