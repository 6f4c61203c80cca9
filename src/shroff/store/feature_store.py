"""A feature store: the groups under one root, on local disk or in object storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from shroff.errors import ConfigurationError
from shroff.location import address
from shroff.store.compare import Difference, difference
from shroff.store.datasets import Datasets, Verified
from shroff.store.erase import Erasure, erasures, forget
from shroff.store.group import Group
from shroff.store.groups import Groups
from shroff.store.tables import GroupTable
from shroff.store.training_data import TrainingData
from shroff.store.training_set import TrainingSet
from shroff.store.upkeep import WEEK_HOURS, delete_dataset, delete_group, pin, pins, vacuum

_CONDITIONAL: Final = {"aws_conditional_put": "etag"}
"""What makes one of two writers to S3 lose: a file is put only where none is."""


class FeatureStore:
    """Groups under one root: a folder, or a URL of object storage (`s3://`, `abfss://`, `gs://`).

    Args:
        root: the folder or URL, such as `shroff.settings.Settings.read().store`.
        options: credentials and settings of the object storage, as delta-rs takes them; by default
            those of the environment, such as `AWS_ACCESS_KEY_ID`.

    Raises:
        ConfigurationError: the URL has a login.

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
        """The table of a group; made where there is none, and given the columns that it lacks.

        Raises:
            ConfigurationError: the store has the group's version with another definition.
        """
        return self._groups.put(group)

    def fitting(self, group: Group) -> Group:
        """A group that has no version of its own, under the highest that it fits, or the one
        after.
        """
        return self._groups.fitting(group)

    def table(self, name: str, version: int | None = None) -> GroupTable:
        """The table of a group that the store has, by its name; its highest version by default.

        Raises:
            NotFound: there is no such group.
        """
        return self._groups.table(name, version)

    def groups(self) -> list[Group]:
        """The definitions of all groups, by name and version."""
        return self._groups.all()

    def create(self, wanted: TrainingSet, *, as_of: datetime | None = None) -> TrainingData:
        """Make a training dataset of what the groups have now, or had at a moment, and keep it as
        the next version.

        Where that was made already of the same versions of the groups, it is given again.

        Raises:
            ConfigurationError: the definition does not fit the groups, or a group has its name.
            DataError: no payment is left.
            NotFound: a group, or a version of it that is still there.
        """
        return self._datasets.create(wanted, as_of=as_of)

    def dataset(self, name: str, version: int | None = None) -> TrainingData:
        """A training dataset that was made; the latest version by default.

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
        """Whether a training dataset's rows are those that were made, and whether its groups give
        them again.
        """
        return self._datasets.verify(self.dataset(name, version))

    def diff(self, name: str, before: int, after: int, *, version: int | None = None) -> Difference:
        """How the rows of a group, or of a training dataset, differ between two of its versions.

        Args:
            before, after: of a group the numbers of writes, of a dataset its versions.
            version: of the group; by default its highest.
        """
        if any(one.name == name for one in self.datasets()):
            made = [self.dataset(name, number) for number in (before, after)]
            return difference(made[0].read(), made[1].read(), list(made[1].manifest.group.key))
        table = self.table(name, version)
        return difference(table.read(as_of=before), table.read(as_of=after), table.group.order)

    def vacuum(
        self,
        name: str,
        version: int | None = None,
        *,
        hours: int = WEEK_HOURS,
        dry_run: bool = False,
    ) -> list[str]:
        """Remove files of a group that no version needs which is the newest, of the last hours, or
        a dataset's.

        Returns:
            The files that went, or would go.
        """
        return vacuum(self._datasets, self.table(name, version), hours=hours, dry_run=dry_run)

    def delete(self, name: str, version: int) -> None:
        """Take a version of a group or of a training dataset away, with all its rows.

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
        """Forget the person who has one of these values in a column: in all versions, datasets and
        statistics.

        Versions keep their numbers; datasets are made again of what is left, under another content
        hash. Groups are written anew, and take no writes meanwhile.

        Args:
            dry_run: only counts.

        Raises:
            NotFound: no group has the column.
        """
        theirs = [values] if isinstance(values, str) else list(values)
        return forget(self._groups, self._datasets, column, theirs, dry_run=dry_run)

    def erasures(self) -> list[Erasure]:
        """The records of everybody who was forgotten; they name nobody."""
        return erasures(self._groups)

    def pin(self, data: TrainingData, bundle: str) -> None:
        """Hold a dataset for a bundle, by the bundle's version: it cannot be deleted until
        `release`.
        """
        pin(self._groups, data, bundle)

    def release(self, data: TrainingData, bundle: str) -> None:
        """Hold a dataset no more for a bundle."""
        pin(self._groups, data, bundle, held=False)

    def pins(self, data: TrainingData) -> list[str]:
        """The versions of the bundles that hold a dataset."""
        return pins(self._groups, data)


def open_store(root: str | Path | None = None) -> FeatureStore:
    """The store of a root; by default of `SHROFF_STORE`."""
    from shroff.settings import Settings

    return FeatureStore(root or Settings.read().store)
