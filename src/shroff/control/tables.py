"""Reference tables replaced while the service runs, each under its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from shroff.clock import Clock, system_time
from shroff.collect.tables import ReferenceTable
from shroff.control.replacements import LiveReplacements, Replacement, Replacements, history

_TABLES: Final = history("shroff_tables", "content")


class StoredTables(Replacements[ReferenceTable]):
    """The replacements of reference tables in a control database; see `Replacements`."""

    def __init__(self, url: str, *, clock: Clock = system_time) -> None:
        super().__init__(url, _TABLES, ReferenceTable, "reference tables", clock)


class LiveTables(LiveReplacements[ReferenceTable]):
    """The reference tables that a service looks up in, kept up to date from a control database."""

    def now(self, own: Sequence[ReferenceTable]) -> tuple[ReferenceTable, ...]:
        """The tables in force for a bundle: its own unless they were replaced."""
        return in_force(self.last, own)


def in_force(
    last: Mapping[str, Replacement[ReferenceTable]], own: Sequence[ReferenceTable]
) -> tuple[ReferenceTable, ...]:
    """The tables that hold for a bundle with tables of its own, after the last replacement of each
    name.

    >>> own, other = (
    ...     ReferenceTable.of("mcc", [{"mcc": "1", "risk": risk}], key="mcc")
    ...     for risk in ("low", "high")
    ... )
    >>> made = Replacement(id=1, table=other, note=None, made_by="ada", made_at=0, name="mcc")
    >>> in_force({"mcc": made}, [own]) == (other,), in_force({}, [own]) == (own,)
    (True, True)
    """
    replaced = {name: one.table for name, one in last.items() if one.table is not None}
    # one without the columns that a bundle looks up does not apply to it
    return tuple(
        found if (found := replaced.get(table.name)) is not None and found.fits(table) else table
        for table in own
    )
