"""A ledger in one SQLite file: written by one process, read by any."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine

from shroff.errors import ConfigurationError, LedgerUnavailable
from shroff.private import private_folder

# how long a statement waits for a lock that another program holds, in seconds
_PATIENCE = 1.0


class SQLite:
    """The ledger's database as a SQLite file in WAL mode, synced at each commit."""

    engine: Engine
    alone = True
    turn = "BEGIN IMMEDIATE"  # a write lock taken later could find the last record outdated

    def __init__(self, url: URL) -> None:
        if url.query or url.database in (None, "", ":memory:"):
            raise ConfigurationError(
                "expected the ledger in a file, `sqlite:///folder/ledger.db`, got a URL without a file name."
            )
        # two names of one file are one ledger
        self._path = Path(str(url.database)).resolve()
        self._file: tuple[int, int] | None = None
        self._lock: int | None = None
        self.engine = create_engine(
            "sqlite+pysqlite://", creator=self._connect, poolclass=NullPool, hide_parameters=True
        )

    def claim(self) -> None:
        """Become the only writing process, and create the file when it is missing.

        Two writers would each keep their own features in memory and so answer wrongly, though the
        chain itself could not fork: every transaction reads the last record under SQLite's lock.

        Raises:
            LedgerUnavailable: another process writes this ledger, or its folder cannot be written.
        """
        refusal = f"cannot write the ledger {self._path}"
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
                "stop that process, or keep the ledger in PostgreSQL."
            )
            raise LedgerUnavailable(f"{refusal}: {cause}")

    def release(self) -> None:
        """Let another process write."""
        if self._lock is not None:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def present(self) -> None:
        """Raise `LedgerUnavailable` when the file was moved, removed or replaced.

        SQLite would go on writing into a file that nobody can find any more.
        """
        try:
            same = self._file in (None, self._identity())
        except OSError:
            same = False
        if not same:
            raise LedgerUnavailable(f"the ledger {self._path} was moved or replaced: put the file back.")

    def writable(self) -> Connection:
        """A connection that syncs the write-ahead log at each commit, and empties it when it has 4 MB."""
        connection = self.engine.connect()
        connection.exec_driver_sql("PRAGMA synchronous = FULL")
        # half of what is usual: payments wait for it, and for half as long each time
        connection.exec_driver_sql("PRAGMA wal_autocheckpoint = 500")
        # only macOS knows a sync that the drive's own cache cannot swallow
        connection.exec_driver_sql("PRAGMA fullfsync = ON")
        connection.rollback()
        return connection

    def hurry(self, connection: Connection, seconds: float) -> None:
        """Nothing to do: a file is never silent."""

    def _take_lock(self) -> bool:
        # on the file itself, whatever it is called, and gone with the process however it ends; it is not of the kind
        # that SQLite takes (flock(2), not fcntl(2)), whose locks would go if this file were ever closed: it never is
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
            # takes effect in a new file only: records of 1 to 4 kB leave much of SQLite's usual page empty, while
            # larger pages make every commit write more
            connection.execute("PRAGMA page_size = 8192")
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        self._file = self._identity()
        return bool(mode == "wal")

    def _identity(self) -> tuple[int, int]:
        found = self._path.stat()
        return found.st_dev, found.st_ino

    def _connect(self) -> sqlite3.Connection:
        # mode=rw: a file that is gone must not come back empty
        return sqlite3.connect(
            f"file:{quote(str(self._path))}?mode=rw",
            uri=True,
            timeout=_PATIENCE,
            isolation_level=None,
            check_same_thread=False,
        )
