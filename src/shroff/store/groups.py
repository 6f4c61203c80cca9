"""The groups of a store, by its catalog."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from shroff.errors import ConfigurationError, NotFound, StoreUnavailable, did_you_mean
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
        """The table of a group, made if it is missing, with columns added that it lacks.

        Raises:
            ConfigurationError: the store has the group's version with another definition, or a
                dataset of its name.
        """
        document = _document(group)

        def decide(every: list[Entry]) -> Entry | None:
            entries = standing(every)
            require_free(entries, "dataset", group.name)
            known = [
                one
                for one in entries
                if (one.sort, one.name, one.version) == ("group", group.name, group.version)
            ]
            if known:
                group.added_to(definition(known[0]))
                if known[0].document["group"] == document:
                    return None
            folder = (
                known[0].document["folder"]
                if known
                else _unused(every, f"{group.name}/v{group.version}")
            )
            made = {"group": document, "folder": folder}
            return Entry(sort="group", name=group.name, version=group.version, document=made)

        self.catalog.change(decide)
        table = self.table(group.name, group.version)
        table.create()
        return table

    def fitting(self, group: Group) -> Group:
        """A group without a version, under the highest version that it fits, or the next one."""
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
        """The table of an existing group by name; by default its highest version.

        Raises:
            NotFound: there is no such group.
        """
        entries = self.catalog.entries("group")
        found = [one for one in entries if one.name == name and version in (None, one.version)]
        if not found:
            there = f"version {version} of " if version is not None else ""
            hint = did_you_mean(name, {one.name for one in entries} - {name}) or "."
            raise NotFound(
                f"{self.root}: expected a group of the store, found no {there}`{name}`{hint}"
            )
        entry = max(found, key=lambda one: one.version)
        return GroupTable(definition(entry), self.place(entry.document["folder"]))

    def all(self) -> list[Group]:
        """The definitions of all groups, by name and version."""
        return sorted(
            map(definition, self.catalog.entries("group")), key=lambda one: (one.name, one.version)
        )

    def move(self, group: Group, folder: str) -> None:
        """Record that a group's rows are in another folder from now on."""

        def decide(every: list[Entry]) -> Entry:
            known = [
                one
                for one in standing(every)
                if (one.sort, one.name, one.version) == ("group", group.name, group.version)
            ]
            return msgspec.structs.replace(
                known[0], document={**known[0].document, "folder": folder}
            )

        self.catalog.change(decide)

    def reserve(self, beginning: str) -> str:
        """A new folder under the root, known to the catalog so that leftovers can be removed."""
        folder = f"{beginning}{secrets.token_hex(8)}"
        self.catalog.change(
            lambda _: Entry(sort="folder", name=folder, version=0, document={"reserved": True})
        )
        return folder

    def sweep(self) -> None:
        """Remove folders without a valid entry: unfinished writes, and unfinished removals.

        A writer that still uses one of them is refused at the end, and starts again.
        """
        every = self.catalog.changes()
        for folder in sorted(folders(every) | _reserved(every)):

            def revoke(every: list[Entry], folder: str = folder) -> Entry | None:
                # decided anew: meanwhile the folder may have got an entry
                stands = folder in folders(standing(every))
                held = folder in _reserved(standing(every))
                return (
                    None
                    if stands or not held
                    else Entry(sort="folder", name=folder, version=0, document={})
                )

            self.catalog.change(revoke)
            if folder not in folders(self.catalog.entries()):
                self.place(folder).remove()

    def place(self, folder: str) -> Place:
        """Where a table under the root is."""
        return Place(f"{self.root}/{folder}", self._options)


def _unused(every: list[Entry], folder: str) -> str:
    """A folder that was never used: in a reused one, a removal could hit new files."""
    return f"{folder}-{secrets.token_hex(4)}" if folder in folders(every) else folder


def folders(entries: Iterable[Entry]) -> set[str]:
    """The folders of entries."""
    return {one.document["folder"] for one in entries if "folder" in one.document}


def _reserved(entries: Iterable[Entry]) -> set[str]:
    return {one.name for one in entries if one.sort == "folder"}


def require_reserved(entries: Iterable[Entry], folder: str) -> None:
    """Check that no process removed a folder while it was written.

    Raises:
        StoreUnavailable: one did.
    """
    if folder not in _reserved(entries):
        raise StoreUnavailable(
            "somebody was forgotten meanwhile, so what was read may hold their rows; try again."
        )


def require_free(entries: Iterable[Entry], sort: str, name: str) -> None:
    """Check that no group, or no dataset, has this name: a name is unique among both.

    Raises:
        ConfigurationError: one has.
    """
    if any(one.sort == sort and one.name == name for one in entries):
        raise ConfigurationError(
            f"the store has a {sort} `{name}`: a group and a dataset cannot have one name."
        )


def definition(entry: Entry) -> Group:
    """The group of an entry of the catalog."""
    return msgspec.convert(entry.document["group"], Group)


def _document(group: Group) -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(group))  # type: ignore[no-any-return]  # an object
