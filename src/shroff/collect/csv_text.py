"""CSV as text: the bytes of a file, and whether its first line is a header."""

from __future__ import annotations

import csv
import gzip
import mmap
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Final, cast

from shroff.collect.cards import holds_card_number
from shroff.errors import BadFile

_GZIP: Final = b"\x1f\x8b"
_MAX_LINE_BYTES: Final = 1 << 26
_MAX_NAME_CHARACTERS: Final = 200
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}


def check_header(file: Path) -> None:
    """Refuse a file whose first line is no header of comma-separated column names.

    Raises:
        BadFile: the file is empty, binary, in another encoding, separated otherwise, or names a
            column twice.
    """
    try:
        with _open(file) as stream:
            names = next(filter(None, csv.reader(_lines(stream), strict=True)), None)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise BadFile(f"{file}: {_CUT_OFF}.") from None
    except UnicodeDecodeError:
        raise BadFile(
            f"{file}: expected a header line in UTF-8, got other bytes: a binary file?"
        ) from None
    except csv.Error:
        raise BadFile(
            f"{file}: expected a header line with closed quotes and a line feed at its end."
        ) from None
    if names is None:
        raise BadFile(f"{file}: expected a header line, got an empty file.")
    if any("\0" in name for name in names):
        raise BadFile(
            f"{file}: expected text in UTF-8, got NUL bytes in the header: UTF-16 or a binary file?"
        )
    if len(names) == 1:
        for separator, plural in _SEPARATORS.items():
            if separator in names[0]:
                anew = f"polars.read_csv(FILE, separator={separator!r}, infer_schema=False)"
                raise BadFile(
                    f"{file}: expected commas between columns, got {plural} in the header: write "
                    f"it anew with commas, in Python by `{anew}.write_csv(OTHER)`."
                )
    if any(len(name) > _MAX_NAME_CHARACTERS or _CONTROL.search(name) for name in names):
        raise BadFile(
            f"{file}: expected a header line of column names, got something else in the first line."
        )
    if any(map(holds_card_number, names)):
        raise BadFile(
            f"{file}: expected a header line of column names, got a card number: is it a payment?"
        )
    for name, count in Counter(names).items():
        if name and count > 1:
            raise BadFile(
                f"{file}: expected each column once, got {count} columns `{name}` in the header."
            )


def content(file: Path) -> bytes | mmap.mmap:
    """The bytes of a file, unzipped if it is gzipped.

    Raises:
        BadFile: a gzip file that is damaged or cut off.
    """
    with file.open("rb") as stream:
        packed = stream.read(2) == _GZIP
        if not packed:
            return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        stream.seek(0)
        try:
            return gzip.decompress(stream.read())
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise BadFile(f"{file}: {_CUT_OFF}.") from None


_CUT_OFF: Final = "expected a whole gzip file, got one that is damaged or cut off"


def _open(file: Path) -> IO[bytes]:
    with file.open("rb") as stream:
        packed = stream.read(2) == _GZIP
    return cast(IO[bytes], gzip.open(file, "rb")) if packed else file.open("rb")


def _lines(stream: IO[bytes]) -> Iterator[str]:
    lines = iter(lambda: stream.readline(_MAX_LINE_BYTES), b"")
    yield from (first.decode("utf-8-sig") for first in islice(lines, 1))
    yield from map(bytes.decode, lines)
