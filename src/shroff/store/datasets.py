"""Training datasets: immutable versions, with a content hash and the exact versions they read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
import polars as pl

from shroff.errors import NotFound, ShroffError, did_you_mean
from shroff.store.build import Built, Source, build
from shroff.store.catalog import Entry, standing
from shroff.store.content import conform, digest
from shroff.store.group import Group
from shroff.store.groups import Groups, require_free, require_reserved
from shroff.store.names import split_name
from shroff.store.tables import GroupTable
from shroff.store.training_data import Lineage, Manifest, TrainingData
from shroff.store.training_set import PART, TrainingSet


@dataclass(frozen=True)
class Verified:
    """Whether a dataset's rows are unchanged, and whether its groups still give the same rows."""

    kept: bool
    rebuilt: bool


class Datasets:
    """The training datasets of a store."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups

    def create(self, wanted: TrainingSet, *, as_of: datetime | None = None) -> TrainingData:
        """Make a dataset, or return the one that was made of the same versions."""
        sources = {name: self._source(name, as_of) for name in _named(wanted)}
        lineage = [_lineage(asked, source) for asked, source in sources.items()]
        for known in self.all():
            if known.manifest.definition == wanted and known.manifest.lineage == lineage:
                return known
        folder = self.reserve(wanted.name)
        # read afterwards: nothing is kept of a person who is forgotten meanwhile
        sources = {name: self._source(name, as_of) for name in sources}
        lineage = [_lineage(asked, source) for asked, source in sources.items()]
        manifest = self.keep(build(wanted, sources), wanted, lineage, folder)
        document = msgspec.to_builtins(manifest)

        def decide(every: list[Entry]) -> Entry:
            entries = standing(every)
            require_free(entries, "group", wanted.name)
            require_reserved(entries, manifest.folder)
            numbers = [
                one.version for one in every if (one.sort, one.name) == ("dataset", wanted.name)
            ]
            return Entry(
                sort="dataset",
                name=wanted.name,
                version=max(numbers, default=0) + 1,
                document=document,
            )

        try:
            entry = self._groups.catalog.change(decide)
        except ShroffError:
            self._groups.place(folder).remove()
            raise
        return self._data(entry)  # type: ignore[arg-type]  # it decides for one

    def reserve(self, name: str) -> str:
        """A folder for the rows of a dataset."""
        return self._groups.reserve(f"_datasets/{name}/")

    def keep(
        self, built: Built, wanted: TrainingSet, lineage: list[Lineage], folder: str
    ) -> Manifest:
        """Write the rows of a dataset to its folder; returns its manifest."""
        table = GroupTable(built.group, self._groups.place(folder))
        table.create()
        return Manifest(
            definition=wanted,
            group=built.group,
            origin=dict(built.origin),
            rows=len(built.rows),
            content=table.replace(built.rows).content,
            lineage=lineage,
            left_out=dict(built.left_out),
            parts=_parts(built, wanted),
            folder=folder,
            statuses={name: dict(counts) for name, counts in built.statuses.items()},
        )

    def get(self, name: str, version: int | None = None) -> TrainingData:
        """A dataset by name and version, by default the latest."""
        every = self.all()
        found = [one for one in every if one.name == name and version in (None, one.version)]
        if not found:
            there = f"version {version} of " if version is not None else ""
            hint = did_you_mean(name, {one.name for one in every} - {name}) or "."
            raise NotFound(
                f"{self._groups.root}: expected a training dataset, found no {there}`{name}`{hint}"
            )
        return found[-1]

    def all(self) -> list[TrainingData]:
        """All datasets, by name and version."""
        made = map(self._data, self._groups.catalog.entries("dataset"))
        return sorted(made, key=lambda one: (one.name, one.version))

    def verify(self, data: TrainingData) -> Verified:
        """Whether a dataset is unchanged, and is reproduced from the versions of its lineage."""
        manifest = data.manifest
        kept = digest(conform(data.read(), manifest.group)) == manifest.content
        again = build(manifest.definition, self.sources(manifest))
        return Verified(
            kept=kept, rebuilt=digest(conform(again.rows, again.group)) == manifest.content
        )

    def _source(self, name: str, as_of: datetime | None) -> Source:
        return Source(*self._groups.table(*split_name(name)).at(as_of))

    def sources(self, manifest: Manifest) -> dict[str, Source]:
        """The groups that a dataset was made of, at those versions."""
        tables = ((one, self._groups.table(one.group, one.version)) for one in manifest.lineage)
        return {one.asked: Source(*table.at(one.number)) for one, table in tables}

    def _data(self, entry: Entry) -> TrainingData:
        manifest = msgspec.convert(entry.document, Manifest)
        table = GroupTable(manifest.group, self._groups.place(manifest.folder))
        return TrainingData(
            name=entry.name, version=entry.version, made=entry.at, manifest=manifest, table=table
        )


def _named(wanted: TrainingSet) -> list[str]:
    labels = (
        [wanted.labels.group]
        if wanted.labels is not None and wanted.labels.group is not None
        else []
    )
    return list(dict.fromkeys([wanted.of, *(one.group for one in wanted.joins), *labels]))


def _lineage(asked: str, source: Source) -> Lineage:
    group = source.group
    return Lineage(
        asked=asked,
        group=group.name,
        version=group.version,
        number=source.version.number,
        delta=source.version.delta,
        fingerprint=group.fingerprint(),
    )


def _parts(built: Built, wanted: TrainingSet) -> dict[str, dict[str, int]]:
    if wanted.split is None:
        return {}
    counts: dict[str, dict[str, int]] = {}
    for name in wanted.split.parts:
        rows = built.rows.filter(pl.col(PART) == name)
        fraud = {} if wanted.labels is None else {"frauds": int(rows[wanted.labels.column].sum())}
        counts[name] = {"payments": len(rows), **fraud}
    return counts


def pinned(datasets: Sequence[TrainingData], group: Group) -> Mapping[int, list[str]]:
    """The versions of a group that datasets were made of, with those datasets."""
    found: dict[int, list[str]] = {}
    for data in datasets:
        for one in data.manifest.lineage:
            if (one.group, one.version) == (group.name, group.version):
                found.setdefault(one.number, []).append(f"{data.name}@{data.version}")
    return found
