"""The rate limit of a key, in one process or shared by several.

Processes that share a limit append each request, its moment and how many tokens it asks for, to one
log. Appending is atomic, so all of them see the requests in one order; each replays that order
through the same bucket and so knows what became of its own request. There is no lock: a process
that is descheduled, suspended or killed at any point delays nobody, and the processes together
never let more in than the limit.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

_HEAD: Final = struct.Struct("<dq")
"""A log begins with the bucket as it was: tokens left, and when (microseconds since the epoch)."""
_REQUEST: Final = struct.Struct("<qq")
"""A moment, and how many tokens are asked for."""
_DISORDER_US: Final = 1_000_000
"""Processes append a request shortly after reading the clock, so times may run back by less than
this.
"""
_MAX_REQUESTS: Final = 1 << 16
"""Requests in one log before the next one begins; a log takes one megabyte at most."""


class Bucket:
    """A token bucket: `rate` tokens a second, and as many at once (at least one).

    Args:
        now: microseconds since the epoch.
        folder: where processes of one machine share the bucket, created if it is missing; None:
            this process has it alone.

    Raises:
        OSError: the folder or its log cannot be had.

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
        """Take `tokens` if there are as many, else none; returns whether it took them."""
        if self._log is None:
            return self._take(now, tokens)
        try:
            requests = self._log.append(now, tokens)
            while requests is None:
                self._turn(self._log)
                requests = self._log.append(now, tokens)
        except OSError:
            # on a full disk each process goes on with its own copy of the bucket
            return self._take(now, tokens)
        taken = False
        for request in requests:
            taken = self._take(*request)
        return taken

    def _take(self, now: int, tokens: int) -> bool:
        if now < self._then - _DISORDER_US:
            # a clock that was set back adds no tokens and removes none
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
    """The requests of one bucket in order of arrival, in numbered files of one folder."""

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
        """The requests not read yet, up to this one, which is the last; None when the log is full.

        Raises:
            OSError: nothing can be appended.
        """
        if os.write(self._file, _REQUEST.pack(now, tokens)) != _REQUEST.size:
            raise OSError("the log took a part of a request")
        end = os.lseek(self._file, 0, os.SEEK_CUR)
        return self._requests(end) if end <= _END else None

    def rest(self) -> list[tuple[int, int]]:
        """The requests of a full log that are not read yet."""
        return self._requests(_END)

    def _requests(self, end: int) -> list[tuple[int, int]]:
        found = os.pread(self._file, end - self._read, self._read)
        self._read = end
        whole = len(found) - len(found) % _REQUEST.size
        return list(_REQUEST.iter_unpack(found[:whole]))

    def create(self, number: int, bucket: tuple[float, int]) -> tuple[float, int]:
        """Begin a log, or open the one that another process began; returns the bucket at its
        beginning.

        Raises:
            OSError: it cannot be made.
        """
        with NamedTemporaryFile(dir=self._folder, prefix=".") as draft:
            draft.write(_HEAD.pack(*bucket))
            draft.flush()
            with suppress(FileExistsError):
                # linking is atomic: the file appears whole, and only once
                os.link(draft.name, self._path(number))
        return self.newest() or bucket

    def newest(self) -> tuple[float, int] | None:
        """Take up the newest log, and return the bucket at its beginning; None when there is none
        yet.
        """
        while numbers := sorted(
            int(path.name) for path in self._folder.iterdir() if path.name.isdigit()
        ):
            try:
                file = os.open(self._path(numbers[-1]), os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # removed by a process that is ahead
            if self._file >= 0:
                os.close(self._file)
            self._file, self._read, self.number = file, _HEAD.size, numbers[-1]
            for number in numbers[:-1]:
                self._path(number).unlink(missing_ok=True)
            left, then = _HEAD.unpack(os.pread(file, _HEAD.size, 0))
            return left, then
        return None

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:012d}"


_END: Final = _HEAD.size + _MAX_REQUESTS * _REQUEST.size
