"""A group's table written again under the same version numbers, without some of its rows.

Delta keeps every version for good, and so do its files, its log and the statistics in it. To take
somebody out of all of them the table is written anew, commit by commit, and the old one is removed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import polars as pl

from shroff.store.content import conform
from shroff.store.delta import Place
from shroff.store.group import Group
from shroff.store.tables import (
    BATCH,
    CONTENT,
    GONE,
    ROWS,
    STATISTICS,
    WRITTEN,
    GroupTable,
    Version,
    definition_of,
    facts_of,
    indexed,
    metadata,
)

Keep = Callable[[pl.DataFrame], pl.DataFrame]

_NOTHING: Final = {ROWS: "0", STATISTICS: "{}", GONE: "true"}


def replay(old: GroupTable, new: Place, keep: Keep) -> None:
    """Write all versions of a table to a place where nothing is, with the rows that are to be kept.

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
        # what is appended to rows that are gone cannot be read either
        lost = brought is None or (lost and not version.replaces)
        _commit(
            new, version, group, None if lost or brought is None else keep(_whole(brought, group))
        )
    new.extend(new.open(), old.group.columns, metadata(old.group))


def _whole(rows: pl.DataFrame, group: Group) -> pl.DataFrame:
    """Rows of a file under the definition that they were written by."""
    if rows.width == 0:
        rows = pl.DataFrame(schema=dict.fromkeys(group.columns, pl.Null))
    return conform(rows, group)


def _commit(new: Place, version: Version, group: Group, rows: pl.DataFrame | None) -> None:
    # of which rows a batch was stays known, so that it is not written again
    mark = (f"batch:{version.batch}", int(version.content[:15], 16)) if version.batch else None
    if rows is None:
        facts = {BATCH: version.batch, CONTENT: version.content, **_NOTHING}
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
