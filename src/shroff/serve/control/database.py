"""The control database: a SQLite file or PostgreSQL, written by hand now and then and read by every worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, MetaData, NullPool, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from shroff.errors import ConfigurationError, ControlUnavailable, MissingExtra

METADATA = MetaData()


class Control:
    """Connections to the control database, which is made when it is missing.

    Raises:
        ConfigurationError: `url` names no SQLite file and no PostgreSQL database.
        MissingExtra: it names PostgreSQL and the driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._made = False

    @contextmanager
    def transaction(self, doing: str) -> Iterator[Connection]:
        """One transaction; every error of the database becomes one sentence without a value in it."""
        try:
            with self._engine.begin() as connection:
                if not self._made:
                    METADATA.create_all(connection)
                    self._made = True
                yield connection
        except SQLAlchemyError as error:
            cause = type(getattr(error, "orig", None) or error).__name__
            raise ControlUnavailable(f"cannot {doing}: the control database answered {cause}.") from error


def _engine(url: str) -> Engine:
    forms = "expected a control database `sqlite:///file` or `postgresql+psycopg://user@host/database`"
    try:
        parsed = make_url(url)
    except ArgumentError:
        # the text is not repeated: it may hold a password
        raise ConfigurationError(f"{forms}, got a text that is not a URL.") from None
    if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
        Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
        return create_engine(parsed, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": 5})
    if parsed.get_backend_name() == "postgresql":
        try:
            return create_engine(
                parsed.set(drivername="postgresql+psycopg"),
                poolclass=NullPool,
                hide_parameters=True,
                connect_args={"connect_timeout": 2, "tcp_user_timeout": 5_000},
            )
        except ImportError as error:
            raise MissingExtra(
                "a control database in PostgreSQL needs psycopg 3: `pip install 'shroff[postgres]'`."
            ) from error
    raise ConfigurationError(f"{forms}, got one for `{parsed.drivername}`.")
