"""Erasure: a person is removed from all versions of all groups, datasets, statistics and logs.

A person's rows have one of their values in the named column. Rows of the same key in other groups
with that key are theirs, too: the features of their payments, keyed by the payment. What remains is
a record in the catalog of what was removed and when; it does not name the person.

If it is interrupted at any moment, run it again: one entry of the catalog replaces each table, and
folders without an entry are removed at the end.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
import polars as pl

from shroff.errors import DataError, NotFound
from shroff.store.build import build
from shroff.store.catalog import Entry
from shroff.store.content import TYPES
from shroff.store.datasets import Datasets
from shroff.store.delta import in_turn
from shroff.store.groups import Groups
from shroff.store.replay import replay
from shroff.store.tables import CLOSED, GroupTable
from shroff.store.training_data import Lineage, TrainingData
from shroff.store.upkeep import pins

Marks = dict[tuple[str, ...], pl.DataFrame]
"""The values that mark the person's rows, by column."""


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """What was, or would be, erased. It does not name the person.

    Attributes:
        column: the column in which the person was searched.
        groups: removed rows by `name@version`, each counted once, in however many versions it was.
        datasets: removed payments by `name@version`.
        bundles: those trained on one of these datasets; what they learned stays.
    """

    column: str
    groups: dict[str, int]
    datasets: dict[str, int]
    bundles: list[str]
    at: datetime | None = None


def forget(
    groups: Groups, datasets: Datasets, column: str, values: Sequence[str], *, dry_run: bool = False
) -> Erasure:
    """Erase the person who has one of these values in a column.

    Raises:
        NotFound: no group has the column.
    """
    tables = [groups.table(one.name, one.version) for one in groups.all()]
    if not any(column in table.group.columns for table in tables):
        raise NotFound(
            f"{groups.root}: expected a column of a group of the store, found none `{column}`."
        )
    marks, theirs = _looked_for(tables, column, values)
    found = {
        label: len(theirs[label].unique(table.group.order))
        for table in tables
        if (label := _label(table)) in theirs
    }
    affected = [(data, count) for data in datasets.all() if (count := _count(data, marks))]
    bundles = sorted({bundle for data, _ in affected for bundle in pins(groups, data)})
    if not dry_run:
        for table in tables:
            if _label(table) in found or _closed(table) or _may_name(table, marks):
                _rewrite(groups, table, marks)
        for data, _ in affected:
            _remake(groups, datasets, data)
        groups.sweep()
    erasure = Erasure(
        column=column,
        groups=found,
        datasets={f"{data.name}@{data.version}": count for data, count in affected},
        bundles=bundles,
        at=None if dry_run else datetime.now(UTC),
    )
    if not dry_run:
        name, document = secrets.token_hex(8), msgspec.to_builtins(erasure)
        groups.catalog.change(
            lambda _: Entry(sort="erasure", name=name, version=1, document=document)
        )
    return erasure


def held(
    groups: Groups, datasets: Datasets, column: str, values: Sequence[str]
) -> dict[str, pl.DataFrame]:
    """The rows of the person who has one of these values in a column, by `name@version` of group
    and training dataset: each row once, in however many versions it is.
    """
    tables = [groups.table(one.name, one.version) for one in groups.all()]
    marks, found = _looked_for(tables, column, values)
    for data in datasets.all():
        rows = data.read()
        rows = rows.filter(_is_theirs(rows, marks, data.manifest.group.key))
        if len(rows):
            found[f"{data.name}@{data.version}"] = rows
    return found


def erasures(groups: Groups) -> list[Erasure]:
    """The records of all erasures, oldest first."""
    return [msgspec.convert(one.document, Erasure) for one in groups.catalog.entries("erasure")]


