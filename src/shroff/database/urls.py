"""URLs of databases, and connections to PostgreSQL."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import URL, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from shroff.errors import ConfigurationError, MissingExtra

_DRIVERS: Final = ("sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg")


def read_url(url: str, what: str) -> URL:
    """The components of a URL of a SQLite file or a PostgreSQL database.

    Args:
        what: the expected database, in words, for the message.

    Raises:
        ConfigurationError: it names something else.
    """
    forms = f"expected {what} `sqlite:///file` or `postgresql+psycopg://user@host/database`"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # the text is not repeated: it may contain a password
        raise ConfigurationError(f"{forms}, got a text that is not a URL.") from None
    if parsed.drivername not in _DRIVERS:
        raise ConfigurationError(f"{forms}, got one for `{parsed.drivername}`.")
    return parsed


def postgres_engine(url: URL, what: str, *, silence: int, kept: int = 0) -> Engine:
    """Connections to a PostgreSQL database.

    Args:
        what: what is kept there, in words, for the message.
        silence: milliseconds after which a server that acknowledges no data counts as lost; one
            that acknowledges but does not answer does so after half a minute, see `Impatient`.
        kept: how many connections stay open between transactions; any number may be open at once.

    Raises:
        MissingExtra: the driver is not installed.
    """
    try:
        from shroff.database.kept import keep_usable
        from shroff.database.timeouts import Impatient

        pool: dict[str, Any] = {"pool_size": kept, "max_overflow": -1, "pool_use_lifo": True}
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            **(pool if kept else {"poolclass": NullPool}),
            hide_parameters=True,
            # a snapshot taken before the lock was acquired would be outdated
            isolation_level="READ COMMITTED",
            connect_args={"connect_timeout": 2, "tcp_user_timeout": silence},
        )
    except ImportError as error:
        raise MissingExtra(
            f"{what} in PostgreSQL needs the driver psycopg 3: `pip install 'shroff[postgres]'`."
        ) from error
    event.listen(
        engine,
        "do_connect",
        lambda dialect, record, words, options: Impatient.connect(*words, **options),
    )
    if kept:
        keep_usable(engine)
    return engine


def turn_at(lock: int) -> str:
    """The statement that lets only one transaction at a time in a schema hold this lock.

    Args:
        lock: a fixed number that identifies it among the advisory locks of a database.
    """
    return f"SELECT pg_advisory_xact_lock({lock}, hashtext(current_schema()))"
