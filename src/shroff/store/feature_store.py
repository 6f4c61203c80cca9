"""A feature store: the groups under one root, on local disk or in object storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl

from shroff.errors import ConfigurationError
from shroff.location import address
from shroff.store.compare import Difference, difference
from shroff.store.datasets import Datasets, Verified
from shroff.store.erase import Erasure, erasures, forget, held
from shroff.store.group import Group
from shroff.store.groups import Groups
from shroff.store.tables import GroupTable
from shroff.store.training_data import TrainingData
from shroff.store.training_set import TrainingSet
from shroff.store.upkeep import WEEK_HOURS, delete_dataset, delete_group, pin, pins, vacuum

_CONDITIONAL: Final = {"aws_conditional_put": "etag"}
"""Lets one of two writers to S3 lose: a file is created only if it does not exist."""


class FeatureStore:
    """Groups under one root: a folder, or a URL of object storage (`s3://`, `abfss://`, `gs://`).

    Args:
        root: the folder or URL, such as `shroff.settings.Settings.read().store`.
        options: credentials and settings of the object storage, as delta-rs takes them; by default
            those of the environment, such as `AWS_ACCESS_KEY_ID`.

    Raises:
        ConfigurationError: the root is empty, or the URL has a login.

    >>> from tempfile import mkdtemp
    >>> import polars as pl
    >>> from datetime import UTC, datetime
    >>> from shroff.store import Column, FeatureStore, Group
    >>> limits = FeatureStore(mkdtemp()).group(
    ...     Group(
    ...         name="limits",
    ...         key="card_id",
    ...         time="at",
    ...         columns={"limit": Column("number", unit="EUR")},
    ...     )
    ... )
    >>> rows = pl.DataFrame(
    ...     {"card_id": ["c"], "at": [datetime(2024, 5, 4, tzinfo=UTC)], "limit": [500.0]}
    ... )
    >>> limits.write(rows, batch="2024-05-04").number == limits.write(
    ...     rows, batch="2024-05-04"
    ... ).number
    True
    >>> limits.read(["limit"]).row(0)[2]
    500.0
    """

    def __init__(self, root: str | Path, *, options: Mapping[str, str] | None = None) -> None:
        self.root = str(root).rstrip("/")
        if not self.root:
            raise ConfigurationError(
                "expected the folder or URL of a store, got an empty text, or the whole disk."
            )
        if address(self.root) != self.root:
            raise ConfigurationError(
                "expected a store as a folder or as a URL without login and options, such as "
                f"s3://bucket/store, got `{address(self.root)}` with more: object storage reads "
                "AWS_ACCESS_KEY_ID and the like."
            )
        usual = _CONDITIONAL if self.root.startswith(("s3://", "s3a://")) else {}
        self._groups = Groups(self.root, {**usual, **(options or {})})
        self._datasets = Datasets(self._groups)

    def group(self, group: Group) -> GroupTable:
        """The table of a group, made if it is missing, with columns added that it lacks.

        Raises:
            ConfigurationError: the store has the group's version with another definition.
        """
        return self._groups.put(group)

    def fitting(self, group: Group) -> Group:
        """A group without a version, under the highest version that it fits, or the next one."""
        return self._groups.fitting(group)

    def table(self, name: str, version: int | None = None) -> GroupTable:
        """The table of an existing group by name; by default its highest version.

        Raises:
            NotFound: there is no such group.
        """
        return self._groups.table(name, version)

    def groups(self) -> list[Group]:
        """The definitions of all groups, by name and version."""
        return self._groups.all()

    def create(self, wanted: TrainingSet, *, as_of: datetime | None = None) -> TrainingData:
        """Make the next version of a training dataset of the groups, as of now or of a moment.

        A dataset that was already made of the same versions is returned again.

        Raises:
            ConfigurationError: the definition does not fit the groups, or a group has its name.
            DataError: no payment is left.
            NotFound: a group, or a version of it that is still there.
        """
        return self._datasets.create(wanted, as_of=as_of)

    def dataset(self, name: str, version: int | None = None) -> TrainingData:
        """A training dataset; by default its latest version.

        Raises:
            NotFound: there is none.
        """
        return self._datasets.get(name, version)

    def latest(self, name: str) -> TrainingData:
        """The latest version of a training dataset.

        Raises:
            NotFound: there is none.
        """
        return self._datasets.get(name)

    def datasets(self) -> list[TrainingData]:
        """All training datasets, by name and version."""
        return self._datasets.all()

    def verify(self, name: str, version: int | None = None) -> Verified:
        """Whether a dataset's rows are unchanged, and whether its groups reproduce them."""
        return self._datasets.verify(self.dataset(name, version))

    def diff(self, name: str, before: int, after: int, *, version: int | None = None) -> Difference:
        """How the rows of a group or training dataset differ between two versions.

        Args:
            before, after: of a group the numbers of writes, of a dataset its versions.
            version: of the group; by default its highest.
        """
        if any(one.name == name for one in self.datasets()):
            made = [self.dataset(name, number) for number in (before, after)]
            return difference(made[0].read(), made[1].read(), list(made[1].manifest.group.key))
        table = self.table(name, version)
        then = [table.at(number)[0].read(as_of=number) for number in (before, after)]
        return difference(then[0], then[1], table.group.order)

    def vacuum(
        self,
        name: str,
        version: int | None = None,
        *,
        hours: int = WEEK_HOURS,
        dry_run: bool = False,
    ) -> list[str]:
        """Remove a group's files, except those of the newest version, the last hours, or a dataset.

        Returns:
            The files that were, or would be, removed.
        """
        return vacuum(self._datasets, self.table(name, version), hours=hours, dry_run=dry_run)

    def delete(self, name: str, version: int) -> None:
        """Delete a version of a group or of a training dataset, with all its rows.

        Raises:
            ConfigurationError: a dataset was made of the group, or a bundle was trained on the
                dataset.
            NotFound: there is none.
        """
        if any((one.name, one.version) == (name, version) for one in self.datasets()):
            delete_dataset(self._groups, self.dataset(name, version))
        else:
            delete_group(self._groups, self._datasets, self.table(name, version))

    def forget(self, column: str, values: str | Sequence[str], *, dry_run: bool = False) -> Erasure:
        """Erase the person who has one of these values in a column, in all versions and datasets.

        Versions keep their numbers. Datasets are rebuilt from what is left, with another content
        hash. Groups are rewritten, and take no writes meanwhile.

        Args:
            dry_run: only counts.

        Raises:
            NotFound: no group has the column.
        """
        theirs = [values] if isinstance(values, str) else list(values)
        return forget(self._groups, self._datasets, column, theirs, dry_run=dry_run)

    def held(self, column: str, values: Sequence[str]) -> dict[str, pl.DataFrame]:
        """The rows of the person who has one of these values in a column, which `forget` would
        erase, by `name@version` of group and training dataset.
        """
        return held(self._groups, self._datasets, column, values)

    def erasures(self) -> list[Erasure]:
        """The records of all erasures; they name nobody."""
        return erasures(self._groups)

    def pin(self, data: TrainingData, bundle: str) -> None:
        """Pin a dataset for a version of a bundle: it cannot be deleted until `release`."""
        pin(self._groups, data, bundle)

    def release(self, data: TrainingData, bundle: str) -> None:
        """Remove the pin of a bundle from a dataset."""
        pin(self._groups, data, bundle, held=False)

    def pins(self, data: TrainingData) -> list[str]:
        """The versions of the bundles that pin a dataset."""
        return pins(self._groups, data)


def open_store(root: str | Path | None = None) -> FeatureStore:
    """The store under a root; by default `SHROFF_STORE`."""
    from shroff.settings import Settings

    return FeatureStore(root or Settings.read().store)
