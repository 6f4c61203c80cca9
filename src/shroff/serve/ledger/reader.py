"""Reading the ledger: one payment, all in order, and the proof that nothing was changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Lock

from sqlalchemy import ColumnElement, Connection, Select, bindparam, column, func, select

from shroff.errors import DataError, LedgerUnavailable
from shroff.serve.ledger.database import HEAD, PAYMENTS, RECORDS, Backend, Head, head, reason, unavailable
from shroff.serve.ledger.driver import Cursor, Statement, cursor
from shroff.serve.ledger.record import COLUMNS, GENESIS, StoredEntry, check_id, link, stored

_PAGE = 1_000
# plain columns: values come as the driver gives them, `stored` checks their types
_NAMES: list[ColumnElement[object]] = [column(name) for name in COLUMNS]
_EVERYTHING = select(*_NAMES).select_from(RECORDS)
_seq = RECORDS.c.seq


class Finder:
    """Looks up one payment over a connection of its own, past SQLAlchemy: the hot read.

    Both drivers keep the statement prepared.
    """

    def __init__(self, database: Backend) -> None:
        self._database = database
        self._lock = Lock()
        self._connection: Connection | None = None
        self._cursor: Cursor | None = None
        query = _EVERYTHING.where(PAYMENTS, RECORDS.c.payment_id == bindparam("payment_id"))
        self._query = Statement(database.engine, query, ("payment_id",))
        self._error: type[Exception] = database.engine.dialect.loaded_dbapi.Error

    def find(self, payment_id: str) -> StoredEntry | None:
        """The payment entry with this id, or None."""
        check_id(payment_id)
        try:
            with self._lock:
                cursor = self._cursor or self._connect()
                cursor.execute(self._query.text, self._query.bind((payment_id,)))
                row = cursor.fetchone()
        except self._error as error:
            self.close()
            raise LedgerUnavailable(f"cannot look up a payment in the ledger: {reason(error)}.") from error
        return None if row is None else stored(row)

    def close(self) -> None:
        """Close the connection; the next look-up opens another."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = self._cursor = None

    def _connect(self) -> Cursor:
        with unavailable("look up a payment"):
            self._connection = reading(self._database)
            self._cursor = cursor(self._connection)
        return self._cursor


def payment_ids(database: Backend) -> Iterator[str]:
    """The ids of all payments, from the index alone."""
    with unavailable("read the ledger"), reading(database) as connection:
        yield from connection.execution_options(yield_per=_PAGE).scalars(select(RECORDS.c.payment_id).where(PAYMENTS))


def reading(database: Backend) -> Connection:
    """A connection on which no statement leaves a transaction open."""
    return database.engine.execution_options(isolation_level="AUTOCOMMIT").connect()


def entries(database: Backend, since: int | None) -> Iterator[StoredEntry]:
    """The records up to the last one there is now, in order; with `since`, those with `arrived >= since`."""
    with unavailable("read the ledger"), reading(database) as connection:
        last, query, after = head(connection).seq, _EVERYTHING, 0
        if since is not None:
            recent = RECORDS.c.arrived >= since
            query = _EVERYTHING.where(recent)
            # `+ 0`: or the smallest would be sought from the first record on, past years of them
            first = connection.scalar(select(func.min(_seq + 0)).where(recent))
            after = last if first is None else first - 1
        for row in _rows(connection, query, after, last):
            yield stored(row)


def verify(database: Backend) -> Head:
    """The last record, after proving each from the one before it.

    Raises:
        DataError: a record was changed, removed, added or moved; names the first.
    """
    ends = select(HEAD.c.seq, HEAD.c.chain, select(func.max(_seq)).scalar_subquery())
    with unavailable("verify the ledger"), reading(database) as connection:
        last, end, highest = connection.execute(ends).one()
        seq, chain = 0, GENESIS
        for row in _rows(connection, _EVERYTHING, 0, last):
            seq += 1
            if row[0] != seq:
                raise _changed(seq, "is missing")
            chain = link(chain, seq, entry := stored(row))
            if entry.chain != chain:
                raise _changed(seq, "does not follow from the record before it")
    if seq < last:
        raise _changed(seq + 1, "is missing")
    if (highest or 0) > last:
        raise _changed(last + 1, "was not written by the ledger")
    if chain != end:
        raise _changed(last, "is not the one that was written last")
    return Head(seq, chain)


def _rows(
    connection: Connection, query: Select[*tuple[object, ...]], after: int, last: int
) -> Iterator[Sequence[object]]:
    """The rows of a query with `after < seq <= last`, a page at a time.

    A page is a statement of its own: a slow reader holds no transaction open, which would keep SQLite's
    write-ahead log from being emptied.
    """
    query = query.where(_seq <= last).order_by(_seq).limit(_PAGE)
    while page := connection.execute(query.where(_seq > after)).all():
        yield from page
        after = page[-1].seq


def _changed(seq: int, how: str) -> DataError:
    return DataError(f"the ledger was changed: record {seq} {how}.")
