"""Who let whom in: every change of users and API keys, with its author, in one chain."""

from __future__ import annotations

from hashlib import sha256
from typing import Final, Literal

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Integer, Table, Text, select

from shroff.collect.json_text import UNREADABLE
from shroff.control.database import METADATA, Control
from shroff.control.history import Chained, link, require_chained
from shroff.errors import BrokenChain

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
            BrokenChain: one was changed, removed or moved, or is of a later release.
        """
        query = select(_ACCESS_CHANGE.c.content).order_by(_ACCESS_CHANGE.c.id)
        with self._control.transaction("read who changed users and keys") as connection:
            rows = connection.scalars(query).all()
        changes = list[AccessChange]()
        for row in rows:
            try:
                changes.append(msgspec.json.decode(row, type=AccessChange))
            except UNREADABLE:
                raise BrokenChain(
                    f"the history of users and keys was changed: change {len(changes) + 1} of "
                    f"{len(rows)} is none that this release writes."
                ) from None
        require_chained(changes, of="users and keys")
        return changes


def keep_access(connection: Connection, change: AccessChange) -> None:
    """Keep a change in the transaction that makes it, which holds `ACCESS_LOCK`."""
    last = select(_ACCESS_CHANGE.c.content).order_by(_ACCESS_CHANGE.c.id.desc()).limit(1)
    found = connection.scalar(last)
    before = [] if found is None else [_before(found)]
    chained = msgspec.structs.replace(change, chain=link(before, change))
    content = msgspec.json.encode(chained).decode()
    connection.execute(_ACCESS_CHANGE.insert(), {"content": content})


def _before(content: str) -> Chained:
    """The change that another follows: who may no longer sign in is locked out also behind one that
    was damaged, or that a later release made.
    """
    try:
        return msgspec.json.decode(content, type=Chained)
    except UNREADABLE:
        return Chained(chain=sha256(content.encode()).hexdigest())
