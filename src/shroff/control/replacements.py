"""Dated tables replaced while the service runs, exchange rates and reference tables: each kept with
author and reason.

A bundle brings its own. What was put in their place last holds instead, for every bundle that it
fits, until something else is; putting the bundle's own back is a replacement too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    String,
    Table,
    Text,
    func,
    select,
)

from shroff.clock import Clock, system_time
from shroff.collect.fields import require_note
from shroff.control.database import METADATA, Control
from shroff.errors import ConfigurationError, ControlUnavailable

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


class Latest(NamedTuple):
    """The last replacement of a name: its number, and where its table is; `reset` to each bundle's
    own there is none.
    """

    id: int
    name: str
    digest: str | None
    reset: bool
    size_bytes: int | None
    """Of its JSON; an earlier release did not say."""


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
        Column("size_bytes", BigInteger),
    )


class Replacements(Generic[T]):
    """The replacements of one kind of table in a control database.

    Args:
        kept: as `history` makes it; `kind` of table, called `what` in messages.
        pack: makes bytes of a table, for services, which read no other form.

    Raises:
        ControlUnavailable: by every verb, when the database does not answer.
    """

    def __init__(
        self,
        url: str,
        kept: Table,
        kind: type[T],
        pack: Callable[[T], Iterator[bytes]],
        what: str,
        clock: Clock = system_time,
    ) -> None:
        self.url = url
        self._control = Control(url)
        self._pack = pack
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
        told = {}
        if table is not None:
            told = {"mark": table.mark, "rows": table.rows, "size_bytes": len(content)}
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

    def latest(self) -> list[Latest]:
        """The last replacement of each name, oldest first, without reading the tables."""
        columns = self._kept.c
        last = select(func.max(columns.id)).group_by(columns.name)
        none = columns.digest.is_(None) & columns.content.is_(None)
        name = func.coalesce(columns.name, "")
        query = select(columns.id, name, columns.digest, none, columns.size_bytes)
        with self._control.transaction(f"read {self._what}") as connection:
            found = connection.execute(query.where(columns.id.in_(last)).order_by(columns.id))
            return [Latest(*row) for row in found]

    def table(self, one: Latest) -> T | None:
        """The table of a replacement; None where each bundle's own holds again.

        Raises:
            ControlUnavailable: what is kept is no table to this release.
        """
        with self._control.transaction(f"read {self._what}") as connection:
            return None if one.reset else self._table(connection, one.id, one.digest)

    def packed(self, one: Latest) -> Iterator[bytes]:
        """The table of a replacement, packed, in parts.

        Raises:
            ControlUnavailable: what is kept is no table to this release.
        """
        with self._control.transaction(f"read {self._what}") as connection:
            table = self._table(connection, one.id, one.digest)
        return self._pack(table)

    def marked(self, marks: Iterable[str]) -> list[T]:
        """The tables with these marks that were ever put in place, each read once."""
        columns, number = self._kept.c, func.max(self._kept.c.id)
        wanted = select(number, columns.digest).where(columns.mark.in_([*marks]))
        with self._control.transaction(f"read {self._what}") as connection:
            self._mark_earlier(connection)
            found = connection.execute(wanted.group_by(columns.mark, columns.digest)).all()
            return [self._table(connection, at, digest) for at, digest in found]

    def _table(self, connection: Connection, number: int, digest: str | None) -> T:
        query = (
            select(self._kept.c.content).where(self._kept.c.id == number)
            if digest is None
            else select(_CONTENT.c.content).where(_CONTENT.c.digest == digest)
        )
        return self._decoded(connection.execute(query).scalar_one())

    def _decoded(self, content: str) -> T:
        try:
            return self._decode(content)
        except msgspec.MsgspecError:
            raise ControlUnavailable(
                f"cannot read {self._what}: the control database holds some that are none to this "
                "release; replace them."
            ) from None

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
