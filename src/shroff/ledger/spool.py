"""The spool: a file on local disk that takes entries while the ledger's database is away."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from time import time_ns
from typing import Final

from shroff.errors import LedgerUnavailable
from shroff.ledger import frames
from shroff.ledger.database import Head
from shroff.ledger.frames import Frame
from shroff.ledger.record import Entry
from shroff.private import private_file, private_folder

_FILE_SUFFIX: Final = ".spool"
_log = logging.getLogger(__name__)


class _File:
    """A file that this process locks while it is open."""

    def __init__(self, path: Path) -> None:
        """Raises BlockingIOError if another process holds the lock, OSError if it does not open."""
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # the lock ends with the process, however it ends
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.size = os.fstat(self.fd).st_size
        except BaseException:
            os.close(self.fd)
            raise

    def read(self) -> bytes:
        return self.path.read_bytes()

    def add(self, data: bytes) -> None:
        """Append and sync; on OSError the file is unchanged."""
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(self.fd, data[written:], self.size + written)
            _sync(self.fd)
        except OSError:
            with suppress(OSError):
                self.cut(self.size)
            raise
        self.size += len(data)

    def cut(self, size: int) -> None:
        """Truncate the file to so many bytes."""
        self.size = size
        os.ftruncate(self.fd, size)
        _sync(self.fd)

    def close(self) -> None:
        os.close(self.fd)


class Spool:
    """Entries on local disk, in order, at most `limit` bytes of them.

    Every process has its own file in the folder. The process that opens the spool next takes over
    the files of processes that have ended.
    """

    def __init__(self, folder: Path, *, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        self._own: _File | None = None
        self._left: list[_File] = []

    def open(self) -> None:
        """Lock its own file, and the files that earlier processes left.

        Raises:
            OSError: the folder cannot be used.
        """
        private_folder(self.folder)
        names = sorted(
            self.folder.glob(f"*{_FILE_SUFFIX}"), key=lambda path: (len(path.name), path.name)
        )
        for path in names:
            with suppress(BlockingIOError):
                self._left.append(_File(path))
        self._own = self._left[0] if self._left else self._new()
        _sync_folder(self.folder)

    def leftovers(self) -> Iterator[list[Frame]]:
        """The frames of each file that an earlier process left; asking for the next empties the
        file.

        Raises:
            LedgerUnavailable: a file cannot be read or emptied.
        """
        try:
            for file in self._left:
                if file.size:
                    found = frames.read(file.read())
                    self._tell(file, found)
                    yield found.frames
                    file.cut(0)
        except OSError as error:
            raise LedgerUnavailable(
                f"the spool in {self.folder} cannot be drained ({error.strerror}): see that its "
                "disk has space."
            ) from None
        self._close_left()

    def add(self, last: Head, entries: Sequence[Entry]) -> None:
        """Make entries durable, all or none; `last` is their ledger's last known record.

        Raises:
            LedgerUnavailable: the spool is full, or cannot be written.
        """
        file, data = self._own, frames.frame(last.seq, last.chain, entries)
        if file is None or file.size + len(data) > self.limit:
            raise LedgerUnavailable(
                f"the ledger's database is away and the spool is full ({self.limit:,} bytes): "
                "send again later."
            )
        try:
            file.add(data)
        except OSError as error:
            raise LedgerUnavailable(
                f"the ledger's database is away and the spool {file.path} cannot be written "
                f"({error.strerror}): send again later."
            ) from None

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return 0 if self._own is None else self._own.size

    def clear(self) -> None:
        """Remove all entries, once the ledger has them."""
        if self._own is not None:
            # entries that stay are found in the ledger when they are drained again
            with suppress(OSError):
                self._own.cut(0)

    def close(self) -> None:
        """Unlock the files, which keep their entries."""
        self._close_left()
        if self._own is not None:
            self._own.close()
        self._own = None

    def _close_left(self) -> None:
        for file in self._left:
            if file is not self._own:
                file.close()
        self._left = []

    def _new(self) -> _File:
        for number in count(1):
            with suppress(BlockingIOError):
                return _File(self.folder / f"{number}{_FILE_SUFFIX}")
        raise AssertionError  # numbers do not end

    def _tell(self, file: _File, found: frames.SpoolContents) -> None:
        if found.damaged:
            # kept for a person to examine: a client may have got an answer from it
            kept = file.path.with_name(f"{file.path.name}.{time_ns()}.damaged")
            private_file(kept)
            with kept.open("wb") as copy:
                copy.write(file.read())
                copy.flush()
                os.fsync(copy.fileno())
            _log.error(
                "%s of the spool %s could not be read: the whole file was kept as %s.",
                f"{found.damaged + found.torn:,} bytes",
                file.path,
                kept,
                extra={"event": "spool_damaged"},
            )
        elif found.torn:
            _log.warning(
                "the last %s of the spool %s were cut off by a crash, before anybody was answered.",
                f"{found.torn:,} bytes",
                file.path,
                extra={"event": "spool_torn"},
            )


def _sync(fd: int) -> None:
    # on macOS, only F_FULLFSYNC also empties the drive's cache
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is None:
        os.fsync(fd)
    else:
        fcntl.fcntl(fd, full)


def _sync_folder(folder: Path) -> None:
    """Sync a folder, or a crash may lose a new file in it."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
