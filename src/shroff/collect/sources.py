"""Reading raw tables (CSV, gzipped CSV, Parquet, of a database, of messages, two joined) and
writing clean ones.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import IO, Final, Literal

import polars as pl

from shroff.collect.addresses import remote_table
from shroff.collect.align import aligned
from shroff.collect.cards import holds_card_number
from shroff.collect.columns import texts_of
from shroff.collect.csv_dialect import undecodable, understand
from shroff.collect.csv_text import check_header, content
from shroff.collect.csv_walk import DIALECTS, Dialect
from shroff.collect.parquet_footer import require_sound_pages
from shroff.collect.remote import Count, uncounted
from shroff.collect.schema import Schema
from shroff.errors import BadFile, ConfigurationError, ShroffError, did_you_mean
from shroff.location import Location
from shroff.plain import require_replaceable
from shroff.private import private_folder

_log = logging.getLogger(__name__)
# or Polars panics at a zone that is an offset, `+05:30`, as pandas writes it; ours are read in UTC
os.environ.setdefault("POLARS_IGNORE_TIMEZONE_PARSE_ERROR", "1")

_JSON: Final = (".json", ".jsonl", ".ndjson")
_SYSTEM_SAYS: Final = re.compile(r"([A-Z][a-z ]+) \(os error")
SECOND_SUFFIX: Final = " (2)"
"""The suffix of a column of the second table whose name the first one has too."""
_CLEAN: Final = {"shroff table": "clean"}
"""What the footer of a clean table's file says: by its values alone nobody could tell it from a raw
one, whose whole amounts are major units.
"""


def read(
    path: str | os.PathLike[str],
    *,
    dialect: Dialect | None = None,
    schema: Schema | None = None,
    count: Count = uncounted,
) -> pl.DataFrame:
    """A raw table from a `.csv`, `.csv.gz` or `.parquet` file, a database, a service or messages.

    CSV values stay text for `clean` to judge.

    A CSV file is divided by what divides its header (commas, semicolons, tabs or bars), read in the
    dialect that fits all of it, and its rows are counted a second way.
    Lines without any value are no rows; a row that is too short lacks its last values.

    Args:
        dialect: how a CSV file writes quotes and backslashes; needed only where two dialects fit
            it.
        schema: of the payments; needed for messages, as it says how they are read.
        count: called with 0 and the rows of a CSV file before these are read; may raise.

    Raises:
        ConfigurationError: no such dialect, or no schema for messages.
        BadFile: the file is missing, of another kind, or damaged; with its row where that is known.
            Or it is a clean table.
        SourceUnavailable: the database or service does not answer, or breaks off.
    """
    if dialect not in (None, *DIALECTS):
        raise ConfigurationError(f"read(dialect=…): expected one of {', '.join(DIALECTS)}.")
    location = Location.of(path)
    if location.scheme is not None:
        return _read_remote(location, schema)
    file = Path(path)
    name = file.name.lower()
    wanted = "expected a .csv, .csv.gz, .parquet or .xml file"
    try:
        if not file.exists():
            raise BadFile(f"{file}: {wanted}, found no such file{_several(file)}.")
        if not file.is_file():
            raise BadFile(f"{file}: {wanted}, got a folder or a device{_several(file)}.")
        if name.endswith(".parquet"):
            return _read_parquet(file)
        if name.endswith((".csv", ".csv.gz")):
            return _read_csv(file, dialect, count)
    except OSError as error:
        raise BadFile(f"{file}: {wanted} that can be opened, got: {error.strerror}.") from None
    hint = " (docs/raw-logs.md shows how to read JSON)" if name.endswith(_JSON) else ""
    raise BadFile(f"{file}: {wanted}, got `{file.suffix or 'no suffix'}`{hint}.")


def _several(file: Path) -> str:
    """What to do where a folder or a pattern stands for several files."""
    if not (file.is_dir() or set(file.name) & set("*?")):
        return ""
    return ": of several files make one log (docs/raw-logs.md shows how)"


def _read_remote(location: Location, schema: Schema | None) -> pl.DataFrame:
    parts: list[pl.LazyFrame] = []
    for chunk in remote_table(location, schema).chunks(None, key=None, after=None):
        parts.append(chunk.rows.lazy())
        for reason, many in chunk.findings.left_out.items():
            _log.warning("left out %s: %s", f"{many:,}", reason)
        for notice in chunk.findings.notices:
            _log.warning("%s", notice)
    return aligned(parts).collect()


def _read_parquet(file: Path) -> pl.DataFrame:
    with file.open("rb"):
        # opened here first: any later error is the file's content
        pass
    try:
        _require_sound_pages(file)
        table = pl.read_parquet(file, glob=False, hive_partitioning=False)
    except pl.exceptions.DuplicateError as error:
        raise _two_of_one_name(file, error) from None
    except _unreadable():
        raise BadFile(
            f"{file}: expected a Parquet file, got one that is damaged, cut off or of another kind."
        ) from None
    require_raw(file)
    return table


def scan(path: str | os.PathLike[str]) -> pl.LazyFrame:
    """A Parquet file to read in slices.

    Raises:
        BadFile: it is missing or no Parquet file.
    """
    try:
        _require_sound_pages(Path(path))
        table = pl.scan_parquet(Path(path), glob=False, hive_partitioning=False)
        table.collect_schema()
    except pl.exceptions.DuplicateError as error:
        raise _two_of_one_name(path, error) from None
    except _unreadable():
        raise BadFile(f"{path}: expected a Parquet file, found none that can be read.") from None
    return table


def require_raw(file: str | os.PathLike[str]) -> None:
    """Raise `BadFile` for a Parquet file that `write_clean` wrote: cleaned again, its amounts would
    be a hundred times as large, and personal values tokens of tokens.
    """
    if _CLEAN.items() <= pl.read_parquet_metadata(Path(file)).items():
        raise BadFile(
            f"{file}: expected a raw table, got a clean one, whose amounts are minor units: give "
            "the log that it was made from (only `--engine spark` takes what `shroff collect` "
            "wrote)."
        )


def _two_of_one_name(file: str | os.PathLike[str], error: Exception) -> BadFile:
    which = "" if holds_card_number(str(error)) else f": {error}"
    return BadFile(f"{file}: expected each column once, got a name twice{which}.")


def _require_sound_pages(file: Path) -> None:
    with file.open("rb") as opened, mmap(opened.fileno(), 0, access=ACCESS_READ) as content:
        require_sound_pages(content)


def parquet_rows(path: str | os.PathLike[str]) -> int:
    """The number of rows of a Parquet file, from its footer.

    Raises:
        BadFile: it is missing or no Parquet file.
    """
    return int(scan(path).select(pl.len()).collect().item())


def _read_csv(file: Path, dialect: Dialect | None, count: Count) -> pl.DataFrame:
    separator = check_header(file)
    data = content(file)
    try:
        text = understand(data, dialect, separator=separator)
    except ValueError as error:
        raise BadFile(f"{file}: {error}.") from None
    unpacked = text.rewritten or data
    count(0, text.rows)
    try:
        frame = pl.read_csv(
            unpacked if isinstance(unpacked, bytes) else file,
            separator=separator,
            infer_schema=False,
            glob=False,
        )
    except _unreadable():
        raise BadFile(f"{file}: {undecodable(data, separator)}.") from None
    # a blank line is read as a row of nulls
    table = (
        frame.filter(~pl.all_horizontal(pl.all().is_null())) if frame[:, 0].null_count() else frame
    )
    if len(table) != text.rows:
        raise BadFile(
            f"{file}: expected {text.rows:,} rows, as its quotes and line ends say, but the reader "
            f"found {len(table):,}; write it as Parquet instead."
        )
    return table


def read_joined(
    facts: str | os.PathLike[str],
    statistics: str | os.PathLike[str],
    *,
    on: str,
    how: Literal["inner", "left"] = "inner",
    max_bad: float = 0.01,
    dialect: Dialect | None = None,
    count: Count = uncounted,
) -> pl.DataFrame:
    """Payment facts joined with precomputed statistics by payment id, in the order of facts.

    Columns that both tables have, the id too, get ` (2)` behind the second table's name. `inner`
    leaves out payments without statistics, as long as they are at most `max_bad` of all; `left`
    keeps them with nulls, for `clean` to judge: with the second id (`on` and ` (2)`) required it
    drops and counts them.

    Raises:
        BadFile: one of the files is unreadable, lacks the id, the statistics have two rows for one
            id, or too many payments have no statistics.
    """
    facts, statistics = Location.of(facts), Location.of(statistics)
    left, right = _keyed(facts, on, dialect, count), _keyed(statistics, on, dialect, uncounted)
    repeated = right[on].is_duplicated() & right[on].is_not_null()
    if repeated.any():
        row = int(repeated.arg_max() or 0) + 1
        raise BadFile(
            f"{statistics}: expected one row of statistics per payment, got several for the `{on}` "
            f"of row {row:,}."
        )
    try:
        joined = left.join(
            right, on=on, how="left", suffix=SECOND_SUFFIX, coalesce=False, maintain_order="left"
        )
    except pl.exceptions.DuplicateError:
        raise BadFile(
            f"{facts}: expected no column whose name ends in `{SECOND_SUFFIX}`: those are the "
            "statistics'."
        ) from None
    if how == "left":
        return joined
    alone = joined[on + SECOND_SUFFIX].is_null()
    if (lacking := int(alone.sum())) > max_bad * len(left):
        raise BadFile(
            f"{statistics}: expected statistics for each payment of {facts}, found none for "
            f"{lacking:,} of {len(left):,} (first in row {int(alone.arg_max() or 0) + 1:,}), more "
            f"than the {100 * max_bad:g} % allowed (--max-bad; in Python, max_bad)."
        )
    return joined.filter(~alone) if lacking else joined


def _keyed(
    path: str | os.PathLike[str], on: str, dialect: Dialect | None, count: Count
) -> pl.DataFrame:
    table = read(path, dialect=dialect, count=count)
    if on not in table.columns:
        hint = did_you_mean(on, table.columns) or "."
        raise BadFile(f"{path}: expected the payment id in a column `{on}`, found none{hint}")
    # the ids of one file may be numbers and of the other text
    return table.with_columns(texts_of(table[on]))


@contextmanager
def written_whole(path: str | Path, *, private: bool = False) -> Iterator[IO[bytes]]:
    """A file to write, which gets its name only once it is whole and synced to disk.

    A reader sees the old file or the new one, never half of one; folders are made as needed. A
    `private` file is for its owner only, as are folders made for it.

    Raises:
        BadFile: the file cannot be written, or its name is that of a device, a pipe, a folder or a
            symbolic link.
    """
    target = Path(path)
    if not target.name:
        raise BadFile(f"{target}: expected the name of a file, got a folder.")
    draft = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        require_replaceable(target)
        if private:
            private_folder(target.parent)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
        mode = 0o600 if private else 0o666
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:  # noqa: PTH123  # its mode
                yield file
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except ShroffError:
        # of what is written, such as a ledger that is away, which is an `OSError` too
        raise
    except (OSError, pl.exceptions.ComputeError) as error:
        raise BadFile(f"{target}: cannot be written: {_reason(error)}.") from None


def _reason(error: Exception) -> str:
    """What the system says of a write; Polars has it in the text of errors of its own."""
    said = _SYSTEM_SAYS.search(str(error))
    told = error.strerror if isinstance(error, OSError) else None
    return told or (said[1] if said else "see that its disk has room")


def write_parquet(frame: pl.DataFrame, path: str | Path) -> None:
    """Write a table as Parquet, whole or not at all.

    Raises:
        BadFile: the file cannot be written.
    """
    _write_parquet(frame, path, {})


def write_clean(frame: pl.DataFrame, path: str | Path) -> None:
    """Write a clean table as Parquet, whole or not at all; `read` refuses it, which takes raw ones.

    Raises:
        BadFile: the file cannot be written.
    """
    _write_parquet(frame, path, _CLEAN)


def _write_parquet(frame: pl.DataFrame, path: str | Path, said: Mapping[str, str]) -> None:
    with written_whole(path) as file:
        frame.write_parquet(file, compression="zstd", statistics=True, metadata=dict(said))


def _unreadable() -> tuple[type[BaseException], ...]:
    """What Polars raises: a damaged file can make its reader panic, which is no ordinary error;
    `ValueError` is what is no Parquet file to us.
    """
    return pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError
