"""Rewriting a group's table under the same version numbers, without some of its rows.

Delta keeps every version, in its files, its log and the statistics in it. To remove a person from
all of them, the table is rewritten commit by commit, and the old one is deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import polars as pl

from shroff.store.commits import (
    BATCH,
    CONTENT,
    GONE,
    ROWS,
    STATISTICS,
    WRITTEN,
    Version,
    definition_of,
    facts_of,
    indexed,
    metadata,
)
from shroff.store.content import conform
from shroff.store.delta import Place
from shroff.store.group import Group
from shroff.store.tables import GroupTable

Keep = Callable[[pl.DataFrame], pl.DataFrame]

_GONE_FACTS: Final = {ROWS: "0", STATISTICS: "{}", GONE: "true"}


def replay(old: GroupTable, new: Place, keep: Keep) -> None:
    """Write all versions of a table to an empty place, with the rows to keep.

    A version whose files were vacuumed keeps its number and the name of its batch, and cannot be
    read.
    """
    versions = old.versions()[::-1]
    if not versions:
        new.create(old.group.columns, metadata(old.group), indexed=indexed(old.group))
        return
    first = definition_of(old.place.open(versions[0].delta))
    new.create(first.columns, metadata(first), indexed=indexed(first))
    lost = False
    for version in versions:
        group = definition_of(old.place.open(version.delta))
        new.extend(new.open(), group.columns, metadata(group))
        brought = None if version.gone else old.place.added(version.delta)
        # rows appended to vacuumed ones cannot be read either
        lost = brought is None or (lost and not version.replaces)
        _commit(
            new, version, group, None if lost or brought is None else keep(_whole(brought, group))
        )
    new.extend(new.open(), old.group.columns, metadata(old.group))


def _whole(rows: pl.DataFrame, group: Group) -> pl.DataFrame:
    """Rows of a file under the definition by which they were written."""
    if rows.width == 0:
        rows = pl.DataFrame(schema=dict.fromkeys(group.columns, pl.Null))
    return conform(rows, group)


def _commit(new: Place, version: Version, group: Group, rows: pl.DataFrame | None) -> None:
    # the batch keeps its mark, so that it is not written again
    mark = (f"batch:{version.batch}", int(version.content[:15], 16)) if version.batch else None
    if rows is None:
        facts = {BATCH: version.batch, CONTENT: version.content, **_GONE_FACTS}
        rows = _whole(pl.DataFrame(), group)
    else:
        facts = facts_of(rows, group, version.batch)
    new.append(
        new.open(),
        rows,
        facts={**facts, WRITTEN: version.written.isoformat()},
        mark=mark,
        mode="overwrite" if version.replaces else "append",
        number=version.number,
    )
