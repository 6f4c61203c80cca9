"""A group of the store: its columns, the key of its rows, and when they became known."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, get_args

import msgspec
from msgspec.structs import force_setattr

from shroff.errors import ConfigurationError, UnknownColumn, did_you_mean
from shroff.features.typed import require_types

Kind = Literal["integer", "number", "text", "boolean", "time"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_MAX_VERSION: Final = 2**31 - 1
NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")


class Column(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One column of a group.

    Args:
        kind: `integer`, `number`, `text`, `boolean` or `time` (UTC, microseconds).
        unit: what a value counts, such as `EUR`, `payments` or `seconds`.
        description: for people.
        definition: what computes it, if anything; it is included in the group's fingerprint.
    """

    kind: Kind
    unit: str = ""
    description: str = ""
    definition: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigurationError(f"Column(kind=…): expected one of {', '.join(KINDS)}.")
        require_types(self)


class Group(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A versioned table of an entity's rows, valid from event time, known from arrival.

    No two rows are equal in key, event time and arrival: a correction of a row is the same key and
    event time with a later arrival.

    Args:
        name: letters, digits, `_` and `-`.
        key: the column or columns that identify the entity.
        time: the column of event times.
        columns: every other column; key, time and arrival may stand here too, with a unit or a
            description.
        arrival: the column of arrivals, when rows reached the system; by default the event time.
        version: 1 or more; raise it when a column changes its meaning.
        description, owner: for people.
        tags: words to find it by.

    Raises:
        ConfigurationError: a name, a version or a column that does not fit.

    >>> limits = Group(
    ...     name="limits", key="card_id", time="at", columns={"limit": Column("number", unit="EUR")}
    ... )
    >>> list(limits.columns), limits.key
    (['card_id', 'at', 'limit'], ('card_id',))
    """

    name: str
    key: str | Sequence[str]
    time: str
    columns: Mapping[str, Column]
    arrival: str | None = None
    version: int = 1
    description: str = ""
    owner: str = ""
    tags: Sequence[str] = ()

    def __post_init__(self) -> None:
        where = (
            f"Group(name={self.name!r})"
            if isinstance(self.name, str) and len(self.name) <= 100
            else "Group"
        )
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"{where}: expected a name of letters, digits, `_` and `-`, such as `limits`."
            )
        require_types(self)
        if not 1 <= self.version <= _MAX_VERSION:
            raise ConfigurationError(f"{where}: expected a version from 1 on, got {self.version}.")
        force_setattr(self, "key", (self.key,) if isinstance(self.key, str) else tuple(self.key))
        if not self.key:
            raise ConfigurationError(f"{where}: expected at least one key column, got none.")
        force_setattr(self, "tags", tuple(self.tags))
        force_setattr(self, "columns", self._completed(where))
        _require_apart(self.columns, where)

    def _completed(self, where: str) -> dict[str, Column]:
        roles = [*self.key, self.time, *([self.arrival] if self.arrival is not None else [])]
        if len(set(roles)) < len(roles):
            raise ConfigurationError(
                f"{where}: a column is named twice among key, time and arrival."
            )
        whole = {name: self.columns.get(name, Column("text")) for name in self.key}
        for name in roles[len(self.key) :]:
            whole[name] = self.columns.get(name, Column("time"))
            if whole[name].kind != "time":
                raise ConfigurationError(
                    f"{where}: expected column `{name}` to be a time, got {whole[name].kind}."
                )
        return whole | {name: column for name, column in self.columns.items() if name not in whole}

    @property
    def order(self) -> list[str]:
        """The columns by which no two rows are equal: key, event time and arrival."""
        return [*self.key, self.time, *([self.arrival] if self.arrival is not None else [])]

    @property
    def values(self) -> list[str]:
        """The columns besides key, event time and arrival."""
        return [name for name in self.columns if name not in self.order]

    @property
    def known_at(self) -> str:
        """The column of arrivals."""
        return self.arrival or self.time

    @property
    def label(self) -> str:
        """The group in words: `limits` version 1."""
        return f"`{self.name}` version {self.version}"

    def require(self, names: Sequence[str]) -> None:
        """Check that these are columns of the group.

        Raises:
            UnknownColumn: one is not.
        """
        for name in names:
            if name not in self.columns:
                hint = did_you_mean(name, self.columns) or "."
                raise UnknownColumn(f"group {self.label}: unknown column `{name}`{hint}")

    def fingerprint(self) -> str:
        """SHA-256 of the group's definition without descriptions; equal for equal definitions."""
        meaning = {
            name: (one.kind, one.unit, one.definition) for name, one in sorted(self.columns.items())
        }
        return hashlib.sha256(
            msgspec.json.encode([self.key, self.time, self.arrival, meaning])
        ).hexdigest()

    def added_to(self, stored: Group) -> list[str]:
        """The columns that this definition adds to a stored one of the same name and version.

        Raises:
            ConfigurationError: something else differs in meaning.
        """
        changes = list(_changes(stored, self))
        if changes:
            raise ConfigurationError(
                f"group {self.label} was stored with another definition: {'; '.join(changes)}. A "
                f"column may be added; for anything else raise its version to {self.version + 1}."
            )
        return [name for name in self.columns if name not in stored.columns]


def require_moment(moment: object, where: str) -> None:
    """Check that this is None or a moment with a time zone.

    Raises:
        ConfigurationError: it is something else.
    """
    if moment is None:
        return
    if not isinstance(moment, datetime):
        raise ConfigurationError(
            f"{where}: expected a moment, such as datetime(2024, 5, 4, tzinfo=UTC), got "
            f"{type(moment).__name__}."
        )
    if moment.tzinfo is None:
        raise ConfigurationError(f"{where}: expected a moment with a time zone, got one without.")


def _require_apart(names: Iterable[str], where: str) -> None:
    """Check that Delta can hold columns of these names: it does not tell upper from lower case."""
    seen: dict[str, str] = {}
    for name in names:
        if not name or "\0" in name:
            raise ConfigurationError(
                f"{where}: expected a name for each column, got an empty one, or one with a null "
                "character."
            )
        if (other := seen.setdefault(name.lower(), name)) != name:
            raise ConfigurationError(
                f"{where}: columns `{other}` and `{name}` differ in upper and lower case only, "
                "which Delta does not tell apart; rename one."
            )


def _changes(stored: Group, now: Group) -> Iterator[str]:
    for role in ("key", "time", "arrival"):
        if getattr(stored, role) != getattr(now, role):
            yield f"its {role} is another"
    for name, column in stored.columns.items():
        if name not in now.columns:
            yield f"column `{name}` is gone"
            continue
        for aspect in ("kind", "unit", "definition"):
            if getattr(column, aspect) != getattr(now.columns[name], aspect):
                yield f"column `{name}` has another {aspect}"
