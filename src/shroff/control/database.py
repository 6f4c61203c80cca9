"""The control database: SQLite or PostgreSQL, written rarely and read by every worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, Final
from weakref import WeakValueDictionary, finalize

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    MetaData,
    NullPool,
    Table,
    create_engine,
    event,
    inspect,
)
from sqlalchemy.exc import SQLAlchemyError

from shroff.database.causes import reason, remedy
from shroff.database.urls import postgres_engine, read_url, turn_at
from shroff.errors import ConfigurationError, ControlUnavailable
from shroff.private import is_gone, mark_made, mark_of, private_file

METADATA = MetaData()
_LOCK_KEY = 0x43545254
KEYS_LOCK = 0x4B455953
PROPOSALS_LOCK = 0x50524F50
LISTS_LOCK = 0x4C495354
_KEPT_CONNECTIONS: Final = 4
# below the half minute for which others wait for a lock; what we do between statements takes a
# fraction of it
_IDLE_TIMEOUT_MS: Final = 20_000
_SQLITE_OBJECTS: Final = """
SELECT made.name, had.name FROM sqlite_master AS made JOIN pragma_table_info(made.name) AS had
WHERE made.type = 'table'
UNION ALL
SELECT tbl_name, name FROM sqlite_master WHERE type = 'index'
"""


class _Pool:
    """The connections of a process to one database, closed with the last that uses them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        finalize(self, _close, engine, os.getpid())


def _close(engine: Engine, process: int) -> None:
    # what a fork has copied is the parent's
    if process == os.getpid():
        engine.dispose()


_POOLS: Final[WeakValueDictionary[str, _Pool]] = WeakValueDictionary()
_POOLS_LOCK: Final = Lock()
_IN_USE: Final = set[Path]()
"""The SQLite files that this process has had a transaction in: none of them is made anew, even
where no mark could be written beside it.
"""


class Control:
    """Connections to the control database; the first one creates a missing database.

    Raises:
        ConfigurationError: `url` names no SQLite file and no PostgreSQL database.
        MissingExtra: it names PostgreSQL and the driver is not installed.

    A SQLite file that was used and that is gone is missed, not made anew: it has the only keys of
    sealed records, and all users and API keys. A file beside it, `….made`, says that it was made.
    """

    def __init__(self, url: str) -> None:
        self._pool = _pool(url)
        self._engine = self._pool.engine
        self._made = False
        self.turn = Lock()
        """Taken by threads of this process that change much: in the database they would starve."""

    @contextmanager
    def transaction(self, doing: str) -> Iterator[Connection]:
        """One transaction; an error of the database becomes one sentence that holds no value."""
        with _sentence(doing):
            if not self._made:
                _make(self._engine)
                self._made = True
                if self._engine.dialect.name == "sqlite":
                    file = _file(self._engine.url)
                    _IN_USE.add(file)
                    mark_made(file)
            with self._engine.begin() as connection:
                yield connection

    def scrub(self, *tables: Table) -> None:
        """Rewrite what once held deleted rows of tables, so that no file has them any more, nor a
        database's statistics a sample of them.

        Raises:
            ControlUnavailable: others use the database all the time.
        """
        postgres = self._engine.dialect.name == "postgresql"
        with (
            _sentence("remove deleted keys"),
            self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        ):
            if not postgres:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
                connection.exec_driver_sql("VACUUM")
                return
            for table in tables:
                connection.exec_driver_sql(f"VACUUM (FULL, ANALYZE) {table.name}")


