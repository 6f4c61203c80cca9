"""Upkeep: old files are removed; versions of datasets and bundles stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from shroff.errors import ConfigurationError
from shroff.store.catalog import Entry, standing
from shroff.store.datasets import Datasets, pinned
from shroff.store.groups import Groups
from shroff.store.tables import GroupTable
from shroff.store.training_data import TrainingData

WEEK_HOURS: Final = 168


def vacuum(
    datasets: Datasets, table: GroupTable, *, hours: int = WEEK_HOURS, dry_run: bool = False
) -> list[str]:
    """Remove files, except those of the newest version, of datasets' versions, or the last hours.

    Args:
        hours: at least as long as a writer or a reader may take.

    Returns:
        The files that were, or would be, removed.
    """
    if hours < 0:
        raise ConfigurationError(f"expected a number of hours from 0 on, got {hours}.")
    held = pinned(datasets.all(), table.group)
    keep = [one.delta for one in table.versions() if one.number in held]
    return table.place.vacuum(keep, hours=hours, dry_run=dry_run)


def pins(groups: Groups, data: TrainingData) -> list[str]:
    """The bundles that pin a dataset."""
    found = [
        one
        for one in groups.catalog.entries("pin")
        if (one.name, one.version) == (data.name, data.version)
    ]
    return list(found[0].document["bundles"]) if found else []


def pin(groups: Groups, data: TrainingData, bundle: str, *, held: bool = True) -> None:
    """Pin a dataset for a bundle, so that it cannot be deleted, or remove the pin."""

    def decide(every: list[Entry]) -> Entry:
        mine = [
            one
            for one in standing(every)
            if (one.sort, one.name, one.version) == ("pin", data.name, data.version)
        ]
        before: Sequence[str] = mine[0].document["bundles"] if mine else []
        now = [one for one in before if one != bundle] + ([bundle] if held else [])
        document: dict[str, Any] = {"bundles": now} if now else {}
        return Entry(sort="pin", name=data.name, version=data.version, document=document)

    groups.catalog.change(decide)


def delete_dataset(groups: Groups, data: TrainingData) -> None:
    """Delete a dataset: its rows, and its entry in the catalog.

    Raises:
        ConfigurationError: a bundle pins it.
    """

    def decide(every: list[Entry]) -> Entry:
        held = [
            one
            for one in standing(every)
            if (one.sort, one.name, one.version) == ("pin", data.name, data.version)
        ]
        if held:
            raise ConfigurationError(
                f"training dataset {data.label}: the bundle {held[0].document['bundles'][0]} was "
                "trained on it; release it first, with `shroff store release`."
            )
        return Entry(sort="dataset", name=data.name, version=data.version, document={})

    groups.catalog.change(decide)
    groups.sweep()


def delete_group(groups: Groups, datasets: Datasets, table: GroupTable) -> None:
    """Delete a version of a group: its rows with their history, and its entry in the catalog.

    Raises:
        ConfigurationError: a training dataset was made of it.
    """
    group = table.group

    def decide(every: list[Entry]) -> Entry:
        # checked in the same turn, so no writer comes between
        held = sorted({name for names in pinned(datasets.all(), group).values() for name in names})
        if held:
            raise ConfigurationError(
                f"group {group.label}: {', '.join(held)} was made of it; delete that first."
            )
        return Entry(sort="group", name=group.name, version=group.version, document={})

    groups.catalog.change(decide)
    groups.sweep()
