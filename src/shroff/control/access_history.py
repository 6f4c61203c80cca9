"""Who let whom in: every change of users and API keys, with its author, in one chain."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Integer, Table, Text, select

from shroff.control.database import METADATA, Control
from shroff.control.history import Chained, link, require_chained

UserStep = Literal[
    "user added",
    "role set",
    "password set",
    "user disabled",
    "user enabled",
    "sessions ended",
    "sign-in taken up",
]
KeyStep = Literal["key made", "key revoked"]
AccessStep = Literal[UserStep, KeyStep]
NOBODY: Final = "shroff"
"""The author of what a program changed and no person."""
ACCESS_LOCK: Final = 0x41434345

_ACCESS_CHANGE: Final = Table(
    "shroff_access_change",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("content", Text, nullable=False),
)


class AccessChange(Chained, frozen=True, omit_defaults=True, kw_only=True):
    """One change: what `by` did when (microseconds since the epoch), and to whom.

    Attributes:
        of: the name of the user, or the id of the key.
        detail: the role, or the name of a key and what it is for.
    """

    at: int
    by: str
    what: AccessStep
    of: str
    detail: str = ""


class AccessHistory:
    """The changes in a control database.

    Raises:
        ControlUnavailable: by every verb, when the database does not answer.
    """

    def __init__(self, url: str) -> None:
        self._control = Control(url)

    def all(self) -> list[AccessChange]:
        """Every change, oldest first.

        Raises:
            BrokenChain: one was changed, removed or moved.
        """
        query = select(_ACCESS_CHANGE.c.content).order_by(_ACCESS_CHANGE.c.id)
        with self._control.transaction("read who changed users and keys") as connection:
            rows = connection.scalars(query).all()
        changes = [msgspec.json.decode(row, type=AccessChange) for row in rows]
        require_chained(changes, of="users and keys")
        return changes


def keep_access(connection: Connection, change: AccessChange) -> None:
    """Keep a change in the transaction that makes it, which holds `ACCESS_LOCK`."""
    last = select(_ACCESS_CHANGE.c.content).order_by(_ACCESS_CHANGE.c.id.desc()).limit(1)
    found = connection.scalar(last)
    before = [] if found is None else [msgspec.json.decode(found, type=AccessChange)]
    chained = msgspec.structs.replace(change, chain=link(before, change))
    content = msgspec.json.encode(chained).decode()
    connection.execute(_ACCESS_CHANGE.insert(), {"content": content})
