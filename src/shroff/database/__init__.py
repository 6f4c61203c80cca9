"""Database: URLs of databases, connections to PostgreSQL, and their timeouts.

Reads URLs such as `sqlite:///ledger.db` and `postgresql://host/name`. Promises that a URL of
another kind is refused when it is read (ConfigurationError), and that no message repeats its
password. Times are seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shroff.lazy import loading

if TYPE_CHECKING:
    from shroff.database.urls import postgres_engine, read_url, turn_at

__all__ = ["postgres_engine", "read_url", "turn_at"]

__getattr__ = loading(__name__, dict.fromkeys(__all__, "urls"))
