"""A feature store: the groups under one root, on local disk or in object storage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from shroff.errors import ConfigurationError, NotFound, did_you_mean
from shroff.store.catalog import Catalog, Entry
from shroff.store.delta import Place
from shroff.store.group import Group
from shroff.store.tables import GroupTable

_CONDITIONAL: Final = {"aws_conditional_put": "etag"}
"""What makes one of two writers to S3 lose: a file is put only where none is."""


class FeatureStore:
    """Groups under one root: a folder, or a URL of object storage (`s3://`, `abfss://`, `gs://`).

    Args:
        root: the folder or URL, such as `shroff.settings.Settings.read().store`.
        options: credentials and settings of the object storage, as delta-rs takes them; by default those of the
            environment, such as `AWS_ACCESS_KEY_ID`.

    >>> from tempfile import mkdtemp
    >>> import polars as pl
    >>> from datetime import UTC, datetime
    >>> from shroff.store import Column, FeatureStore, Group
    >>> limits = FeatureStore(mkdtemp()).group(
    ...     Group(name="limits", key="card_id", time="at", columns={"limit": Column("number", unit="EUR")}))
    >>> rows = pl.DataFrame({"card_id": ["c"], "at": [datetime(2024, 5, 4, tzinfo=UTC)], "limit": [500.0]})
    >>> limits.write(rows, batch="2024-05-04").number == limits.write(rows, batch="2024-05-04").number
    True
    >>> limits.read(["limit"]).row(0)[2]
    500.0
    """

    def __init__(self, root: str | Path, *, options: Mapping[str, str] | None = None) -> None:
        self.root = str(root).rstrip("/")
        self._options = {**(_CONDITIONAL if self.root.startswith(("s3://", "s3a://")) else {}), **(options or {})}
        self.catalog = Catalog(self.root, self._options)

    def group(self, group: Group) -> GroupTable:
        """The table of a group; made where there is none, and given the columns that it lacks.

        Raises:
            ConfigurationError: the store has the group's version with another definition.
        """
        document = _document(group)

        def decide(entries: Iterable[Entry]) -> Entry | None:
            known = _find(entries, group.name, group.version)
            if known is not None:
                group.added_to(_group(known))
                if known.document["group"] == document:
                    return None
            folder = f"{group.name}/v{group.version}" if known is None else known.document["folder"]
            made = {"group": document, "folder": folder}
            return Entry(sort="group", name=group.name, version=group.version, document=made)

        self.catalog.change(decide)
        table = self.table(group.name, group.version)
        table.create()
        return table

    def fitting(self, group: Group) -> Group:
        """A group that has no version of its own, under the highest that it fits, or the one after."""
        known = [one for one in self.groups() if one.name == group.name]
        if not known:
            return group
        last = known[-1]
        now = msgspec.structs.replace(group, version=last.version)
        try:
            now.added_to(last)
        except ConfigurationError:
            return msgspec.structs.replace(group, version=last.version + 1)
        return now

    def table(self, name: str, version: int | None = None) -> GroupTable:
        """The table of a group that the store has, by its name; its highest version by default.

        Raises:
            NotFound: there is no such group.
        """
        entries = self.catalog.entries("group")
        found = [one for one in entries if one.name == name and version in (None, one.version)]
        if not found:
            there = f"version {version} of " if version is not None else ""
            hint = did_you_mean(name, {one.name for one in entries} - {name}) or "."
            raise NotFound(f"{self.root}: expected a group of the store, found no {there}`{name}`{hint}")
        entry = max(found, key=lambda one: one.version)
        return GroupTable(_group(entry), self.place(entry.document["folder"]))

    def groups(self) -> list[Group]:
        """The definitions of all groups, by name and version."""
        return sorted(map(_group, self.catalog.entries("group")), key=lambda one: (one.name, one.version))

    def place(self, folder: str) -> Place:
        """Where a table under the root is."""
        return Place(f"{self.root}/{folder}", self._options)


def open_store(root: str | Path | None = None) -> FeatureStore:
    """The store of a root; by default of `SHROFF_STORE`."""
    from shroff.settings import Settings

    return FeatureStore(root or Settings.read().store)


def split_name(text: str) -> tuple[str, int | None]:
    """A name and a version from `limits@2`; without `@` no version.

    >>> split_name("limits@2"), split_name("limits")
    (('limits', 2), ('limits', None))
    """
    name, at, version = text.partition("@")
    if not at:
        return name, None
    if not version.isdecimal():
        raise ConfigurationError("expected NAME or NAME@VERSION with a whole number, such as limits@2.")
    return name, int(version)


def _find(entries: Iterable[Entry], name: str, version: int) -> Entry | None:
    found = [one for one in entries if (one.sort, one.name, one.version) == ("group", name, version)]
    return found[-1] if found else None


def _document(group: Group) -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(group))  # type: ignore[no-any-return]  # an object


def _group(entry: Entry) -> Group:
    return msgspec.convert(entry.document["group"], Group)