def _looked_for(
    tables: Sequence[GroupTable], column: str, values: Sequence[str]
) -> tuple[Marks, dict[str, pl.DataFrame]]:
    """The marks of their rows, and the rows by group; searched until no new mark is found."""
    marks: Marks = {(column,): pl.DataFrame({column: list(values)}, schema={column: pl.String})}
    found: dict[str, pl.DataFrame] = {}
    before = -1
    while before != (before := sum(map(len, marks.values()))):
        for table in tables:
            key = tuple(table.group.key)
            rows = pl.concat(
                [_theirs(one, marks, table) for one in _all_rows(table)] or [_no_rows(table)]
            )
            if len(rows):
                found[_label(table)] = rows.unique(maintain_order=True)
                known = rows.select(pl.col(key).cast(pl.String)).unique()
                marks[key] = pl.concat([marks[key], known]).unique() if key in marks else known
    return marks, found


def _label(table: GroupTable) -> str:
    return f"{table.group.name}@{table.group.version}"


def _all_rows(table: GroupTable) -> Iterable[pl.DataFrame]:
    """The rows of all readable versions: the newest, and the last before each replacement."""
    versions = table.versions()
    for number, version in enumerate(versions):
        if number == 0 or versions[number - 1].replaces:
            try:
                yield table.read(_columns(table), as_of=version.number).select(_columns(table))
            except NotFound:
                # vacuumed
                continue


def _may_name(table: GroupTable, marks: Marks) -> bool:
    """Whether the log may hold something of them for a version that can no longer be read."""
    named = next(iter(marks))[0] in table.group.columns or tuple(table.group.key) in marks
    return named and any(
        not one.gone and table.place.added(one.delta) is None for one in table.versions()
    )


def _columns(table: GroupTable) -> list[str]:
    return list(table.group.columns)


def _no_rows(table: GroupTable) -> pl.DataFrame:
    return pl.DataFrame(schema={name: TYPES[one.kind] for name, one in table.group.columns.items()})


def _theirs(rows: pl.DataFrame, marks: Marks, table: GroupTable) -> pl.DataFrame:
    return rows.filter(_is_theirs(rows, marks, table.group.key))


def _is_theirs(rows: pl.DataFrame, marks: Marks, key: str | Sequence[str]) -> pl.Series:
    """Whether a row has a marked value: the first mark in any such column, others in keys."""
    theirs = pl.repeat(False, len(rows), eager=True)
    for number, (columns, values) in enumerate(marks.items()):
        if set(columns) <= set(rows.columns) and (number == 0 or columns == tuple(key)):
            texts = rows.select(pl.col(columns).cast(pl.String))
            theirs |= texts.join(
                values.with_columns(pl.lit(True).alias("\0theirs")),
                on=columns,
                how="left",
                maintain_order="left",
            )["\0theirs"].fill_null(False)
    return theirs


def _count(data: TrainingData, marks: Marks) -> int:
    group = data.manifest.group
    return int(_is_theirs(data.read(), marks, group.key).sum())


def _closed(table: GroupTable) -> bool:
    return table.place.exists() and CLOSED in table.place.open().metadata().configuration


def _rewrite(
    groups: Groups, table: GroupTable, marks: Mapping[tuple[str, ...], pl.DataFrame]
) -> None:
    """Replace a group's table by one without their rows; writers wait meanwhile."""
    if not _closed(table):
        in_turn(
            lambda: table.place.describe(table.place.open(), {CLOSED: "true"}),
            f"group {table.group.label}",
        )
    group = table.group
    folder = groups.reserve(f"{group.name}/v{group.version}-")
    replay(
        table,
        groups.place(folder),
        lambda rows: rows.filter(~_is_theirs(rows, dict(marks), group.key)),
    )
    groups.move(group, folder)


def _remake(groups: Groups, datasets: Datasets, data: TrainingData) -> None:
    """Rebuild a dataset from the groups without their rows; delete it if nothing is left."""
    sources = datasets.sources(data.manifest)
    lineage = [_moved(one, sources[one.asked].version.delta) for one in data.manifest.lineage]
    try:
        built = build(data.manifest.definition, sources)
    except DataError:
        document = {}
    else:
        folder = datasets.reserve(data.name)
        document = msgspec.to_builtins(
            datasets.keep(built, data.manifest.definition, lineage, folder)
        )
    entry = Entry(sort="dataset", name=data.name, version=data.version, document=document)
    groups.catalog.change(lambda _: entry)


def _moved(one: Lineage, delta: int) -> Lineage:
    return msgspec.structs.replace(one, delta=delta)
