"""Reference tables replaced while the service runs, each under its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from shroff.clock import Clock, system_time
from shroff.collect.packed_table import PackedTable, pack_table
from shroff.collect.tables import LookupTable, ReferenceTable, fits
from shroff.control.live_replacements import LiveReplacements
from shroff.control.replacements import Replacements, history

_TABLES: Final = history("shroff_tables", "content")
T = TypeVar("T", bound=LookupTable)


class StoredTables(Replacements[ReferenceTable]):
    """The replacements of reference tables in a control database; see `Replacements`."""

    def __init__(self, url: str, *, clock: Clock = system_time) -> None:
        super().__init__(url, _TABLES, ReferenceTable, pack_table, "reference tables", clock)


class LiveTables(LiveReplacements[ReferenceTable, PackedTable]):
    """The reference tables that a service looks up in, kept up to date from a control database."""

    def __init__(self, store: StoredTables) -> None:
        super().__init__(store, "tables", PackedTable)

    def now(self, own: Sequence[LookupTable]) -> tuple[LookupTable, ...]:
        """The tables in force for a bundle: its own unless they were replaced."""
        return in_force(self.tables, own)


def in_force(replaced: Mapping[str, T | None], own: Sequence[T]) -> tuple[T, ...]:
    """The tables that hold for a bundle with tables of its own, after the last replacement of each
    name.

    >>> own, other = (
    ...     ReferenceTable.of("mcc", [{"mcc": "1", "risk": risk}], key="mcc")
    ...     for risk in ("low", "high")
    ... )
    >>> in_force({"mcc": other}, [own]) == (other,), in_force({"mcc": None}, [own]) == (own,)
    (True, True)
    """
    # one without the columns that a bundle looks up does not apply to it
    return tuple(
        found if (found := replaced.get(table.name)) is not None and fits(found, table) else table
        for table in own
    )
