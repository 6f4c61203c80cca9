"""CSV as text: the bytes of a file, its header, and what divides its columns."""

from __future__ import annotations

import csv
import gzip
import mmap
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

from shroff.collect.cards import holds_card_number
from shroff.errors import BadFile

_GZIP: Final = b"\x1f\x8b"
_MAX_LINE_BYTES: Final = 1 << 26
_MAX_NAME_CHARACTERS: Final = 200
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SEPARATORS: Final = (",", ";", "\t", "|")
"""What may divide columns: where amounts have decimal commas, spreadsheets write semicolons."""


def check_header(file: Path) -> str:
    """What divides the columns of a file: that of `_SEPARATORS` by which its first line, a header,
    has as many names as the next has values, and the most.

    Raises:
        BadFile: the file is empty, binary, in another encoding, names a column twice, has quotes
            out of place in its header, or is divided by two separators alike.
    """
    separator, names = _header(file)
    if not names:
        raise BadFile(f"{file}: expected a header line, got an empty file.")
    if any("\0" in name for name in names):
        raise BadFile(
            f"{file}: expected text in UTF-8, got NUL bytes in the header: UTF-16 or a binary file?"
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
    return separator


def separator_of(header: str) -> str:
    """The one of `_SEPARATORS` that divides a header line; blanks may stand behind it."""
    best = _best({one: _first([header], one, blanks=True) for one in _SEPARATORS})
    return best[0] if best else _SEPARATORS[0]


def _header(file: Path) -> tuple[str, list[str]]:
    """The separator and the names of the first line that holds any; no names in an empty file."""
    found = dict[str, _First | None]()
    try:
        for separator in _SEPARATORS:
            with _open(file) as stream:
                found[separator] = _first(_lines(stream), separator)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise BadFile(f"{file}: {_CUT_OFF}.") from None
    except UnicodeDecodeError:
        raise BadFile(
            f"{file}: expected a header line in UTF-8, got other bytes: a binary file?"
        ) from None
    best = _best(found)
    if not best:
        raise BadFile(
            f"{file}: expected a header line with closed quotes and a line feed at its end."
        )
    if len(best) > 1:
        named = " and by ".join(f"`{one}`" for one in best)
        raise BadFile(
            f"{file}: expected one character that divides the columns, got a header and a first "
            f"row that are divided alike by {named}: put the names that hold one of them in "
            "quotes, or rename them."
        )
    first = found[best[0]]
    return best[0], [] if first is None else first.names


class _First(NamedTuple):
    """What a text begins with by one separator: the names of a header, none in an empty text, and
    whether the next row has as many values.
    """

    names: list[str]
    fits: bool


def _first(lines: Iterable[str], separator: str, *, blanks: bool = False) -> _First | None:
    """What a text begins with; None where the quotes of its header are out of place."""
    rows = filter(
        None, csv.reader(lines, delimiter=separator, skipinitialspace=blanks, strict=True)
    )
    try:
        names = next(rows, [])
    except csv.Error:
        return None
    try:
        fits = len(names) > 1 and len(next(rows, [])) == len(names)
    except (csv.Error, UnicodeDecodeError):
        fits = False
    return _First(names, fits)


def _best(found: Mapping[str, _First | None]) -> list[str]:
    """The separator that divides a header, several where they do so alike; none where its quotes
    are out of place.

    >>> _best(
    ...     {",": _First(["id", "what; who; when"], True), ";": _First(['id,"what"', "who"], False)}
    ... )
    [',']
    """
    read = {separator: first for separator, first in found.items() if first is not None}
    # a quote within a name: a quoted text was cut that another separator leaves whole
    ranks = {
        separator: ('"' not in "".join(names), fits, len(names))
        for separator, (names, fits) in read.items()
    }
    most = max(ranks.values(), default=None)
    if most is None or (most[-1] < 2 and len(read) < len(found)):
        return []
    best = [separator for separator, rank in ranks.items() if rank == most]
    return best if most[-1] > 1 else best[:1]


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
