"""CSV as text: is its header one, and where is the first row that is wrong.

Polars reads the tables; this module is asked before, about the header, and after a failure, for the row:
a parser's own message may quote the line it failed on.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Final, cast

from shroff.errors import BadFile

_GZIP: Final = b"\x1f\x8b"
_LONGEST_LINE: Final = 1 << 26
_LONGEST_NAME: Final = 200
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}


def check_header(file: Path) -> None:
    """Refuse a file whose first line is no header of comma-separated column names.

    Raises:
        BadFile: the file is empty, binary, in another encoding, separated otherwise, or names a column twice.
    """
    try:
        with _open(file) as stream:
            names = next(_records(stream, []), None)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise BadFile(f"{file}: {_CUT_OFF}.") from None
    except UnicodeDecodeError:
        raise BadFile(f"{file}: expected a header line in UTF-8, got other bytes: a binary file?") from None
    except csv.Error:
        raise BadFile(f"{file}: expected a header line with closed quotes and a line feed at its end.") from None
    if names is None:
        raise BadFile(f"{file}: expected a header line, got an empty file.")
    if any("\0" in name for name in names):
        raise BadFile(f"{file}: expected text in UTF-8, got NUL bytes in the header: UTF-16 or a binary file?")
    if len(names) == 1:
        for separator, plural in _SEPARATORS.items():
            if separator in names[0]:
                raise BadFile(f"{file}: expected commas between columns, got {plural} in the header.")
    if any(len(name) > _LONGEST_NAME or _CONTROL.search(name) for name in names):
        raise BadFile(f"{file}: expected a header line of column names, got something else in the first line.")
    for name, count in Counter(names).items():
        if name and count > 1:
            raise BadFile(f"{file}: expected each column once, got {count} columns `{name}` in the header.")


def complaint(file: Path) -> str:
    """What is wrong with a CSV file that could not be read: the first bad row (1 = first data row) and why."""
    row = 0
    raw: list[str] = []
    try:
        with _open(file) as stream:
            records = _records(stream, raw)
            width = len(next(records, []))
            for row, values in enumerate(records, start=1):
                if len(values) > width:
                    return f"row {row:,}: expected {width} values, got {len(values)}"
                if any('"' in value for value in values) and '""' not in "".join(raw):
                    return f"row {row:,}: expected a text with quotes in it to be quoted, got quotes in an open text"
                raw.clear()
    except UnicodeDecodeError:
        return f"row {row + 1:,}: expected text in UTF-8, got other bytes"
    except csv.Error:
        return f"row {row + 1:,}: expected quotes that are closed, and doubled inside a text, got others"
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return _CUT_OFF
    return "expected comma-separated text with quotes that are closed, got something else"


_CUT_OFF: Final = "expected a whole gzip file, got one that is damaged or cut off"


def _open(file: Path) -> IO[bytes]:
    with file.open("rb") as stream:
        packed = stream.read(2) == _GZIP
    return cast(IO[bytes], gzip.open(file, "rb")) if packed else file.open("rb")


def _records(stream: IO[bytes], raw: list[str]) -> Iterator[list[str]]:
    """The rows of a CSV file, without blank lines; `raw` gets the lines as they are read."""
    return filter(None, csv.reader(_lines(stream, raw), strict=True))


def _lines(stream: IO[bytes], raw: list[str]) -> Iterator[str]:
    lines = iter(lambda: stream.readline(_LONGEST_LINE), b"")
    for first in islice(lines, 1):
        raw.append(first.decode("utf-8-sig"))
        yield raw[-1]
    for line in lines:
        raw.append(line.decode())
        yield raw[-1]
