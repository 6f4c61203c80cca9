"""Local copies of remote tables and messages, read in chunks so that a broken read resumes.

A copy is in a private folder under `SHROFF_HOME`, and is removed after use. Its personal columns
hold tokens. If a read breaks off, its complete chunks stay for a day, and the same read resumes
after them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count as numbers
from pathlib import Path
from secrets import token_hex
from typing import Final

import polars as pl

from shroff.collect.addresses import remote_table
from shroff.collect.align import aligned
from shroff.collect.clean import require_columns
from shroff.collect.columns import read_column, seal
from shroff.collect.labels import SOURCE
from shroff.collect.remote import Bookmark, Count, Findings, uncounted
from shroff.collect.schema import Schema
from shroff.collect.sources import SECOND_SUFFIX, written_whole
from shroff.errors import BadFile, SourceUnavailable
from shroff.location import Location
from shroff.private import private_folder
from shroff.settings import home

KEPT_HOURS: Final = 24
"""How long the chunks of a broken read are kept."""
_FORMAT: Final = 1
"""The version of chunks on disk: a read never resumes after those of another version."""


@contextmanager
def local_copies(
    schema: Schema, *, key: bytes, join: str | None = None, count: Count = uncounted
) -> Iterator[LocalCopies]:
    """A maker of local copies of remote tables; all copies are removed at the end.

    Args:
        schema: of the payments; only its columns are copied.
        key: of the HMAC over personal columns.
        join: the column on which two tables are joined.
        count: called with the rows copied so far and the number of all.

    Raises:
        BadFile: a table is missing, has other columns, or card numbers in the open.
        SourceUnavailable: a database or service does not answer, or breaks off; complete chunks are
            kept.
    """
    with ExitStack() as stack:
        yield LocalCopies(stack, lambda where: _Copying(where, schema, key, join, count))


class LocalCopies:
    """Makes local copies of remote tables.

    Attributes:
        findings: what the tables copied so far left out.
    """

    def __init__(self, stack: ExitStack, copying: Callable[[Location], _Copying]) -> None:
        self._stack, self._copying = stack, copying
        self.findings = Findings()

    def __call__(self, where: str | os.PathLike[str], *, alone: bool = False) -> Location:
        """The copy, or the file itself; `alone`: the table has all columns of the schema."""
        location = Location.of(where)
        if location.scheme is None:
            return location
        copying = self._copying(location)
        copy = self._stack.enter_context(copying.done(alone=alone))
        self.findings |= copying.findings
        return copy


class _Copying:
    """One table on its way to a local file."""

    def __init__(
        self, location: Location, schema: Schema, key: bytes, join: str | None, count: Count
    ) -> None:
        self._location = location
        self._schema = schema
        self._key = key
        self._count = count
        self._table = remote_table(location, schema)
        self._order = [schema.id, *([join] if join else [])]
        self._names = sorted(
            {name.removesuffix(SECOND_SUFFIX) for name in schema.scales} | {*self._order, SOURCE}
        )
        self._personal = sorted({name.removesuffix(SECOND_SUFFIX) for name in schema.personal})
        self.findings = Findings()

    @contextmanager
    def done(self, *, alone: bool) -> Iterator[Location]:
        """The copy, removed at the end; if the table breaks off, its chunks stay."""
        there = self._table.columns()
        if there is not None and alone:
            require_columns(there, self._schema, str(self._location))
        key = next((name for name in self._order if name in (there or ())), None)
        with _own(home() / "reads" / self._digest(key)) as folder:
            chunks = _Chunks(folder)
            try:
                self._read(chunks, key, check=alone)
            except Exception:
                if chunks.bookmark is None:
                    # no read can resume after these
                    shutil.rmtree(folder, ignore_errors=True)
                raise
            file = folder / "table.parquet"
            _join(chunks.files, file, self._location)
            try:
                yield Location(str(file), self._location.shown)
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def _read(self, chunks: _Chunks, key: str | None, *, check: bool) -> None:
        total = self._table.count()
        self._count(chunks.rows, total)
        try:
            for chunk in self._table.chunks(self._names, key=key, after=chunks.bookmark):
                if check and not chunks.files:
                    self._check(chunk.rows)
                chunks.add(self._sealed(chunk.rows), chunk.bookmark)
                self._count(chunks.rows, total)
                self.findings |= chunk.findings
        except SourceUnavailable as error:
            kept = (
                f" {chunks.rows:,} rows are kept for {KEPT_HOURS} hours: the same command goes "
                "on after them."
            )
            raise SourceUnavailable(f"{error}{kept if chunks.rows else ''}") from None

    def _check(self, first: pl.DataFrame) -> None:
        """Refuse what `clean` would refuse, before any of it is stored."""
        for name, scale in self._schema.scales.items():
            if name in first.columns:
                read_column(
                    first[name], scale, self._schema, key=self._key, source=str(self._location)
                )

    def _sealed(self, rows: pl.DataFrame) -> pl.DataFrame:
        found = [rows[name] for name in self._personal if name in rows.columns]
        return rows.with_columns(
            seal(one, self._schema, self._key, str(self._location)) for one in found
        )

    def _digest(self, key: str | None) -> str:
        """The name of a read: the same read resumes, another one begins anew."""
        token = hashlib.sha256(b"reads" + self._key).hexdigest()
        what = [_FORMAT, self._location.shown, key, self._names, self._personal, token]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:24]


class _Chunks:
    """The complete chunks of a table in a folder, up to the last at which a read can resume."""

    def __init__(self, folder: Path) -> None:
        self.files: list[Path] = []
        self.rows = 0
        self.bookmark: Bookmark | None = None
        self._folder = folder
        for number in numbers():
            file = self._file(number)
            try:
                entry = json.loads(file.with_suffix(".json").read_bytes())
                whole = entry["digest"] == _digest(file) and entry["bookmark"] is not None
            except (OSError, ValueError):
                break
            if not whole:
                break
            self._take(file, entry["rows"], entry["bookmark"])

    def add(self, rows: pl.DataFrame, bookmark: Bookmark | None) -> None:
        """Keep one more chunk; it counts once its entry is on disk."""
        file = self._file(len(self.files))
        with written_whole(file, private=True) as target:
            rows.write_parquet(target, compression="zstd")
        entry = {"rows": len(rows), "digest": _digest(file), "bookmark": bookmark}
        with written_whole(file.with_suffix(".json"), private=True) as target:
            target.write(json.dumps(entry).encode())
        self._take(file, len(rows), bookmark)

    def _take(self, file: Path, rows: int, bookmark: Bookmark | None) -> None:
        self.files.append(file)
        self.rows += rows
        self.bookmark = bookmark

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:06d}.parquet"


def _digest(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _join(files: Sequence[Path], target: Path, location: Location) -> None:
    """Write one file of all chunks."""
    try:
        aligned([pl.scan_parquet(file, glob=False) for file in files]).sink_parquet(
            target, compression="zstd"
        )
    except pl.exceptions.PolarsError:
        raise BadFile(
            f"{location}: expected columns whose numbers have at most 38 digits together, got "
            "others; convert them where they are."
        ) from None


@contextmanager
def _own(folder: Path) -> Iterator[Path]:
    """This folder for this process alone, or a fresh one if another process uses it."""
    private_folder(folder.parent)
    for old in folder.parent.iterdir():
        if time.time() - old.stat().st_mtime > KEPT_HOURS * 3600:
            shutil.rmtree(old, ignore_errors=True)
    private_folder(folder)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # the process that used it may have removed it meanwhile
        mine = folder.is_dir() and folder.stat().st_ino == os.fstat(lock).st_ino
    except BlockingIOError:
        mine = False
    try:
        if mine:
            yield folder
        else:
            other = folder.with_name(f"{folder.name}-{token_hex(4)}")
            private_folder(other)
            yield other
    finally:
        os.close(lock)
