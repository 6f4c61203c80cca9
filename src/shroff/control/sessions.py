"""Sessions of people who signed in: a random token in their browser, its hash in the database."""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import Final

from sqlalchemy import select

from shroff.clock import Clock, system_time
from shroff.control.database import Control
from shroff.control.users import SESSIONS, USERS, User, user_of
from shroff.errors import AccessDenied

_HOUR_US: Final = 3_600_000_000
_IDLE_US: Final = 1 * _HOUR_US
_LIFETIME_US: Final = 12 * _HOUR_US
# how often a session that is used is written down as seen
_NOTED_EACH_US: Final = 60_000_000


class Sessions:
    """The sessions in a control database; one ends after an hour without use, and after 12 hours.

    Raises:
        ControlUnavailable: by every verb, when the database does not answer.
    """

    def __init__(self, url: str, *, clock: Clock = system_time) -> None:
        self._control = Control(url)
        self._clock = clock

    def begin(self, user: User, *, instead_of: str | None = None) -> str:
        """A new session; returns its token, which only the browser keeps.

        Args:
            user: as they were when they proved who they are.
            instead_of: the token of the session that it ends.

        Raises:
            AccessDenied: they have another password since then, or were disabled meanwhile.
        """
        token, now = secrets.token_urlsafe(32), self._clock()
        old = SESSIONS.c.created <= now - _LIFETIME_US
        values = {"digest": _digest(token), "user": user.id, "created": now, "seen": now}
        with self._control.transaction("begin a session") as connection:
            connection.execute(SESSIONS.delete().where(old))
            if instead_of is not None:
                ended = SESSIONS.c.digest == _digest(instead_of)
                connection.execute(SESSIONS.delete().where(ended))
            # what ends their sessions is seen here, or waits for this one and ends it too
            own = select(USERS).where(USERS.c.id == user.id).with_for_update()
            row = connection.execute(own).mappings().one()
            if user_of(row).endings != user.endings or row["disabled"] is not None:
                raise AccessDenied(
                    "your password was changed, or you were disabled, just now: sign in again."
                )
            connection.execute(SESSIONS.insert(), values)
        return token

    def user(self, token: str, *, used: bool = True) -> User | None:
        """Whose session it is; None once it has ended, or they were disabled.

        Args:
            used: whether somebody uses it; without, it ends no later for it.
        """
        now, digest = self._clock(), _digest(token)
        query = (
            select(USERS, SESSIONS.c.seen)
            .join(SESSIONS, SESSIONS.c.user == USERS.c.id)
            .where(
                SESSIONS.c.digest == digest,
                SESSIONS.c.created > now - _LIFETIME_US,
                SESSIONS.c.seen > now - _IDLE_US,
                USERS.c.disabled.is_(None),
            )
        )
        with self._control.transaction("read a session") as connection:
            row = connection.execute(query).mappings().one_or_none()
            if used and row is not None and row["seen"] < now - _NOTED_EACH_US:
                noted = SESSIONS.update().where(SESSIONS.c.digest == digest)
                connection.execute(noted.values(seen=now))
        return None if row is None else user_of(row)

    def end(self, token: str) -> None:
        """End a session; one that has ended stays so."""
        with self._control.transaction("end a session") as connection:
            connection.execute(SESSIONS.delete().where(SESSIONS.c.digest == _digest(token)))


def _digest(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
