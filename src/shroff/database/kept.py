"""Connections to PostgreSQL that stay open between transactions.

Each is tested when it is taken out of the pool, within two seconds: one that the server has lost is
replaced, and one that a fork copied is left to the parent, whose socket it shares.
"""

from __future__ import annotations

import os
from typing import Any, Final

import psycopg
from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

from shroff.database.timeouts import Impatient

_TEST_SECONDS: Final = 2.0
_PROCESS: Final = "process"


def keep_usable(engine: Engine) -> None:
    """Test each connection of the engine's pool before it is used."""
    event.listen(engine, "connect", _remember)
    event.listen(engine, "checkout", _require_usable)


def _remember(connection: Impatient, record: Any) -> None:
    record.info[_PROCESS] = os.getpid()


def _require_usable(connection: Impatient, record: Any, proxy: Any) -> None:
    if record.info[_PROCESS] != os.getpid():
        # dropped, not closed: closing it would end the parent's session
        record.dbapi_connection = proxy.dbapi_connection = None
        raise DisconnectionError("this connection belongs to another process")
    try:
        _test(connection)
    except psycopg.Error as error:
        lost = DisconnectionError("the server has lost this connection")
        lost.invalidate_pool = True
        raise lost from error


def _test(connection: Impatient) -> None:
    patience, connection.patience = connection.patience, _TEST_SECONDS
    connection.autocommit = True  # one round trip; in a transaction it would be three
    try:
        connection.execute("SELECT 1")
        connection.autocommit = False
    finally:
        connection.patience = patience
