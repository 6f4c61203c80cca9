"""Delta tables: one commit at a time, each with a mark, none lost and none twice.

Every commit raises a count: of two writers that start from the same version one wins, and the other
starts again from the new version. A commit's mark (a name and a number) is in the same commit as
its rows, so the mark tells whether the rows were written, also after a lost answer or a kill.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import polars as pl

from shroff.errors import ConfigurationError, MissingExtra, NotFound, StoreUnavailable
from shroff.store.group import Column, Kind

if TYPE_CHECKING:
    from deltalake import DeltaTable

T = TypeVar("T")

TURN: Final = "shroff"
"""The application whose transactions count the commits of all writers."""
NUMBER: Final = "shroff.version"
"""The key, in a commit's metadata, of its number, from 1 on."""
DELTA: Final = "shroff.delta"
"""The key of its Delta version: `history` counts wrongly while others commit."""
MAX_COMMIT_ATTEMPTS: Final = 40

_TYPES: Final[dict[Kind, str]] = {
    "integer": "long",
    "number": "double",
    "text": "string",
    "boolean": "boolean",
    "time": "timestamp",
}
_KEPT: Final = {
    # a version is readable as long as its log exists: only `vacuum` removes files
    "delta.enableExpiredLogCleanup": "false",
    # each commit carries statistics, which opening a table reads again up to its last checkpoint
    "delta.checkpointInterval": "20",
}


