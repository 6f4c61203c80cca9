"""Feature groups as Delta tables: one table per group and definition version, every write a table version."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from types import ModuleType
from typing import Any, Final

import msgspec
import polars as pl

from shroff.errors import ConfigurationError, NotFound
from shroff.features.define import FeatureGroup

_DEFINITION: Final = "shroff.definition"
_ROWS: Final = "shroff.rows"


@dataclass(frozen=True)
class Version:
    """One write of a group: its number, when it was made, how many payments it holds."""

    number: int
    written: datetime
    rows: int


class FeatureStore:
    """Feature tables under one root: a folder, or a URL of object storage (`s3://`, `abfss://`, `gs://`).

    Args:
        options: credentials and settings of the object storage, as delta-rs takes them.
    """

    def __init__(self, root: str, *, options: Mapping[str, str] | None = None) -> None:
        self.root = root.rstrip("/")
        self._options = dict(options or {})

    def write(self, group: FeatureGroup, features: pl.DataFrame) -> Version:
        """Write a group's features as a new version; the ones before stay readable. Atomic: all of it or nothing.

        Args:
            features: the id column and one column per feature of the group, as an engine computes them.

        Raises:
            ConfigurationError: columns that are not the group's, or the table was written by another definition
                of the same version number.
        """
        names = [feature.name for feature in group.definitions]
        if features.columns[1:] != names:
            raise ConfigurationError(
                f"feature group `{group.name}`: expected an id and its {len(names)} features in their order, "
                f"got {features.width} columns."
            )
        definition = fingerprint(group)
        kept = {entry[_DEFINITION] for entry in self._history(group)}
        if kept - {definition}:
            raise ConfigurationError(
                f"feature group `{group.name}` version {group.version} was stored with another definition; "
                f"raise its version to {group.version + 1}."
            )
        deltalake = _deltalake()
        deltalake.write_deltalake(
            self._uri(group),
            features,
            mode="overwrite",
            storage_options=self._options or None,
            commit_properties=deltalake.CommitProperties(
                custom_metadata={_DEFINITION: definition, _ROWS: str(len(features))}
            ),
        )
        return self.versions(group)[0]

    def read(self, group: FeatureGroup, *, number: int | None = None) -> pl.DataFrame:
        """A group's features as some version has them; the newest without `number`.

        Raises:
            NotFound: the group, or that version of it, was never written.
        """
        known = [version.number for version in self.versions(group)]
        if not known:
            raise NotFound(f"feature group `{group.name}` version {group.version} is not in the store {self.root}.")
        if number is not None and number not in known:
            raise NotFound(f"feature group `{group.name}`: expected a stored version of {known}, got {number}.")
        return pl.read_delta(self._uri(group), version=number, storage_options=self._options or None)

    def versions(self, group: FeatureGroup) -> list[Version]:
        """All writes of a group, newest first; empty when there are none."""
        return [
            Version(
                number=int(entry["version"]),
                written=datetime.fromtimestamp(entry["timestamp"] / 1000, UTC),
                rows=int(entry[_ROWS]),
            )
            for entry in self._history(group)
        ]

    def _uri(self, group: FeatureGroup) -> str:
        return f"{self.root}/{group.name}/v{group.version}"

    def _history(self, group: FeatureGroup) -> list[dict[str, Any]]:
        """What Delta's log says of each of our writes, newest first."""
        deltalake = _deltalake()
        options = self._options or None
        if not deltalake.DeltaTable.is_deltatable(self._uri(group), storage_options=options):
            return []
        history = deltalake.DeltaTable(self._uri(group), storage_options=options).history()
        return [entry for entry in history if _DEFINITION in entry]


def fingerprint(group: FeatureGroup) -> str:
    """SHA-256 of a group's definitions: equal exactly when the same features are defined in the same way."""
    return hashlib.sha256(msgspec.json.encode(group.definitions)).hexdigest()


def _deltalake() -> ModuleType:
    # 60 MB of Rust: loaded by those who open a store, not by those who import the module
    return import_module("deltalake")
