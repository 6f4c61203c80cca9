"""A ledger in a SQLite file: one process writes it, any may read it."""

from __future__ import annotations

import fcntl
import math
import os
import sqlite3
import struct
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine

from shroff.database.causes import reason, remedy
from shroff.errors import ConfigurationError, LedgerUnavailable
from shroff.ledger.statements import Cursor, cursor
from shroff.private import is_gone, mark_made, mark_of, private_file, private_folder

# for a lock that another program holds
_LOCK_TIMEOUT_SECONDS = 1.0
# the bits of an error's code that say its kind
_PRIMARY_CODE = 0xFF
# between two looks at the files themselves, which a change of their content does not show in
_LOOK_SECONDS = 1.0
# age after which a folder's next change is sure to have a later time
_CLOCK_STEP_NS = 1_000_000_000
_MISSING = (
    "there is no such file; see that SHROFF_LEDGER or SHROFF_HOME names the right one, which a "
    "service makes when it first starts"
)

# of which a file has so many, each of so many bytes
_PAGES = ("page_count", "page_size")

# of the head of a log's index (SQLite's `WalIndexHdr`, twice): bytes of a page, and how many are in
# the log
_INDEX_HEAD = struct.Struct("=14xHI")
_INDEX_HEAD_BYTES = 2 * 48
_LOG_HEAD_BYTES, _FRAME_HEAD_BYTES = 32, 24

_Identity = tuple[int, int]
_FolderState = tuple[int, int, int]


