"""People who sign in: names, roles and passwords, and whether they may still."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from sqlalchemy import BigInteger, Column, Connection, Integer, String, Table, func, select
from sqlalchemy.exc import IntegrityError

from shroff.clock import Clock, system_time
from shroff.collect.cards import require_no_card_number
from shroff.collect.values import require_readable
from shroff.control.access_history import (
    ACCESS_LOCK,
    NOBODY,
    AccessChange,
    AccessStep,
    keep_access,
)
from shroff.control.database import METADATA, Control, in_turn
from shroff.control.passwords import hash_password, password_fits
from shroff.errors import ConfigurationError, NotFound

UserRole = Literal["analyst", "modeller", "admin"]
"""What a person may do; each role may what those before it may."""
USER_ROLES: Final[tuple[UserRole, ...]] = get_args(UserRole)

_SHOWN_NAMES: Final = 20

USERS: Final = Table(
    "shroff_user",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(100), nullable=False),
    Column("folded", String(200), nullable=False, unique=True),
    Column("role", String(20), nullable=False),
    Column("password", String(200)),
    Column("endings", Integer),
    Column("identity", String(500), unique=True),
    Column("created", BigInteger, nullable=False),
    Column("disabled", BigInteger),
    Column("claimed", BigInteger),
)
SESSIONS: Final = Table(
    "shroff_session",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("user", Integer, nullable=False, index=True),
    Column("created", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person who signs in; times in microseconds since the epoch.

    `identity` is who they are to the provider of OpenID Connect, where they sign in there;
    `claimed` when it named their role last, None where somebody here did; `by_password` whether
    they sign in here; `endings` how often all their sessions were ended.
    """

    id: int
    name: str
    role: UserRole
    created: int
    disabled: int | None = None
    identity: str | None = None
    claimed: int | None = None
    by_password: bool = False
    endings: int = 0

    def may(self, role: UserRole) -> bool:
        """Whether this person may do what a role may.

        >>> User(id=1, name="ada", role="modeller", created=0).may("analyst")
        True
        """
        return USER_ROLES.index(self.role) >= USER_ROLES.index(role)