def in_turn(connection: Connection, lock: int = KEYS_LOCK) -> None:
    """Let no other process change keys, or what else a lock is for, until the transaction ends, and
    keep nothing of deleted rows; the first statement of the transaction.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(turn_at(lock))
    else:
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
        connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def _sentence(doing: str) -> Iterator[None]:
    """Turn an error of the database into one sentence that holds no value."""
    try:
        yield
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"cannot {doing}: expected text in UTF-8, got an argument that is none."
        ) from None
    except SQLAlchemyError as error:
        raise ControlUnavailable(
            f"cannot {doing}: the control database answered {reason(error)}: "
            f"{remedy(error, 'SHROFF_CONTROL')}."
        ) from error


def _make(engine: Engine) -> None:
    """Create what is missing: of two processes that do so at once, one waits for the other."""
    with engine.connect() as connection:
        if _wanted() <= _there(connection):
            return
    with engine.begin() as connection:
        postgres = connection.dialect.name == "postgresql"
        connection.exec_driver_sql(turn_at(_LOCK_KEY) if postgres else "BEGIN IMMEDIATE")
        there = _there(connection)
        METADATA.create_all(connection, checkfirst=bool(there))
        for table in METADATA.sorted_tables if there else ():
            _complete(connection, table, there)


def _wanted() -> set[tuple[str, str]]:
    """All columns and indexes, each with its table."""
    return {
        (table.name, str(one.name))
        for table in METADATA.tables.values()
        for one in (*table.columns, *table.indexes)
    }


def _there(connection: Connection) -> set[tuple[str, str]]:
    """The columns and indexes that our tables have, each with its table."""
    names = list(METADATA.tables)
    if connection.dialect.name == "sqlite":
        # a fiftieth of the time of SQLAlchemy's inspector, at each start
        found = connection.exec_driver_sql(_SQLITE_OBJECTS)
        return {(table, name) for table, name in found if table in METADATA.tables}
    database = inspect(connection)
    return {
        (table, str(one["name"]))
        for objects in (
            database.get_multi_columns(filter_names=names),
            database.get_multi_indexes(filter_names=names),
        )
        for (_, table), each in objects.items()
        for one in each
    }


def _complete(connection: Connection, table: Table, there: set[tuple[str, str]]) -> None:
    """Add the columns that a table of an earlier release lacks, which are null in its rows, and the
    indexes.
    """
    if not any((table.name, column.name) in there for column in table.columns):
        return  # it is new
    for column in table.columns:
        if (table.name, column.name) not in there:
            kind = column.type.compile(connection.dialect)
            connection.exec_driver_sql(
                f'ALTER TABLE {table.name} ADD COLUMN "{column.name}" {kind}'
            )
    for index in table.indexes:
        index.create(connection, checkfirst=True)


def _pool(url: str) -> _Pool:
    parsed = read_url(url, "a control database")
    if parsed.get_backend_name() != "postgresql":
        return _Pool(_sqlite(parsed))
    with _POOLS_LOCK:
        found = _POOLS.get(url)
        if found is None:
            engine = postgres_engine(
                parsed, "a control database", silence=5_000, kept=_KEPT_CONNECTIONS
            )
            event.listen(engine, "connect", _bound)
            found = _POOLS[url] = _Pool(engine)
    return found


def _bound(connection: Any, _: object) -> None:
    """End the transaction of a process that stands still, or a machine that is gone: it would keep
    its locks for hours.
    """
    connection.execute(f"SET idle_in_transaction_session_timeout = {_IDLE_TIMEOUT_MS}")
    connection.commit()


def _sqlite(parsed: URL) -> Engine:
    if parsed.database in (None, "", ":memory:"):
        raise ConfigurationError(
            "expected a control database in a file, `sqlite:///file`, got a URL without one."
        )
    file = _file(parsed)
    if not _gone(file):
        with suppress(OSError):  # connecting reports the fault better
            private_file(file)
    engine = create_engine(
        parsed, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": 5}
    )

    @event.listens_for(engine, "do_connect")
    def require_there(*_: object) -> None:
        if _gone(file):
            raise ControlUnavailable(
                f"the control database {file} was there and is gone, and with it users, API keys, "
                "edits and the only keys of sealed records: put it back, or remove "
                f"{mark_of(file)} to begin with an empty one."
            )

    return engine


def _gone(file: Path) -> bool:
    return is_gone(file, made=file in _IN_USE)


def _file(url: URL) -> Path:
    return Path(str(url.database)).absolute()