class SQLite:
    """The ledger's database as a SQLite file in WAL mode, synced at each commit."""

    engine: Engine
    alone = True
    turn = "BEGIN IMMEDIATE"  # lock at once: later, the last record could be outdated

    def __init__(self, url: URL) -> None:
        if url.query or url.database in (None, "", ":memory:"):
            raise ConfigurationError(
                "expected the ledger in a file, `sqlite:///folder/ledger.db`, got a URL without a "
                "file name."
            )
        # two names of one file are one ledger
        self._path = Path(str(url.database)).resolve()
        # text: every commit asks for it twice, and a path is made anew each time
        self._folder = str(self._path.parent)
        self._file: _Identity | None = None
        self._log = self._path.with_name(f"{self._path.name}-wal")
        self._log_name = str(self._log)
        self._log_bytes = 0
        self._log_index: int | None = None
        self._opened_log: _Identity | None = None
        self._writing: Connection | None = None
        self._lost: str | None = None
        self._undisturbed: _FolderState | None = None
        self._looked = 0.0
        self._bytes = 0
        self._lock: int | None = None
        self._waits = True
        self.engine = create_engine(
            "sqlite+pysqlite://", creator=self._connect, poolclass=NullPool, hide_parameters=True
        )

    def claim(self) -> None:
        """Become the only writing process, and create the file if it is missing.

        Two writers would each count features in memory without the other's payments, and answer
        wrongly. The chain itself could not fork: every transaction reads the last record under
        SQLite's lock.

        Raises:
            LedgerUnavailable: another process writes this ledger, its folder cannot be written, or
                the file was there and is gone.
        """
        refusal = f"cannot write the ledger {self._path}"
        self._lost, self._bytes = None, 0
        if is_gone(self._path):
            raise LedgerUnavailable(
                f"{refusal}: it was there and is gone, and with it which payments were decided and "
                f"how: put it back, restore a copy, or remove {mark_of(self._path)} to begin with "
                "an empty one."
            )
        try:
            private_folder(self._path.parent)
            alone = self._take_lock()
            wal = alone and self._create()
        except (OSError, sqlite3.Error) as error:
            self.release()
            raise LedgerUnavailable(f"{refusal}: {type(error).__name__}.") from error
        if not wal:
            self.release()
            cause = (
                "its disk does not allow WAL mode; move it to a local disk."
                if alone
                else "another process writes it, and a SQLite ledger has one writer; "
                "stop that process, or give `shroff forget` the --url of that service, or keep the "
                "ledger in PostgreSQL."
            )
            raise LedgerUnavailable(f"{refusal}: {cause}")

    def release(self) -> None:
        """Let another process write."""
        if self._lock is not None:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def present(self) -> None:
        """Raise `LedgerUnavailable` if the file was moved, removed or replaced, or its log ever
        was, or was cut off.

        SQLite would go on writing into a file that has no name any more, and into a log behind a
        gap, which it would copy into the file.
        """
        if self._lost is not None:
            raise LedgerUnavailable(self._lost)
        self._require_whole_log()
        if self._undisturbed is not None and _folder_state(self._folder) == self._undisturbed:
            return
        if self._file is not None and _identity(self._path) != self._file:
            raise LedgerUnavailable(
                f"the ledger {self._path} was moved or replaced: put the file back, or restore a "
                "copy and restart."
            )

    def kept(self) -> None:
        """As `present`; also raises if the write-ahead log with the last commits was removed or
        replaced, and within a second if the file was cut off, as by a copy of another over it.

        Putting either back does not help: nothing is written until the service restarts.
        """
        # every commit asks twice: one `stat` of the folder is cheaper than one per file
        folder, now = _folder_state(self._folder), time.monotonic()
        fresh = now < self._looked + _LOOK_SECONDS
        self._require_whole_log()
        if fresh and folder is not None and folder == self._undisturbed:
            return
        self._undisturbed, self._looked = None, now
        self.present()
        writing = self._writing
        if writing is None or writing.closed:
            return
        if _identity(self._log) != self._opened_log:
            self._lost = (
                f"the write-ahead log of the ledger {self._path} was removed or replaced while in "
                f"use: {_salvage(writing)}, and restart the service."
            )
            raise LedgerUnavailable(self._lost)
        self._require_whole(writing)
        if folder is not None and time.time_ns() - folder[2] > _CLOCK_STEP_NS:
            self._undisturbed = folder

    def _require_whole(self, writing: Connection) -> None:
        """Raise `LedgerUnavailable` if the file became shorter than SQLite left it."""
        before = self._bytes
        with suppress(OSError):  # the next look at the file says that it is gone
            self._bytes = self._path.stat().st_size
        if self._bytes >= before:
            return
        with suppress(sqlite3.Error):
            counts = [cursor(writing).execute(f"PRAGMA {name}").fetchone()[0] for name in _PAGES]
            if math.prod(counts) < before:
                return  # by a VACUUM
        self._lost = (
            f"the ledger {self._path} was cut off or overwritten while in use: restore a copy, and "
            "restart the service; what was answered since the copy may be lost."
        )
        raise LedgerUnavailable(self._lost)

    def _require_whole_log(self) -> None:
        """Raise `LedgerUnavailable` if the log became shorter than what SQLite has in it."""
        if self._opened_log is None:
            return
        try:
            found = os.stat(self._log_name)  # noqa: PTH116  # as in `_folder_state`
        except OSError:
            return  # the next look at its folder says that it is gone
        if (found.st_dev, found.st_ino) != self._opened_log:
            return  # or that it is another
        size = found.st_size
        # another program may have emptied it into the file; asked twice, as it may be about to
        if size < self._log_bytes and not (self._log_is_whole() or self._log_is_whole()):
            self._forget_index()
            self._lost = (
                f"the write-ahead log of the ledger {self._path} was cut off while in use: what "
                "was answered last may be lost; look for it in copies, and restart the service."
            )
            raise LedgerUnavailable(self._lost)
        self._log_bytes = size

    def _log_is_whole(self) -> bool:
        """Whether the log is as long as its index, which all processes share, says."""
        index = self._path.with_name(f"{self._path.name}-shm")
        try:
            size = self._log.stat().st_size
            # never closed: closing any handle of it drops SQLite's own locks
            if self._log_index is None or not os.path.samestat(
                os.fstat(self._log_index), index.stat()
            ):
                self._log_index = os.open(index, os.O_RDWR | os.O_CLOEXEC)
            head = os.pread(self._log_index, _INDEX_HEAD.size, 0)
            page, frames = _INDEX_HEAD.unpack(head)
        except (OSError, struct.error):
            return False
        needed = frames * (_FRAME_HEAD_BYTES + (page if page > 1 else 65_536))
        return not frames or bool(size >= _LOG_HEAD_BYTES + needed)

    def _forget_index(self) -> None:
        """Let SQLite make the index again from what is left of the log, also where the last
        connection closes: by the old one it would copy parts of later commits into the file.
        """
        if self._log_index is not None:
            os.pwrite(self._log_index, bytes(_INDEX_HEAD_BYTES), 0)

    def writable(self) -> Connection:
        """A connection that syncs the write-ahead log at each commit and empties it at 4 MB."""
        connection = self.engine.connect()
        connection.exec_driver_sql("PRAGMA synchronous = FULL")
        # half of SQLite's default: payments wait for each checkpoint half as long
        connection.exec_driver_sql("PRAGMA wal_autocheckpoint = 500")
        # on macOS, only F_FULLFSYNC also empties the drive's cache
        connection.exec_driver_sql("PRAGMA fullfsync = ON")
        # the first read opens the write-ahead log, which stays the same for the connection's life
        connection.exec_driver_sql("PRAGMA schema_version")
        connection.rollback()
        self._writing, self._opened_log, self._undisturbed = connection, _identity(self._log), None
        self._log_bytes = 0
        self._waits = True
        return connection

    def together(self, connection: Connection) -> AbstractContextManager[object]:
        """Nothing to do: a file takes no round trips."""
        return nullcontext()

    def begin(self, statements: Cursor, *, wait: bool) -> bool:
        """Begin a transaction; False if another program holds the lock, for which it waits up to a
        second where `wait`.
        """
        if self._waits != wait:
            # at a change only: who writes is nearly always the same
            milliseconds = int(1_000 * _LOCK_TIMEOUT_SECONDS) if wait else 0
            statements.execute(f"PRAGMA busy_timeout = {milliseconds}")
            self._waits = wait
        try:
            statements.execute(self.turn)
        except sqlite3.OperationalError as error:
            if wait or error.sqlite_errorcode & _PRIMARY_CODE != sqlite3.SQLITE_BUSY:
                raise
            return False
        return True

    @contextmanager
    def copied(self, file: Path) -> Iterator[SQLite]:
        """A copy of the ledger, which gets its name once it is verified."""
        if os.path.lexists(file):
            raise ConfigurationError(
                f"expected the name of a new file for the copy, got {file}, which is there already."
            )
        part = file.with_name(f"{file.name}.part")
        try:
            private_file(part)
            with closing(self._connect()) as source, closing(sqlite3.connect(part)) as copy:
                # in one step, so that it is of one moment; a writer is not blocked
                source.backup(copy)
            yield SQLite(URL.create("sqlite", database=str(part)))
            with part.open("rb") as written:
                os.fsync(written.fileno())
            part.rename(file)
        except LedgerUnavailable:
            # it is an `OSError` too, and says what it must
            raise
        except (OSError, sqlite3.Error) as error:
            told = f"{reason(error)}: {remedy(error, 'SHROFF_LEDGER')}"
            said = error.strerror if isinstance(error, OSError) else told
            raise LedgerUnavailable(
                f"cannot copy the ledger {self._path} to {file}: {said}."
            ) from error
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def hurry(self, connection: Connection, seconds: float) -> None:
        """Nothing to do: a file is never silent."""

    def _take_lock(self) -> bool:
        # a lock on the file itself, whatever its name, which ends with the process. It is flock(2),
        # not fcntl(2) as SQLite's: closing any handle of a file drops its fcntl locks. So this
        # handle is never closed
        if (
            self._lock is None
            or not self._path.exists()
            or not os.path.samestat(os.fstat(self._lock), self._path.stat())
        ):
            self._lock = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _create(self) -> bool:
        with closing(sqlite3.connect(self._path)) as connection:
            # in a new file only: records of 1 to 4 kB leave much of SQLite's default page empty,
            # while larger pages make every commit write more
            connection.execute("PRAGMA page_size = 8192")
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        self._file = _identity(self._path)
        mark_made(self._path)
        return bool(mode == "wal")

    def _connect(self) -> sqlite3.Connection:
        # mode=rw: a file that is gone must not be created empty
        try:
            return sqlite3.connect(
                f"file:{quote(str(self._path))}?mode=rw",
                uri=True,
                timeout=_LOCK_TIMEOUT_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.OperationalError as error:
            there = os.path.lexists(self._path)
            why = f"{reason(error)}: {remedy(error, 'SHROFF_LEDGER')}" if there else _MISSING
            raise LedgerUnavailable(f"cannot open the ledger {self._path}: {why}.") from error


def _identity(path: Path) -> _Identity | None:
    """The device and inode of the file at a path."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _folder_state(path: str) -> _FolderState | None:
    """The device and inode of a folder, and the time of its last change."""
    try:
        found = os.stat(path)  # noqa: PTH116  # every commit: a `Path` takes longer than the call
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _salvage(writing: Connection) -> str:
    """Copy the commits of a lost write-ahead log into the database while it is still open."""
    try:
        busy, pages, brought = cursor(writing).execute("PRAGMA wal_checkpoint(FULL)").fetchone()
    except sqlite3.Error:
        busy = True
    if busy or pages != brought:
        return "what was answered last may be lost; look for it in copies"
    return "what was answered is in the database all the same; find out who removed it"