class Users:
    """The people in a control database.

    Raises:
        ControlUnavailable: by every verb, when the database does not answer.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     users = Users(f"sqlite:///{folder}/control.db")
    ...     _ = users.add("Ada", "analyst", password="correct horse battery")
    ...     found = users.signing_in("ada", "correct horse battery")
    ...     found.name, users.signing_in("ada", "incorrect horse")
    ('Ada', None)
    """

    def __init__(self, url: str, *, clock: Clock = system_time) -> None:
        self._control = Control(url)
        self._clock = clock

    def add(
        self,
        name: str,
        role: UserRole,
        *,
        password: str | None = None,
        identity: str | None = None,
        claimed: bool = False,
        by: str = NOBODY,
    ) -> User:
        """Add a person; without a password they sign in through OpenID Connect only.

        Args:
            claimed: whether the provider names their role.
            by: who adds them, for the history; so in the verbs below.

        Raises:
            ConfigurationError: a name that somebody has, that is empty, over 100 characters, holds
                a card number, names two people or shows otherwise than it reads; an unknown role;
                a short password.
        """
        _require_name(name)
        _require_role(role)
        values = {
            "name": name,
            "folded": folded_name(name),
            "role": role,
            "password": None if password is None else hash_password(password),
            "identity": identity,
            "created": self._clock(),
            "claimed": self._clock() if claimed else None,
        }
        with self._control.transaction("add a user") as connection:
            in_turn(connection, ACCESS_LOCK)
            try:
                connection.execute(USERS.insert(), values)
            except IntegrityError:
                raise ConfigurationError(
                    "expected a name that nobody has; `shroff users list` shows those there are."
                ) from None
            self._keep(connection, "user added", name, by, detail=role)
        return self.named(name)

    def all(self) -> list[User]:
        """Everybody, the disabled too, by name."""
        with self._control.transaction("read the users") as connection:
            rows = connection.execute(select(USERS).order_by(USERS.c.folded)).mappings().all()
        return [user_of(row) for row in rows]

    def any(self) -> bool:
        """Whether somebody may sign in."""
        query = select(func.count()).select_from(USERS).where(USERS.c.disabled.is_(None))
        with self._control.transaction("count the users") as connection:
            return bool(connection.scalar(query))

    def named(self, name: str) -> User:
        """The person of this name, however it is capitalised.

        Raises:
            NotFound: there is none.
        """
        query = select(USERS).where(USERS.c.folded == folded_name(name))
        with self._control.transaction("read a user") as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise _unknown()
        return user_of(row)

    def active(self, name: str) -> User:
        """The person of this name, to whom work may be given.

        Raises:
            ConfigurationError: nobody who may sign in is called so; it names those who are.
        """
        able = [one for one in self.all() if one.disabled is None]
        found = next((one for one in able if folded_name(one.name) == folded_name(name)), None)
        if found is None:
            names = ", ".join(one.name for one in able[:_SHOWN_NAMES])
            more = f" and {len(able) - _SHOWN_NAMES} more" if len(able) > _SHOWN_NAMES else ""
            raise ConfigurationError(f"expected somebody who may sign in: {names}{more}.")
        return found

    def identified(self, identity: str) -> User | None:
        """The person whom a provider of OpenID Connect calls so."""
        query = select(USERS).where(USERS.c.identity == identity)
        with self._control.transaction("read a user") as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else user_of(row)

    def invited(self, name: str, identity: str) -> User | None:
        """Who was added by name without a password, who is from now on whom the provider calls so;
        None where nobody waits under the name.
        """
        waits = (
            USERS.c.folded == folded_name(name),
            USERS.c.password.is_(None),
            USERS.c.identity.is_(None),
        )
        with self._control.transaction("take up an invited user") as connection:
            in_turn(connection, ACCESS_LOCK)
            taken = connection.execute(USERS.update().where(*waits).values(identity=identity))
            if taken.rowcount:
                self._keep(connection, "sign-in taken up", name, NOBODY)
        return self.identified(identity) if taken.rowcount else None

    def signing_in(self, name: str, password: str) -> User | None:
        """Who has this name and password and is not disabled; None takes as long to say."""
        query = select(USERS).where(USERS.c.folded == folded_name(name))
        with self._control.transaction("read a user") as connection:
            row = connection.execute(query).mappings().one_or_none()
        fits = password_fits(password, None if row is None else row["password"])
        return user_of(row) if row is not None and fits and row["disabled"] is None else None

    def set_role(
        self, name: str, role: UserRole, *, claimed: bool = False, by: str = NOBODY
    ) -> None:
        """Give a person another role, at once.

        Args:
            claimed: whether the provider names it, and somebody here does not.

        Raises:
            NotFound: there is no such person.
            ConfigurationError: an unknown role.
        """
        _require_role(role)
        values = {"role": role, "claimed": self._clock() if claimed else None}
        self._change(name, values, "role set", by, ends_sessions=False)

    def end_sessions(self, name: str, *, by: str = NOBODY) -> None:
        """End the sessions of a person.

        Raises:
            NotFound: there is no such person.
        """
        self._change(name, {}, "sessions ended", by, ends_sessions=True)

    def set_password(self, name: str, password: str, *, by: str = NOBODY) -> User:
        """Give a person another password, and end their sessions; who they are with it.

        Raises:
            NotFound: there is no such person.
            ConfigurationError: a short password.
        """
        values = {"password": hash_password(password)}
        return self._change(name, values, "password set", by, ends_sessions=True)

    def disable(self, name: str, *, by: str = NOBODY) -> None:
        """Let a person sign in no longer, and end their sessions.

        Raises:
            NotFound: there is no such person.
        """
        values = {"disabled": self._clock()}
        self._change(name, values, "user disabled", by, ends_sessions=True)

    def enable(self, name: str, *, by: str = NOBODY) -> None:
        """Let a disabled person sign in again.

        Raises:
            NotFound: there is no such person.
        """
        self._change(name, {"disabled": None}, "user enabled", by, ends_sessions=False)

    def _change(
        self,
        name: str,
        values: Mapping[str, Any],
        what: AccessStep,
        by: str,
        *,
        ends_sessions: bool,
    ) -> User:
        own = USERS.c.folded == folded_name(name)
        if ends_sessions:
            values = {**values, "endings": func.coalesce(USERS.c.endings, 0) + 1}
        with self._control.transaction("change a user") as connection:
            in_turn(connection, ACCESS_LOCK)
            found = connection.execute(select(USERS).where(own)).mappings().one_or_none()
            if found is None:
                raise _unknown()
            connection.execute(USERS.update().where(own).values(values))
            before = user_of(found)
            changed = user_of(connection.execute(select(USERS).where(own)).mappings().one())
            if ends_sessions:
                connection.execute(SESSIONS.delete().where(SESSIONS.c.user == changed.id))
            # a provider names the role at each sign-in, mostly the same
            if what != "role set" or _governed(before) != _governed(changed):
                roles = dict.fromkeys((before.role, changed.role)) if what == "role set" else ()
                self._keep(connection, what, changed.name, by, detail=" → ".join(roles))
        return changed

    def _keep(
        self, connection: Connection, what: AccessStep, name: str, by: str, *, detail: str = ""
    ) -> None:
        change = AccessChange(at=self._clock(), by=by, what=what, of=name, detail=detail)
        keep_access(connection, change)


def _governed(user: User) -> tuple[UserRole, bool]:
    """The role, and whether a provider names it: somebody here who sets it ends that."""
    return user.role, user.claimed is not None


def user_of(row: Mapping[Any, Any]) -> User:
    """The person of a row."""
    names = ("id", "name", "role", "created", "disabled", "identity", "claimed")
    told = {name: row[name] for name in names}
    return User(**told, by_password=row["password"] is not None, endings=row["endings"] or 0)


def folded_name(name: str) -> str:
    """A name as it is compared: however it is capitalised, and whichever forms its letters have."""
    return unicodedata.normalize("NFKC", name).strip().casefold()[:200]


def _require_name(name: str) -> None:
    if not 0 < len(name) <= 100 or name != name.strip():
        raise ConfigurationError(
            "expected a name of 1 to 100 characters without spaces around it for the user, "
            f"got {len(name)}."
        )
    require_no_card_number(name, "a name of a user")
    require_readable(name, "a name of a user")
    if ", agreed by " in " ".join(folded_name(name).split()):
        # histories name two people so
        raise ConfigurationError("expected the name of one person, without `, agreed by `.")


def _require_role(role: str) -> None:
    if role not in USER_ROLES:
        raise ConfigurationError(f"expected a role of {', '.join(USER_ROLES)}, got `{role}`.")


def _unknown() -> NotFound:
    return NotFound("there is no user of this name; `shroff users list` shows those there are.")
