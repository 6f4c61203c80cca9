"""The file of an index: its tables, and connections that read it or change it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from shroff.errors import IndexUnavailable
from shroff.ledger import GENESIS, Head
from shroff.private import private_file

_FORMAT: Final = 2
_LOCK_SECONDS: Final = 10.0
# of what changes an index, one connection at a time. Each of a console's threads reads with its own
# and keeps the memory of the largest page it made: 64 MiB for each would be half a gigabyte
_CHANGING_CACHE_KIB: Final = 65_536
_READING_CACHE_KIB: Final = 2_048
_TABLES: Final = ("mark", "payment", "link", "minute", "day")
# `link` has the values of keys as hashes: tokens are texts of 64 characters, and a payment has
# several; the payment itself has the text, against which a hash is checked
_MADE: Final = """
CREATE TABLE mark (
    id INTEGER PRIMARY KEY, shape TEXT NOT NULL, seq INTEGER NOT NULL, chain BLOB NOT NULL,
    keys TEXT NOT NULL);
CREATE TABLE payment (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, time INTEGER NOT NULL,
    arrived INTEGER NOT NULL, minute INTEGER NOT NULL, units INTEGER NOT NULL,
    currency TEXT NOT NULL, action INTEGER NOT NULL, probability REAL, rules TEXT NOT NULL,
    keys TEXT NOT NULL, result TEXT, fraud INTEGER, label_rank INTEGER, labelled INTEGER,
    period INTEGER, tag BLOB);
CREATE INDEX payment_time ON payment (time, seq, action, units);
CREATE INDEX payment_action ON payment (action, time, seq, units);
CREATE INDEX payment_units ON payment (units, time, seq, action);
CREATE INDEX payment_minute ON payment (minute, currency, action, fraud, units);
CREATE INDEX payment_seal ON payment (period, tag) WHERE period IS NOT NULL;
CREATE TABLE link (
    hash INTEGER, time INTEGER, seq INTEGER, place INTEGER, action INTEGER NOT NULL,
    units INTEGER NOT NULL, PRIMARY KEY (hash, time, seq, place)) WITHOUT ROWID;
CREATE TABLE minute (
    minute INTEGER, currency TEXT, action INTEGER, fraud INTEGER, payments INTEGER NOT NULL,
    units REAL NOT NULL, PRIMARY KEY (minute, currency, action, fraud)) WITHOUT ROWID;
CREATE TABLE day (
    day INTEGER, currency TEXT, action INTEGER, fraud INTEGER, payments INTEGER NOT NULL,
    units REAL NOT NULL, PRIMARY KEY (day, currency, action, fraud)) WITHOUT ROWID;
"""


class IndexMark(NamedTuple):
    """Up to where a ledger is in an index: its last record, of which schema the rows are, and the
    state of the keys of subjects that they were read with.
    """

    shape: str
    head: Head
    keys: str


class IndexFile:
    """An index in a SQLite file, which need not be there yet.

    Raises:
        IndexUnavailable: by every verb, when the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for one page, which sees one state; one never followed is empty."""
        with self._sentence("read"):
            if not self.path.exists():
                self.make()
            with closing(self._connect(_READING_CACHE_KIB)) as connection:
                connection.execute("PRAGMA query_only = ON")
                connection.execute("BEGIN")
                yield connection

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, alone among all processes; a failure leaves everything as it was."""
        with self._sentence("change"), closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def make(self) -> None:
        """Create the file and what it lacks; one that SQLite cannot read is made anew.

        Raises:
            IndexUnavailable: its folder cannot be written.
        """
        with self._sentence("create"):
            private_file(self.path)
            try:
                self._complete()
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorname not in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
                    raise
                self._discard()
                private_file(self.path)
                self._complete()

    def begin_anew(self, connection: sqlite3.Connection, shape: str) -> None:
        """Empty the tables, in a transaction, for rows of a schema."""
        for name in _TABLES:
            connection.execute(f"DROP TABLE IF EXISTS {name}")
        for statement in _MADE.split(";"):
            connection.execute(statement)
        connection.execute("INSERT INTO mark VALUES (1, ?, 0, ?, '')", (shape, GENESIS))

    def scrub(self) -> bool:
        """Empty the write-ahead log, so that no file has deleted rows; whether readers let it."""
        with self._sentence("change"), closing(self._connect()) as connection:
            (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def _complete(self) -> None:
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            (made,) = connection.execute("PRAGMA user_version").fetchone()
            if made != _FORMAT:
                self.begin_anew(connection, "")
                connection.execute(f"PRAGMA user_version = {_FORMAT}")
            connection.execute("COMMIT")

    def _discard(self) -> None:
        for end in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                self.path.with_name(self.path.name + end).unlink()

    def _connect(self, cache_kib: int = _CHANGING_CACHE_KIB) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False
        )
        # a crash of the machine may cost the last part, which is read again
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
        connection.execute("PRAGMA temp_store = MEMORY")
        # what is deleted may be of somebody who was forgotten
        connection.execute("PRAGMA secure_delete = ON")
        return connection

    @contextmanager
    def _sentence(self, doing: str) -> Iterator[None]:
        """Turn an error of the file into one sentence that holds no value."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            cause = getattr(error, "sqlite_errorname", None) or type(error).__name__
            raise IndexUnavailable(
                f"cannot {doing} the index {self.path}: {cause}. It is derived: delete it, and it "
                "is made again from the ledger."
            ) from error


def mark_of(connection: sqlite3.Connection) -> IndexMark:
    """Up to where the ledger is in an index."""
    shape, seq, chain, keys = connection.execute(
        "SELECT shape, seq, chain, keys FROM mark"
    ).fetchone()
    return IndexMark(shape, Head(seq, chain), keys)
