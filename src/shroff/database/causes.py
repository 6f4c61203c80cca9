"""What an error of a database says, without a value, and what to do about it."""

from __future__ import annotations

from typing import Final

_FORBIDDEN: Final = "see that this user may read and write it and its folder"
_HELD: Final = "another program, such as a backup, holds it; end that, or wait until it is done"
_SLOW: Final = (
    "it is there, but a lock or its disk kept it for longer than is waited: see `pg_locks`, and "
    "what else loads that machine"
)
_LOST: Final = "the connection was lost; see that the server of {setting} runs"
_OTHER: Final = "see that {setting} names the right database, filled by this release"
_REMEDIES: Final = {
    "SQLITE_BUSY": _HELD,
    "SQLITE_LOCKED": _HELD,
    "SQLITE_READONLY": _FORBIDDEN,
    "SQLITE_CANTOPEN": "see that its file is there, and that this user may read and write it",
    "SQLITE_PERM": _FORBIDDEN,
    "SQLITE_FULL": "make room on its disk",
    "SQLITE_IOERR": "see that its disk is there and works",
    "SQLITE_CORRUPT": "the file is damaged: restore it from a backup",
    "SQLITE_NOTADB": "see that {setting} names a SQLite file, or restore it from a backup",
    # a table or a column that is not there
    "SQLITE_ERROR": _OTHER,
    "42P01": _OTHER,
    "42703": _OTHER,
    "08006": _LOST,
    "25P03": "this process stood still in the middle of it, and nothing of it is kept",
    "25006": "see that {setting} names the server that takes writes, not a standby",
    "42501": "see that this user may read and write its tables",
    "53100": "make room on its disk",
    "53300": "raise its max_connections, or run fewer workers",
    "55P03": _SLOW,
    "57014": _SLOW,
    "57P01": _LOST,
    "57P02": _LOST,
}
"""What to do, by what the name of an error begins with: extended ones go on behind that."""
_LAST: Final = "see that {setting} names a database that runs and lets this user in"


def reason(error: BaseException) -> str:
    """The class and the code of a database error: its text could hold a payload.

    >>> reason(ValueError("4111111111111111"))
    'ValueError'
    """
    cause, code = _cause(error), _code(error)
    return f"{type(cause).__name__} {code}" if code else type(cause).__name__


def remedy(error: BaseException, setting: str) -> str:
    """What to do about a database error, in words that go on from its reason.

    Args:
        setting: the one that names the database.

    >>> from sqlite3 import OperationalError
    >>> error = OperationalError()
    >>> remedy(error, "SHROFF_LEDGER")
    'see that SHROFF_LEDGER names a database that runs and lets this user in'
    >>> error.sqlstate = "53100"
    >>> remedy(error, "SHROFF_LEDGER")
    'make room on its disk'
    >>> error.sqlite_errorname = "SQLITE_IOERR_WRITE"
    >>> remedy(error, "SHROFF_LEDGER")
    'see that its disk is there and works'
    """
    code = _code(error)
    known = (what for name, what in _REMEDIES.items() if code.startswith(name))
    return next(known, _LAST).format(setting=setting)


def _cause(error: BaseException) -> BaseException:
    """What the driver raised."""
    return getattr(error, "orig", None) or error


def _code(error: BaseException) -> str:
    """SQLite's name of an error, or the SQLSTATE of PostgreSQL; empty without one."""
    cause = _cause(error)
    return getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or ""
