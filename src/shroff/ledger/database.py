"""The tables of the ledger, and the two databases that can hold them behind the same verbs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple, Protocol

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    select,
    text,
)
from sqlalchemy.exc import SQLAlchemyError

from shroff.database.causes import reason, remedy
from shroff.database.partial import partial_index
from shroff.database.urls import read_url
from shroff.errors import ConfigurationError, LedgerAway, LedgerUnavailable
from shroff.ledger.postgres import Postgres
from shroff.ledger.record import GENESIS
from shroff.ledger.sqlite import SQLite
from shroff.ledger.statements import Cursor

FORMAT_VERSION = 3
SEALED_FORMAT_VERSION = 4
"""The format of a ledger that may have sealed records besides others; all else is the same."""
_PREVIOUS_FORMAT_VERSION = 2
"""The format that is migrated in place."""

METADATA = MetaData()
# literal, not bound: a partial index serves only a query that repeats its condition
IS_PAYMENT = text("kind = 'payment'")
IS_OTHER = text("kind <> 'payment' AND kind <> 'label'")
IS_LABEL = text("kind = 'label'")
IS_START = text("kind = 'start'")

RECORDS = Table(
    "shroff_ledger",
    METADATA,
    # in SQLite only the exact type INTEGER makes the key the row's own address
    Column(
        "seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False
    ),
    Column("kind", Text, nullable=False),
    Column("payment_id", Text, nullable=False),
    Column("arrived", BigInteger, nullable=False, index=True),
    Column("time", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("chain", LargeBinary, nullable=False),
)
partial_index("shroff_ledger_payment", RECORDS.c.payment_id, where=IS_PAYMENT, unique=True)
# separate indexes: results and labels would triple the size of the hot look-up's index
_OTHER_INDEX = partial_index(
    "shroff_ledger_later", RECORDS.c.payment_id, RECORDS.c.kind, where=IS_OTHER, unique=True
)
_LABEL_INDEX = partial_index(
    "shroff_ledger_label", RECORDS.c.payment_id, RECORDS.c.digest, where=IS_LABEL, unique=True
)
# finds the last start among millions of records
_START_INDEX = partial_index("shroff_ledger_start", RECORDS.c.seq, where=IS_START)

# one row: the last record, updated in the record's own transaction, so that a record removed from
# the end is detected too
HEAD = Table(
    "shroff_ledger_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("chain", LargeBinary, nullable=False),
)

# one row: the name under which others, such as the spool, keep what belongs to this ledger
IDENTITY = Table(
    "shroff_ledger_identity",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
)

_ADVICE_BY_VERSION = {
    _PREVIOUS_FORMAT_VERSION: "`shroff serve` and `shroff consume` convert it when they start."
}
_DEFAULT_ADVICE = "use the release that wrote it."
_DATABASE_FAULTS = {"OperationalError", "InterfaceError", "InternalError"}

# literal, so that it has no parameters
HEAD_QUERY = select(HEAD.c.seq, HEAD.c.chain).where(
    text(f"version IN ({FORMAT_VERSION}, {SEALED_FORMAT_VERSION})")
)


class Head(NamedTuple):
    """The last record of the ledger: its number (0 before the first) and its chain value."""

    seq: int
    chain: bytes

    def __str__(self) -> str:
        """The form to note elsewhere, see `Noted`."""
        return f"{self.seq}:{self.chain.hex()}"


class Backend(Protocol):
    """The operations that the ledger needs of a database."""

    engine: Engine
    alone: bool
    """Whether its claim makes this ledger the only writer, in any process."""
    turn: str
    """The statement that begins a transaction and locks out all other writers until its end."""

    def claim(self) -> None:
        """Become the only writer if the database allows one only; else `LedgerUnavailable`."""

    def release(self) -> None:
        """Let another process write."""

    def present(self) -> None:
        """Raise `LedgerUnavailable` if the opened database is gone."""

    def kept(self) -> None:
        """Raise `LedgerUnavailable` if what was committed is gone; for the writer's thread."""

    def writable(self) -> Connection:
        """A connection whose commits return once the data is on disk."""

    def together(self, connection: Connection) -> AbstractContextManager[object]:
        """Send what is executed inside at once, if that saves round trips: results come after."""

    def begin(self, statements: Cursor, *, wait: bool) -> bool:
        """Begin a transaction on a `writable` connection, as `turn` does; False if another program
        is at one, for whose end it waits only where `wait`. Raises driver errors.
        """

    def copied(self, file: Path) -> AbstractContextManager[Backend]:
        """A copy of the ledger, which gets its name once it is verified.

        Raises:
            ConfigurationError: another program copies this kind of database, or the file exists.
            LedgerUnavailable: it cannot be read, or the copy cannot be written.
        """

    def hurry(self, connection: Connection, seconds: float) -> None:
        """Make the connection fail if the database is silent for so long."""


