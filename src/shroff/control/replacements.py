"""Dated tables replaced while the service runs, exchange rates and reference tables: each kept with
author and reason.

A bundle brings its own. What was put in their place last holds instead, for every bundle that it
fits, until something else is; putting the bundle's own back is a replacement too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    Select,
    String,
    Table,
    Text,
    func,
    select,
)

from shroff.clock import Clock, system_time
from shroff.collect.fields import require_note
from shroff.control.database import METADATA, Control
from shroff.errors import ConfigurationError

_MAX_CHARACTERS: Final = 500
_CONTENT: Final = Table(
    "shroff_table_content",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("content", Text, nullable=False),
)


class DatedTable(Protocol):
    """What is replaced: it has a mark, which tells it from others, and rows."""

    @property
    def mark(self) -> str: ...

    @property
    def rows(self) -> int: ...


T = TypeVar("T", bound=DatedTable)
_NOTHING_KNOWN: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacementRecord:
    """What is kept of a replacement besides the table: its mark and rows, both None where each
    bundle's own holds again.
    """

    id: int
    mark: str | None
    rows: int | None
    note: str | None
    made_by: str
    made_at: int
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement(Generic[T]):
    """A replacement of a table (None: each bundle's own again), `made_at` in µs since the epoch."""

    id: int
    table: T | None
    note: str | None
    made_by: str
    made_at: int
    name: str = ""
    """Of the table, where there are several of its kind."""
    digest: str | None = None
    """SHA-256 of the table as it is kept; an earlier release kept none."""

    @property
    def record(self) -> ReplacementRecord:
        """It without the table."""
        mark, rows = (None, None) if self.table is None else (self.table.mark, self.table.rows)
        return ReplacementRecord(
            id=self.id,
            mark=mark,
            rows=rows,
            note=self.note,
            made_by=self.made_by,
            made_at=self.made_at,
            name=self.name,
        )


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
        Column("digest", String(64)),
        Column("mark", String(200)),
        Column("rows", Integer),
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
        content = b"" if table is None else msgspec.json.encode(table)
        digest = None if table is None else sha256(content).hexdigest()
        told = {} if table is None else {"mark": table.mark, "rows": table.rows}
        with self._control.transaction(f"keep {self._what}") as connection:
            if digest is not None and not self._has(connection, digest):
                connection.execute(
                    _CONTENT.insert(), {"digest": digest, "content": content.decode()}
                )
            (number,) = connection.execute(
                self._kept.insert(), made | told | {"digest": digest}
            ).inserted_primary_key or (0,)
        return Replacement(id=int(number), table=table, digest=digest, **made)

    def records(self) -> list[ReplacementRecord]:
        """What was replaced by whom, oldest first, without reading the tables."""
        columns = self._kept.c
        query = select(
            *(columns[name] for name in ("id", "mark", "rows", "note", "made_by", "made_at")),
            func.coalesce(columns.name, "").label("name"),
        ).order_by(columns.id)
        with self._control.transaction(f"read {self._what}") as connection:
            self._mark_earlier(connection)
            return [ReplacementRecord(**row) for row in connection.execute(query).mappings().all()]

    def replacements(self) -> list[Replacement[T]]:
        """All replacements, oldest first."""
        with self._control.transaction(f"read {self._what}") as connection:
            return self._read(connection, self._each.order_by(self._kept.c.id), {})

    def newest(
        self, *, after: int = 0, known: Mapping[str, T] = _NOTHING_KNOWN
    ) -> list[Replacement[T]]:
        """The last replacement of each name, oldest first; only those that came after the one with
        this number.

        Args:
            known: tables at hand by digest, which are not read again.
        """
        columns = self._kept.c
        last = select(func.max(columns.id)).group_by(columns.name)
        query = self._each.where(columns.id.in_(last), columns.id > after).order_by(columns.id)
        with self._control.transaction(f"read {self._what}") as connection:
            return self._read(connection, query, known)

    @property
    def _each(self) -> Select[Any]:
        columns = self._kept.c
        has_own = columns.content.is_not(None)
        said = (columns.note, columns.made_by, columns.made_at, columns.name)
        return select(columns.id, columns.digest, has_own, *said)

    def _read(
        self, connection: Connection, query: Select[Any], known: Mapping[str, T]
    ) -> list[Replacement[T]]:
        at_hand, found = dict(known), []
        for number, digest, has_own, note, by, at, name in connection.execute(query).all():
            table = at_hand.get(digest)
            if table is None and (digest is not None or has_own):
                table = self._table(connection, number, digest)
            if table is not None and digest is not None:
                at_hand[digest] = table
            made = Replacement(
                id=number,
                table=table,
                note=note,
                made_by=by,
                made_at=at,
                name=name or "",
                digest=digest,
            )
            found.append(made)
        return found

    def _table(self, connection: Connection, number: int, digest: str | None) -> T:
        query = (
            select(self._kept.c.content).where(self._kept.c.id == number)
            if digest is None
            else select(_CONTENT.c.content).where(_CONTENT.c.digest == digest)
        )
        return self._decode(connection.execute(query).scalar_one())

    def _mark_earlier(self, connection: Connection) -> None:
        """Note mark and rows of replacements by an earlier release, which kept neither."""
        columns = self._kept.c
        unmarked = select(columns.id).where(columns.mark.is_(None), columns.content.is_not(None))
        for number in connection.scalars(unmarked).all():
            table = self._table(connection, number, None)
            told = {"mark": table.mark, "rows": table.rows}
            connection.execute(self._kept.update().where(columns.id == number).values(told))

    def _has(self, connection: Connection, digest: str) -> bool:
        query = select(_CONTENT.c.digest).where(_CONTENT.c.digest == digest)
        return connection.scalar(query) is not None


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
        after = max((one.id for one in self.last.values()), default=0)
        known = {
            one.digest: one.table
            for one in self.last.values()
            if one.digest is not None and one.table is not None
        }
        found = self.store.newest(after=after, known=known)
        if found:
            self.last = self.last | {one.name: one for one in found}