class Place:
    """The place of a Delta table: a folder or a URL, with the options of its object storage."""

    def __init__(self, uri: str, options: Mapping[str, str]) -> None:
        self.uri = uri
        self.options = dict(options)

    def open(self, version: int | None = None) -> DeltaTable:
        """The table as it is now, or at a version.

        Raises:
            NotFound: there is no such table, or no such version of it.
            StoreUnavailable: the storage does not answer.
        """
        deltalake = _deltalake()
        with self._answering():
            try:
                table: DeltaTable = deltalake.DeltaTable(
                    self.uri, version=version, storage_options=self.options or None
                )
            except deltalake.exceptions.TableNotFoundError:
                raise NotFound(f"{self.uri}: no table of the store is there.") from None
            except deltalake.exceptions.DeltaError:
                if version is None:
                    raise
                raise NotFound(f"{self.uri}: there is no version {version}.") from None
        return table

    def exists(self) -> bool:
        """Whether the table exists."""
        try:
            self.open()
        except NotFound:
            return False
        return True

    def create(
        self, columns: Mapping[str, Column], facts: Mapping[str, str], *, indexed: list[str]
    ) -> DeltaTable:
        """Make the table unless it exists.

        Args:
            facts: keys and values of its metadata.
            indexed: columns whose extremes the log keeps by file; it keeps no value of any other
                column.
        """
        deltalake = _deltalake()
        settings = {**_KEPT, "delta.dataSkippingStatsColumns": ",".join(indexed), **facts}
        with self._answering():
            try:
                table: DeltaTable = deltalake.DeltaTable.create(
                    self.uri,
                    deltalake.Schema([field(name, column) for name, column in columns.items()]),
                    mode="error",
                    configuration=settings,
                    storage_options=self.options or None,
                    raise_if_key_not_exists=False,
                )
            except deltalake.exceptions.DeltaError as error:
                # another writer may have been first
                try:
                    return self.open()
                except NotFound:
                    raise StoreUnavailable(
                        f"{self.uri}: expected a place to make a table in, got "
                        f"{type(error).__name__}: may it be written, and is there room?"
                    ) from error
        return table

    def append(
        self,
        table: DeltaTable,
        rows: pl.DataFrame,
        *,
        facts: Mapping[str, str],
        mark: tuple[str, int] | None = None,
        mode: Literal["append", "overwrite"] = "append",
        number: int | None = None,
    ) -> None:
        """Commit rows, their mark and their description at once.

        Args:
            number: that of the commit; by default the next.

        Raises:
            Overtaken: another writer committed since the table was opened.
        """
        deltalake = _deltalake()
        turn = number or (table.transaction_version(TURN) or 0) + 1
        marks = [(TURN, turn), *([mark] if mark else [])]
        with self._answering():
            deltalake.write_deltalake(
                table,
                rows,
                mode=mode,
                commit_properties=deltalake.CommitProperties(
                    custom_metadata={**facts, NUMBER: str(turn), DELTA: str(table.version() + 1)},
                    max_commit_retries=0,
                    app_transactions=[deltalake.Transaction(*one) for one in marks],
                ),
            )

    def extend(
        self, table: DeltaTable, columns: Mapping[str, Column], facts: Mapping[str, str]
    ) -> None:
        """Add missing columns to the table, and replace facts in its metadata."""
        there = {one.name for one in table.schema().fields}
        new = [field(name, column) for name, column in columns.items() if name not in there]
        with self._answering():
            if new:
                table.alter.add_columns(new)
            if any(
                table.metadata().configuration.get(name) != text for name, text in facts.items()
            ):
                self.describe(table, facts)

    def describe(self, table: DeltaTable, facts: Mapping[str, str]) -> None:
        """Replace facts in the metadata of a table; its rows stay as they are.

        Raises:
            Overtaken: another writer committed since the table was opened.
        """
        with self._answering():
            table.alter.set_table_properties(dict(facts), raise_if_not_exists=False)

    def scan(self, table: DeltaTable) -> pl.LazyFrame:
        """The rows of a table, read lazily."""
        return pl.scan_delta(table, storage_options=self.options or None)

    def collect(self, rows: pl.LazyFrame) -> pl.DataFrame:
        """Collect rows of this table.

        Raises:
            NotFound: files of this version are gone.
        """
        with self._answering():
            try:
                return rows.collect()
            except FileNotFoundError:
                raise NotFound(
                    f"{self.uri}: this version was vacuumed: its files are gone; read a later one, "
                    "or a pinned one."
                ) from None
            except pl.exceptions.PanicException:
                raise StoreUnavailable(
                    f"{self.uri}: expected whole Parquet files, got a damaged one: restore it, or "
                    "read another version."
                ) from None

    def added(self, number: int) -> pl.DataFrame | None:
        """The rows that a Delta version added, from its files alone; None if a file is gone."""
        now, before = (set(self.open(one).file_uris()) for one in (number, number - 1))
        if not now - before:
            return pl.DataFrame()
        try:
            return self.collect(
                pl.scan_parquet(sorted(now - before), storage_options=self.options or None)
            )
        except NotFound:
            return None

    def history(self, table: DeltaTable) -> list[dict[str, Any]]:
        """The log's entry for each commit, newest first."""
        with self._answering():
            return table.history()

    def vacuum(self, keep: list[int], *, hours: int, dry_run: bool) -> list[str]:
        """Remove files that only older versions need, except those of the versions given."""
        table = self.open()
        with self._answering():
            return table.vacuum(
                retention_hours=hours,
                enforce_retention_duration=False,
                dry_run=dry_run,
                full=True,
                keep_versions=keep or None,
            )

    def remove(self) -> None:
        """Remove the table with all its versions and its log.

        Raises:
            MissingExtra: it is in object storage, and pyarrow is not installed.
        """
        if "://" not in self.uri:
            with suppress(FileNotFoundError):
                shutil.rmtree(self.uri)
            return
        try:
            files: Any = import_module("deltalake.fs").DeltaStorageHandler(
                self.uri, options=self.options
            )
        except ImportError:
            raise MissingExtra(
                "expected pyarrow to delete in object storage: pip install pyarrow."
            ) from None
        with self._answering():
            files.delete_dir("")

    @contextmanager
    def _answering(self) -> Iterator[None]:
        deltalake = _deltalake()
        try:
            yield
        except deltalake.exceptions.CommitFailedError:
            raise Overtaken from None
        except FileNotFoundError:
            raise
        except deltalake.exceptions.DeltaProtocolError:
            raise ConfigurationError(
                f"{self.uri}: expected a table as the store writes it, but another program gave "
                "the table a feature of Delta that Polars or delta-rs cannot read; write its rows "
                "to a new version of the group."
            ) from None
        except (OSError, deltalake.exceptions.DeltaError, pl.exceptions.ComputeError) as error:
            raise StoreUnavailable(
                f"{self.uri}: expected a storage that answers and has room, and whole files, got "
                f"{type(error).__name__}; whether a write is in is known when the same batch is "
                "written again."
            ) from error


class Overtaken(Exception):
    """Another writer committed first: decide again from the new version."""


def in_turn(attempt: Callable[[], T], what: str) -> T:
    """Repeat an action until no other writer comes between.

    Raises:
        StoreUnavailable: another writer was first every time.
    """
    for number in range(MAX_COMMIT_ATTEMPTS):
        try:
            return attempt()
        except Overtaken:
            # random pauses, so that of several writers one comes alone
            time.sleep(random.uniform(0, min(0.01 * 2**number, 1.0)))
    raise StoreUnavailable(
        f"{what}: other writers came first {MAX_COMMIT_ATTEMPTS} times; try again."
    )


def field(name: str, column: Column) -> Any:
    """A column as Delta's schema has it."""
    notes = {"comment": column.description} if column.description else {}
    whole = {"name": name, "type": _TYPES[column.kind], "nullable": True, "metadata": notes}
    return _deltalake().Field.from_json(json.dumps(whole))


def written_at(entry: Mapping[str, Any]) -> datetime:
    """When a commit was made."""
    return datetime.fromtimestamp(entry["timestamp"] / 1000, UTC)


def _deltalake() -> Any:
    # 60 MB of Rust: loaded when a store is opened, not when the module is imported
    return import_module("deltalake")
