"""The catalog of a store: which groups and datasets there are.

It is a Delta table, so every change stays in its history. An entry defines something from then on;
the latest of a kind, name and version is valid. It holds no value of any row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec
import polars as pl

from shroff.errors import NotFound
from shroff.store.content import TYPES
from shroff.store.delta import Place, in_turn
from shroff.store.group import Column

Sort = Literal["group", "dataset", "pin", "folder", "erasure"]

_COLUMNS: Final = {
    "number": Column("integer"),
    "sort": Column("text"),
    "name": Column("text"),
    "version": Column("integer"),
    "document": Column("text"),
    "at": Column("time"),
}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the catalog; an empty `document` means that the thing was deleted."""

    sort: Sort
    name: str
    version: int
    document: dict[str, Any]
    at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    number: int = 0


class Catalog:
    """The catalog under the root of a store."""

    def __init__(self, root: str, options: Mapping[str, str]) -> None:
        self._place = Place(f"{root}/_catalog", options)

    def entries(self, sort: Sort | None = None) -> list[Entry]:
        """The valid entries in their order; of one kind, or all."""
        return [one for one in standing(self.changes()) if sort in (None, one.sort)]

    def changes(self) -> list[Entry]:
        """All entries ever made, oldest first."""
        try:
            return self._all(self._place.open())
        except NotFound:
            return []

    def change(self, decide: Callable[[list[Entry]], Entry | None]) -> Entry | None:
        """Add the entry that `decide` makes of all entries, if any, with no writer between."""

        def attempt() -> Entry | None:
            try:
                table = self._place.open()
            except NotFound:
                table = self._place.create(_COLUMNS, {}, indexed=["number"])
            every = self._all(table)
            decided = decide(every)
            if decided is None:
                return None
            entry = msgspec.structs.replace(decided, number=len(every) + 1, at=datetime.now(UTC))
            row = msgspec.structs.asdict(entry) | {
                "document": msgspec.json.encode(entry.document).decode()
            }
            self._place.append(
                table, pl.DataFrame([row], schema=_schema()).select(*_COLUMNS), facts={}
            )
            return entry

        return in_turn(attempt, self._place.uri)

    def _all(self, table: Any) -> list[Entry]:
        rows = self._place.collect(self._place.scan(table)).sort("number").rows(named=True)
        return [Entry(**row | {"document": msgspec.json.decode(row["document"])}) for row in rows]


def standing(entries: list[Entry]) -> list[Entry]:
    """The valid ones of all entries: the latest of each thing, unless deleted."""
    latest = {(one.sort, one.name, one.version): one for one in entries}
    return [one for one in latest.values() if one.document]


def _schema() -> dict[str, pl.DataType]:
    return {name: TYPES[column.kind] for name, column in _COLUMNS.items()}
