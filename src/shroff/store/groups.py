"""The groups of a store, by what its catalog says of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from shroff.errors import ConfigurationError, NotFound, did_you_mean
from shroff.store.catalog import Catalog, Entry, standing
from shroff.store.delta import Place
from shroff.store.group import Group
from shroff.store.tables import GroupTable


class Groups:
    """The groups under one root."""

    def __init__(self, root: str, options: Mapping[str, str]) -> None:
        self.root = root
        self._options = options
        self.catalog = Catalog(root, options)

    def put(self, group: Group) -> GroupTable:
        """The table of a group; made where there is none, and given the columns that it lacks.

        Raises:
            ConfigurationError: the store has the group's version with another definition, or a dataset of its name.
        """
        document = _document(group)

        def decide(every: list[Entry]) -> Entry | None:
            entries = standing(every)
            require_free(entries, "dataset", group.name)
            known = [
                one for one in entries if (one.sort, one.name, one.version) == ("group", group.name, group.version)
            ]
            if known:
                group.added_to(definition(known[0]))
                if known[0].document["group"] == document:
                    return None
            folder = known[0].document["folder"] if known else f"{group.name}/v{group.version}"
            made = {"group": document, "folder": folder}
            return Entry(sort="group", name=group.name, version=group.version, document=made)

        self.catalog.change(decide)
        table = self.table(group.name, group.version)
        table.create()
        return table

    def fitting(self, group: Group) -> Group:
        """A group that has no version of its own, under the highest that it fits, or the one after."""
        known = [one for one in self.all() if one.name == group.name]
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
        return GroupTable(definition(entry), self.place(entry.document["folder"]))

    def all(self) -> list[Group]:
        """The definitions of all groups, by name and version."""
        return sorted(map(definition, self.catalog.entries("group")), key=lambda one: (one.name, one.version))

    def place(self, folder: str) -> Place:
        """Where a table under the root is."""
        return Place(f"{self.root}/{folder}", self._options)


def require_free(entries: Iterable[Entry], sort: str, name: str) -> None:
    """Check that no group, or no dataset, has this name: a name is one thing.

    Raises:
        ConfigurationError: one has.
    """
    if any(one.sort == sort and one.name == name for one in entries):
        raise ConfigurationError(f"the store has a {sort} `{name}`: a group and a dataset cannot have one name.")


def definition(entry: Entry) -> Group:
    """The group that an entry of the catalog is of."""
    return msgspec.convert(entry.document["group"], Group)


def _document(group: Group) -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(group))  # type: ignore[no-any-return]  # an object
