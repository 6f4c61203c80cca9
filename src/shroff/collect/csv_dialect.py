"""The dialect of a CSV text: the only one that fits all of it; if two fit and differ, an error.

Polars reads the tables, always as RFC 4180; this module runs before it. It counts the rows without
a parser, names the first bad one (a parser's own message may quote it), and rewrites text of
another dialect.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from mmap import mmap
from typing import Any, Final

import numpy as np

from shroff.arrays import Bytes
from shroff.collect import csv_walk
from shroff.collect.csv_walk import Dialect, Walked

_MARK: Final = b"\xef\xbb\xbf"
_BACKSLASH: Final = b"\\"
_PLAIN_LOOP_BYTES: Final = 1 << 16
"""Up to so many bytes, a plain loop is faster than loading a compiled one."""
_NAMED: Final[dict[Dialect, str]] = {
    "rfc4180": "RFC 4180",
    "spark": "Spark's export",
    "mysql": "MySQL's export",
}
_DECLARE: Final = "declare how it was written, rfc4180, spark or mysql, with Schema(csv_dialect=…)"


@dataclass(frozen=True)
class Text:
    """A CSV text understood: its dialect, its rows, and its RFC 4180 form if it differs."""

    dialect: Dialect
    rows: int
    rewritten: bytes | None = None


def understand(
    raw: bytes | mmap,
    dialect: Dialect | None = None,
    *,
    separator: str = ",",
    plainly: bool = False,
) -> Text:
    """The only reading of a CSV text, whose columns `separator` divides.

    Without a declared dialect, it is the one in which all rows have the header's width and no quote
    is misplaced; if two such dialects read different values, neither is chosen.

    Raises:
        ValueError: no dialect fits, or two differ, from a row on (1 = first data row).
    """
    data = _marked_off(raw)
    plainly = plainly or len(data) < _PLAIN_LOOP_BYTES
    walked_in = partial(_walked, data, separator=separator, plainly=plainly)
    found = {one: walked_in(one) for one in ((dialect,) if dialect else ("rfc4180",))}
    if dialect is None and raw.find(_BACKSLASH) >= 0:
        found |= {one: walked_in(one) for one in ("spark", "mysql")}
    chosen = max(found, key=lambda one: _fitness(found[one]))
    walked = found[chosen]
    if not _fitness(walked):
        raise ValueError(_complaint(found[next(iter(found))]))
    if dialect is None:
        _require_one_reading(chosen, found)
    if chosen == "rfc4180" and walked.stray < 0:
        return Text(chosen, walked.rows - 1)
    return Text(chosen, walked.rows - 1, _rewritten(data, chosen, separator, plainly=plainly))


def _marked_off(raw: bytes | mmap) -> Bytes:
    data = np.frombuffer(raw, np.uint8)
    return data[len(_MARK) :] if raw[: len(_MARK)] == _MARK else data


def records(body: bytes) -> list[list[str]]:
    """The rows of a small CSV text as `understand` reads them, header first, all text.

    Raises:
        ValueError: no CSV in UTF-8, or none with one meaning.
    """
    # without quotes and backslashes all dialects agree
    quiet = b'"' not in body and _BACKSLASH not in body
    text = body if quiet else understand(body, plainly=True).rewritten or body
    try:
        rows = [
            row
            for row in csv.reader(io.StringIO(text.decode("utf-8-sig"), newline=""), strict=True)
            if row
        ]
    except (UnicodeDecodeError, csv.Error):
        rows = []
    if not rows:
        raise ValueError("expected CSV in UTF-8 with a header, got something else")
    return rows


def undecodable(raw: bytes | mmap, separator: str = ",") -> str:
    """The error for a text that was understood but not read: a row that is not UTF-8."""
    data = _marked_off(raw)
    try:
        data.tobytes().decode()
    except UnicodeDecodeError as error:
        plainly = error.start < _PLAIN_LOOP_BYTES
        before = _walked(data[: error.start], "rfc4180", separator=separator, plainly=plainly)
        row = max(before.rows, 1)
        return f"row {row:,}: expected text in UTF-8, got other bytes"
    return "expected CSV with quotes that are closed, got something else"


def _fitness(walked: Walked) -> int:
    """How well a dialect fits: 0 not, 1 with short rows, 2 with misplaced characters, 3 fully."""
    if walked.fault >= 0 or (walked.short >= 0 and walked.stray >= 0):
        return 0
    return 1 if walked.short >= 0 else 2 if walked.stray >= 0 else 3


def _require_one_reading(chosen: Dialect, found: Mapping[Dialect, Walked]) -> None:
    walked = found[chosen]
    if walked.folded >= 0:
        raise ValueError(
            f"row {walked.folded:,}: expected a quoted text that ends in its line, got several "
            f"lines that look like rows; if no quote is missing, {_DECLARE}"
        )
    for other, theirs in found.items():
        rows = {theirs.escape} if "rfc4180" in (chosen, other) else set()
        rows |= {theirs.plain} if "mysql" in (chosen, other) else set()
        rows -= {-1}
        if other != chosen and rows and _fitness(theirs) == _fitness(walked):
            raise ValueError(
                f"row {min(rows):,}: expected one meaning of its backslashes, got two: as in "
                f"{_NAMED[chosen]} or as in {_NAMED[other]}; {_DECLARE}"
            )


def _complaint(walked: Walked) -> str:
    row = f"row {walked.bad if walked.fault >= 0 else walked.short:,}"
    match walked.fault:
        case csv_walk.LONG:
            return f"{row}: expected {walked.width} values, got {walked.values}"
        case csv_walk.LONE_RETURN:
            return (
                f"{row}: expected lines that end in a line feed, got a carriage return without one"
            )
        case csv_walk.UNCLOSED | csv_walk.BEHIND_QUOTE:
            return f"{row}: expected quotes that are closed, and doubled inside a text, got others"
    return (
        f"{row}: expected {walked.width} values, got {walked.short_values} in a file with "
        "quotes out of place"
    )


def _walked(data: Bytes, dialect: Dialect, *, separator: str, plainly: bool) -> Walked:
    found = [0] * len(Walked._fields)
    classes = csv_walk.classes_of(separator)
    if plainly:
        csv_walk.walk(data.tobytes(), classes, csv_walk.steps_of(dialect), found)
        return Walked(*found)
    numbers = np.zeros(len(found), np.int64)
    compiled(csv_walk.walk)(data, _array(classes), np.array(csv_walk.steps_of(dialect)), numbers)
    return Walked(*numbers.tolist())


def _rewritten(data: Bytes, dialect: Dialect, separator: str, *, plainly: bool) -> bytes:
    out = np.empty(3 * len(data) + 8, np.uint8)
    tables = (
        csv_walk.classes_of(separator),
        csv_walk.steps_of(dialect),
        csv_walk.TEXTS,
        csv_walk.LENGTHS,
    )
    if plainly:
        return out[: csv_walk.rewrite(data.tobytes(), *tables, out)].tobytes()
    classes, steps, texts, lengths = tables
    size = compiled(csv_walk.rewrite)(
        data, _array(classes), np.array(steps), _array(texts), _array(lengths), out
    )
    return out[:size].tobytes()


def _array(data: bytes) -> Bytes:
    return np.frombuffer(data, np.uint8)


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A loop over bytes as machine code, for arrays."""
    from numba import njit

    made: Callable[..., Any] = njit(cache=True, nogil=True)(function)
    return made
