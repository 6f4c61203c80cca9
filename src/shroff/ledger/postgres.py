"""A ledger in PostgreSQL: written and read by any number of processes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from sqlalchemy import URL, Connection, Engine

from shroff.database.urls import postgres_engine, turn_at
from shroff.errors import ConfigurationError
from shroff.ledger.statements import Cursor

# seconds; longer than the server's own timeout
_WRITE_TIMEOUT_SECONDS = 3.0
_LOCK_TIMEOUT_MS = 2_000
# for a process to go on with its transaction: a machine that is gone would keep its turn for hours
_IDLE_TIMEOUT_MS = 3_000
_LOCK_KEY = 0x5348524F


class Postgres:
    """The ledger's database as a PostgreSQL server, through psycopg 3."""

    engine: Engine
    alone = False
    turn = turn_at(_LOCK_KEY)  # one writer at a time per schema, so the chain cannot fork

    def __init__(self, url: URL) -> None:
        self.engine = postgres_engine(url, "a ledger", silence=2_000)

    def claim(self) -> None:
        """Nothing to do: processes take turns by group, see `turn`."""

    def release(self) -> None:
        """Nothing to do: the lock ends with each transaction."""

    def together(self, connection: Connection) -> AbstractContextManager[object]:
        """Send what is executed inside at once, and wait once for all results."""
        driver = connection.connection.driver_connection
        return nullcontext() if driver is None else driver.pipeline()

    def begin(self, statements: Cursor, *, wait: bool) -> bool:
        """Begin a transaction; no event loop asks a server, so it always waits."""
        statements.execute(self.turn)
        return True

    def present(self) -> None:
        """Nothing to do: the next statement fails if the server is gone."""

    def kept(self) -> None:
        """Nothing to do: a server keeps what it has committed."""

    def writable(self) -> Connection:
        """A connection whose commits wait for the disk, with bounds on that, on locks, and on how
        long it may hold one without a word.
        """
        connection = self.engine.connect()
        self.hurry(connection, _WRITE_TIMEOUT_SECONDS)
        connection.exec_driver_sql("SET synchronous_commit = on")
        connection.exec_driver_sql(f"SET lock_timeout = {_LOCK_TIMEOUT_MS}")
        connection.exec_driver_sql("SET statement_timeout = '2500ms'")
        connection.exec_driver_sql(f"SET idle_in_transaction_session_timeout = {_IDLE_TIMEOUT_MS}")
        connection.commit()
        return connection

    def copied(self, file: Path) -> AbstractContextManager[Postgres]:
        """Raise `ConfigurationError`: PostgreSQL has `pg_dump` for this."""
        raise ConfigurationError(
            "expected a ledger in a SQLite file, got one in PostgreSQL: back it up with "
            "`pg_dump --table 'shroff_ledger*'`, which copies it as it is at one moment."
        )

    def hurry(self, connection: Connection, seconds: float) -> None:
        """Make the connection fail if the server is silent for so long."""
        driver = connection.connection.driver_connection
        if driver is not None:
            driver.patience = seconds
