"""Dated tables replaced while the service runs, exchange rates and reference tables: each kept with
author and reason.

A bundle brings its own. What was put in their place last holds instead, for every bundle that it
fits, until something else is; putting the bundle's own back is a replacement too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import msgspec
from sqlalchemy import BigInteger, Column, Integer, String, Table, Text, func, select

from shroff.clock import Clock, system_time
from shroff.collect.fields import require_note
from shroff.control.database import METADATA, Control
from shroff.errors import ConfigurationError

_MAX_CHARACTERS: Final = 500
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement(Generic[T]):
    """A replacement of a table (None: each bundle's own again); `made_at` in microseconds since the
    epoch.
    """

    id: int
    table: T | None
    note: str | None
    made_by: str
    made_at: int
    name: str = ""
    """Of the table, where there are several of its kind."""


def history(name: str, content: str) -> Table:
    """The table of a control database that keeps replacements, their JSON in a column `content`."""
    return Table(
        name,
        METADATA,
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        Column(content, Text, key="content"),
        Column("note", String(_MAX_CHARACTERS)),
        Column("made_by", String(200), nullable=False),
        Column("made_at", BigInteger, nullable=False),
        Column("name", String(100)),
    )


class Replacements(Generic[T]):
    """The replacements of one kind of table in a control database.

    Args:
        kept: as `history` makes it; `kind` of table, called `what` in messages.

    Raises:
        ControlUnavailable: by every verb, when the database does not answer.
    """

    def __init__(
        self, url: str, kept: Table, kind: type[T], what: str, clock: Clock = system_time
    ) -> None:
        self._control = Control(url)
        self._kept = kept
        self._decode = msgspec.json.Decoder(kind).decode
        self._what = what
        self._clock = clock

    def replace(
        self, table: T | None, *, by: str, note: str | None = None, name: str = ""
    ) -> Replacement[T]:
        """Replace a table for payments from now on; None restores each bundle's own.

        Raises:
            ConfigurationError: the note is too long, holds a card number, or shows otherwise than
                it is.
        """
        if len(note or "") > _MAX_CHARACTERS:
            raise ConfigurationError(f"expected a note of at most {_MAX_CHARACTERS} characters.")
        require_note(note)
        made: dict[str, Any] = {"note": note, "made_by": by, "made_at": self._clock(), "name": name}
        content = None if table is None else msgspec.json.encode(table).decode()
        with self._control.transaction(f"keep {self._what}") as connection:
            (number,) = connection.execute(
                self._kept.insert(), made | {"content": content}
            ).inserted_primary_key or (0,)
        return Replacement(id=int(number), table=table, **made)

    def replacements(self) -> list[Replacement[T]]:
        """All replacements, oldest first."""
        with self._control.transaction(f"read {self._what}") as connection:
            rows = connection.execute(select(self._kept).order_by(self._kept.c.id)).all()
        return [self._read(*row) for row in rows]

    def newest(self, *, after: int = 0) -> list[Replacement[T]]:
        """The last replacement of each name, oldest first; only those that came after the one with
        this number.
        """
        columns = self._kept.c
        last = select(func.max(columns.id)).group_by(columns.name)
        query = (
            select(self._kept).where(columns.id.in_(last), columns.id > after).order_by(columns.id)
        )
        with self._control.transaction(f"read {self._what}") as connection:
            return [self._read(*row) for row in connection.execute(query).all()]

    def _read(
        self, number: int, content: str | None, note: str | None, by: str, at: int, name: str | None
    ) -> Replacement[T]:
        table = None if content is None else self._decode(content)
        return Replacement(
            id=number, table=table, note=note, made_by=by, made_at=at, name=name or ""
        )


class LiveReplacements(Generic[T]):
    """The replacements in force, kept up to date from a control database."""

    def __init__(self, store: Replacements[T]) -> None:
        self.store = store
        self.last: dict[str, Replacement[T]] = {}
        """The last replacement of each name."""

    def refresh(self) -> None:
        """Read the replacements made since the last refresh; from any thread.

        Raises:
            ControlUnavailable: what was read last stays in force.
        """
        found = self.store.newest(after=max((one.id for one in self.last.values()), default=0))
        if found:
            self.last = self.last | {one.name: one for one in found}