def backend(url: str) -> Backend:
    """The backend of a URL.

    Raises:
        ConfigurationError: the URL is not of a form the ledger can use.
        MissingExtra: PostgreSQL is asked for and its driver is not installed.

    >>> backend("mysql://ledger")
    Traceback (most recent call last):
    ...
    shroff.errors.ConfigurationError: expected a ledger URL `sqlite:///file` or \
`postgresql+psycopg://user@host/database`, got one for `mysql`.
    """
    parsed = read_url(url, "a ledger URL")
    return SQLite(parsed) if parsed.get_backend_name() == "sqlite" else Postgres(parsed)


@contextmanager
def unavailable(doing: str, error: type[Exception] = SQLAlchemyError) -> Iterator[None]:
    """Turn any error of the database or its driver into `LedgerUnavailable`, by its kind alone."""
    try:
        yield
    except (SQLAlchemyError, error) as caught:
        raise failure(caught)(
            f"cannot {doing}: the ledger's database answered {reason(caught)}: "
            f"{remedy(caught, 'SHROFF_LEDGER')}."
        ) from caught


def failure(error: BaseException) -> type[LedgerUnavailable]:
    """`LedgerAway` if the database failed by itself, not because of the statement.

    >>> from sqlite3 import OperationalError
    >>> failure(ConnectionError()), failure(OperationalError())
    (<class 'shroff.errors.LedgerUnavailable'>, <class 'shroff.errors.LedgerAway'>)
    """
    cause = getattr(error, "orig", None) or error
    # the names that PEP 249 fixes for every driver
    return (
        LedgerAway
        if _DATABASE_FAULTS.intersection(kind.__name__ for kind in type(cause).__mro__)
        else LedgerUnavailable
    )


def prepare(database: Backend, connection: Connection, *, sealed: bool) -> Head:
    """Create missing tables, migrate the previous format to this one, and return the last record.

    Args:
        sealed: records are sealed from now on, which earlier releases cannot read.

    Raises:
        ConfigurationError: the ledger has a format that this release does not know.
    """
    with connection.begin():
        connection.exec_driver_sql(database.turn)
        METADATA.create_all(connection)
        version = connection.scalar(select(HEAD.c.version))
        if version is None:
            connection.execute(
                HEAD.insert(), {"id": 1, "version": FORMAT_VERSION, "seq": 0, "chain": GENESIS}
            )
        elif version == _PREVIOUS_FORMAT_VERSION:
            _convert(connection)
        if sealed:
            plain = HEAD.c.version == FORMAT_VERSION
            connection.execute(HEAD.update().where(plain).values(version=SEALED_FORMAT_VERSION))
        if connection.scalar(select(IDENTITY.c.name)) is None:
            connection.execute(IDENTITY.insert(), {"id": 1, "name": token_hex(8)})
        return head(connection)


def identity(database: Backend) -> str:
    """The random name that the ledger got when it was first opened for writing."""
    with unavailable("read the ledger's name"), database.engine.connect() as connection:
        name: str = connection.scalars(select(IDENTITY.c.name)).one()
    return name


def renew_identity(database: Backend, before: str) -> str:
    """Give the ledger a new name, unless another process has done so already."""
    with (
        unavailable("name the ledger anew"),
        database.engine.connect() as connection,
        connection.begin(),
    ):
        connection.exec_driver_sql(database.turn)
        connection.execute(
            IDENTITY.update().where(IDENTITY.c.name == before).values(name=token_hex(8))
        )
        name: str = connection.scalars(select(IDENTITY.c.name)).one()
    return name


def _convert(connection: Connection) -> None:
    """Give a ledger of the previous format the indexes of this one; records stay unchanged."""
    if connection.dialect.name == "postgresql":
        # a long ledger takes longer than the timeout of a payment
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    _OTHER_INDEX.drop(connection)
    for index in (_OTHER_INDEX, _LABEL_INDEX, _START_INDEX):
        index.create(connection)
    connection.execute(HEAD.update().values(version=FORMAT_VERSION))


def head(connection: Connection) -> Head:
    """The last record in the database.

    Raises:
        ConfigurationError: the ledger has a format that this release does not know.
    """
    version, *last = connection.execute(select(HEAD.c.version, HEAD.c.seq, HEAD.c.chain)).one()
    if version not in (FORMAT_VERSION, SEALED_FORMAT_VERSION):
        raise ConfigurationError(
            f"expected a ledger of format {FORMAT_VERSION}, got format {version}: "
            f"{_ADVICE_BY_VERSION.get(version, _DEFAULT_ADVICE)}"
        )
    return Head(*last)
