"""One group's table: batches written once, readable versions, statistics of each write."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
import polars as pl

from shroff.errors import BadFile, BatchConflict, ConfigurationError, NotFound, StoreUnavailable
from shroff.store.commits import (
    BATCH,
    CONTENT,
    DEFINITION,
    Version,
    definition_of,
    facts_of,
    indexed,
    metadata,
    version_of,
)
from shroff.store.content import TYPES, conform
from shroff.store.delta import Place, in_turn
from shroff.store.group import Group, require_moment
from shroff.store.readers import to_spark

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql import DataFrame as SparkFrame
    from pyspark.sql import SparkSession

AsOf = int | datetime | None
"""A version by its number, or the one that was valid at a moment; None is the newest."""

CLOSED: Final = "shroff.closed"

_MAX_NAME_CHARACTERS: Final = 200


class GroupTable:
    """The rows of one version of a group, as `FeatureStore.group` gives it."""

    def __init__(self, group: Group, place: Place) -> None:
        self.group = group
        self.place = place

    def write(self, rows: pl.DataFrame, *, batch: str) -> Version:
        """Append a batch of rows, all of it or nothing; the same batch again changes nothing.

        Args:
            rows: the group's columns, in any order.
            batch: a name, such as the day of the rows. After a write whose outcome is unknown,
                write the same batch again.

        Raises:
            BadFile: rows that do not fit the group, or that it already has by key, event time and
                arrival.
            BatchConflict: a batch of this name was written with other rows, or all rows were
                replaced since.
            StoreUnavailable: the storage does not answer, or others wrote first every time.
        """
        if (
            not isinstance(batch, str)
            or not 0 < len(batch) <= _MAX_NAME_CHARACTERS
            or not batch.isprintable()
        ):
            raise ConfigurationError(
                f"group {self.group.label}: expected the name of a batch, of 1 to "
                f"{_MAX_NAME_CHARACTERS} printable characters."
            )
        whole, facts = self._checked(rows, batch)
        # the number of the batch's transaction identifies its rows
        mark = (f"batch:{batch}", int(facts[CONTENT][:15], 16))

        def attempt() -> Version:
            table = self._ready(make=False)
            written = table.transaction_version(mark[0])
            if written is not None and written != mark[1]:
                raise BatchConflict(
                    f"group {self.group.label}: a batch of this name was written with other rows; "
                    "give these another."
                )
            if written is None:
                self._require_new(table, whole)
                self.place.append(table, whole, facts=facts, mark=mark)
            return self._standing(table, batch)

        return in_turn(attempt, f"group {self.group.label}")

    def replace(self, rows: pl.DataFrame) -> Version:
        """Replace all rows; earlier versions stay readable. The same rows again change nothing.

        Raises:
            BadFile: rows that do not fit the group.
            StoreUnavailable: the storage does not answer, or others wrote first every time.
        """
        whole, facts = self._checked(rows, "")

        def attempt() -> Version:
            table = self._ready(make=False)
            last = next(iter(self._versions(table)), None)
            if last is not None and last.replaces and last.content == facts[CONTENT]:
                return last
            self.place.append(table, whole, facts=facts, mode="overwrite")
            return self._standing(table, "")

        return in_turn(attempt, f"group {self.group.label}")

    def _checked(self, rows: pl.DataFrame, batch: str) -> tuple[pl.DataFrame, dict[str, str]]:
        """Rows as they are stored, and their commit's description."""
        whole = conform(rows, self.group)
        return whole, facts_of(whole, self.group, batch)

    def read(
        self,
        columns: Sequence[str] | None = None,
        *,
        times: tuple[datetime | None, datetime | None] = (None, None),
        as_of: AsOf = None,
    ) -> pl.DataFrame:
        """Rows in order of event time, key and arrival, with these other columns or all.

        Args:
            times: the first event time, and the one before which to stop.
            as_of: the version by number, or by a moment at which it was valid; by default the
                newest.

        Raises:
            UnknownColumn: a column that the group does not have.
            NotFound: no such version, or it was vacuumed.
        """
        rows = self.scan(columns, times=times, as_of=as_of)
        first = [self.group.time, *(name for name in self.group.order if name != self.group.time)]
        return self.place.collect(rows).sort(first)

    def scan(
        self,
        columns: Sequence[str] | None = None,
        *,
        times: tuple[datetime | None, datetime | None] = (None, None),
        as_of: AsOf = None,
    ) -> pl.LazyFrame:
        """The rows of `read`, lazily, in no particular order."""
        if isinstance(columns, str):
            raise ConfigurationError(
                f"group {self.group.label}: expected a list of columns, got one text."
            )
        self.group.require(columns or ())
        for moment in times:
            require_moment(moment, f"group {self.group.label}, times=…")
        table, _ = self._opened(as_of)
        there = {one.name for one in table.schema().fields}
        chosen = [*self.group.order, *(self.group.values if columns is None else columns)]
        rows = self.place.scan(table)
        begin, end = times
        if begin is not None:
            rows = rows.filter(pl.col(self.group.time) >= begin)
        if end is not None:
            rows = rows.filter(pl.col(self.group.time) < end)
        # a column that was added later is null in what was written before
        kinds = {name: TYPES[self.group.columns[name].kind] for name in chosen}
        return rows.select(
            name if name in there else pl.lit(None, kind).alias(name)
            for name, kind in kinds.items()
        )

    def spark(self, session: SparkSession, *, as_of: AsOf = None) -> SparkFrame:
        """A version as a Spark table, read without a further jar.

        Raises:
            ConfigurationError: another program gave the table deletion vectors or column mapping.
            NotFound: no such version, or it was vacuumed.
        """
        _, version = self._opened(as_of)
        return to_spark(session, self.place, version.delta, self.group.columns)

    def versions(self) -> list[Version]:
        """All writes, newest first; empty when there are none."""
        try:
            return self._versions(self.place.open())
        except NotFound:
            return []

    def version(self, as_of: AsOf = None) -> Version:
        """One write: the newest, by number, or the one that was valid at a moment.

        Raises:
            NotFound: there was none.
        """
        return self._chosen(self.versions(), as_of)

    def _chosen(self, known: Sequence[Version], as_of: AsOf) -> Version:
        if not isinstance(as_of, int) or isinstance(as_of, bool):
            require_moment(as_of, f"group {self.group.label}, as_of=…")
        fits = [one for one in known if as_of is None or _was_there(one, as_of)]
        exact = isinstance(as_of, int)
        if not fits or (exact and fits[0].number != as_of):
            numbers = ", ".join(str(one.number) for one in known[:5]) or "none"
            raise NotFound(
                f"group {self.group.label}: no such version was written; the newest are {numbers}."
            )
        return fits[0]

    def at(self, as_of: AsOf = None) -> tuple[GroupTable, Version]:
        """The table under the definition that it had then, and the version.

        Raises:
            NotFound: no such version, or it was vacuumed.
        """
        table, version = self._opened(as_of)
        return GroupTable(definition_of(table), self.place), version

    def _opened(self, as_of: AsOf) -> tuple[DeltaTable, Version]:
        """The table at a version whose files are there, and the version."""
        newest = self.place.open()
        version = self._chosen(self._versions(newest), as_of)
        if version.gone:
            raise NotFound(
                f"group {self.group.label}: version {version.number} was vacuumed: its files are "
                "gone."
            )
        # the log is read once where the newest version is asked for
        again = newest.version() != version.delta
        return self.place.open(version.delta) if again else newest, version

    def create(self) -> None:
        """Make the table, or add columns and descriptions that the group has got since."""
        in_turn(lambda: self._ready(make=True), f"group {self.group.label}")

    def stored(self) -> Group | None:
        """The definition in the metadata of the table; None where there is no table."""
        try:
            return definition_of(self.place.open())
        except NotFound:
            return None

    def to_dict(self) -> dict[str, Any]:
        """The group as plain JSON, with its newest version."""
        versions = self.versions()
        return {
            "name": self.group.name,
            "version": self.group.version,
            "fingerprint": self.group.fingerprint(),
            "group": msgspec.to_builtins(self.group),
            "newest": versions[0].to_dict() if versions else None,
        }

    def _ready(self, *, make: bool) -> DeltaTable:
        facts = metadata(self.group)
        try:
            table = self.place.open()
        except NotFound:
            if not make:
                raise
            table = self.place.create(self.group.columns, facts, indexed=indexed(self.group))
        if CLOSED in table.metadata().configuration:
            raise StoreUnavailable(
                f"group {self.group.label} is being written again without somebody who is "
                "forgotten: open it again "
                "later; if that was stopped, `shroff store forget` goes on."
            )
        if table.metadata().configuration.get(DEFINITION) != facts[DEFINITION]:
            self.group.added_to(definition_of(table))
            self.place.extend(table, self.group.columns, facts)
            table = self.place.open()
        return table

    def _standing(self, table: DeltaTable, batch: str) -> Version:
        """The newest version of a batch, whose rows must not have been replaced since."""
        versions = self._versions(table)
        place = next((at for at, one in enumerate(versions) if one.batch == batch), None)
        if place is None:
            raise StoreUnavailable(
                f"group {self.group.label} is elsewhere since: open it again and write the same "
                "again."
            )
        for later in versions[:place]:
            if later.replaces:
                raise BatchConflict(
                    f"group {self.group.label}: a batch of this name was written in version "
                    f"{versions[place].number}, and version {later.number} replaced all rows; give "
                    "it another name to write it again."
                )
        return versions[place]

    def _require_new(self, table: DeltaTable, rows: pl.DataFrame) -> None:
        """Check that the table has none of the rows; reads only rows within their times."""
        if rows.is_empty():
            return
        time = pl.col(self.group.time)
        near = self.place.scan(table).filter(
            time.is_between(rows[self.group.time].min(), rows[self.group.time].max())
        )
        there = self.place.collect(near.select(self.group.order))
        known = rows.join(there, on=self.group.order, how="semi").height if len(there) else 0
        if known:
            raise BadFile(
                f"group {self.group.label}: {known:,} of {len(rows):,} rows are in it already, by "
                f"{', '.join(self.group.order)}; a correction has a later arrival."
            )

    def _versions(self, table: DeltaTable) -> list[Version]:
        return [version_of(entry) for entry in self.place.history(table) if BATCH in entry]


def _was_there(version: Version, as_of: int | datetime) -> bool:
    return version.number <= as_of if isinstance(as_of, int) else version.written <= as_of
