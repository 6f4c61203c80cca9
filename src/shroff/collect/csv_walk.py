"""CSV byte by byte: counts rows without a parser, and rewrites other dialects as RFC 4180.

Each dialect is a state table: the next step by the current state and byte. `walk` and `rewrite` are
plain loops over it; for files they are compiled, for the few bytes of a request they run as they
are.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from functools import cache
from typing import Any, Final, Literal, NamedTuple, get_args

Dialect = Literal["rfc4180", "spark", "mysql"]
"""`rfc4180`: within a quoted text, quotes are doubled. `spark`: there a backslash comes before
quotes and backslashes. `mysql`: also before commas and line ends, without quotes too, and `\\N` is
null. In all of them a quote within a text that is not quoted is a quote."""

DIALECTS: Final[tuple[Dialect, ...]] = get_args(Dialect)

Bytes = Sequence[int] | Any  # Any: an array, which mypy takes for no sequence
Steps = Sequence[int] | Any

_OTHER, _QUOTE, _COMMA, _FEED, _RETURN, _SLASH, _N, _END = range(8)
"""The classes of bytes; what divides columns is of the class of the comma."""
_START, _OPEN, _QUOTED, _BEHIND, _CARRIAGE, _QUOTED_SLASH, _OPEN_SLASH, _START_SLASH, _NULL = range(
    9
)

UNCLOSED, BEHIND_QUOTE, LONE_RETURN, LONG = range(4)

# a step also has flags, one bit each, and the text to write and the fault as small numbers
_KEEP, _TEXT, _FIELD, _ROW, _STRAY, _ESCAPE, _PLAIN, _BREAK, _INNER, _STOP = (
    1 << bit for bit in range(4, 14)
)
_EVENTS: Final = (_STOP << 1) - _FIELD
_WRITE, _WHY = 16, 20
_TEXTS: Final = (b"", b'"', b'""', b'"""', b"\\", b'"\\', b'\\"', b'"\\"', b'"\\N', b'"\\N""')
TEXTS: Final = b"".join(text.ljust(5) for text in _TEXTS)
LENGTHS: Final = bytes(map(len, _TEXTS))
_FEWEST_COLUMNS: Final = 4
"""The fewest columns at which commas distinguish a row from a line of text."""


class Walked(NamedTuple):
    """The findings of `walk`; rows are numbered from 0, the header, and -1 is none.

    `rows`: those that hold anything, the header too. `fault`: why the walk ended at row `bad`,
    which has `values`. `stray`, the first row with a quote or a backslash that the dialect would
    have written otherwise; `short`: with fewer values than the header; `escape`: with an escape in
    quotes; `plain`: with one that only MySQL knows; `folded`: with a text over several lines that
    look like rows themselves.
    """

    rows: int
    width: int
    bad: int
    fault: int
    values: int
    stray: int
    short: int
    short_values: int
    escape: int
    plain: int
    folded: int


def walk(data: Bytes, classes: Bytes, steps: Steps, found: MutableSequence[int] | Any) -> None:
    """Walk over CSV by the steps of a dialect; `found` gets the fields of `Walked`."""
    state, at, size = _START, 0, len(data)
    row, width, fields, commas = 0, 0, 1, 0
    filled, broken, alike = False, False, True
    stray, short, short_values, escape, plain, folded = -1, -1, 0, -1, -1, -1
    bad, fault, values = -1, -1, 0
    while at <= size:
        step = steps[state * 8 + (classes[data[at]] if at < size else _END)]
        at += 1
        state = step & 15
        if step & _TEXT:
            filled = True
            # most bytes are inside a text and change nothing
            while at < size and classes[data[at]] == _OTHER:
                at += 1
        if not step & _EVENTS:
            continue
        if step & _STOP:
            bad, fault = row, step >> _WHY
            break
        if step & _STRAY and stray < 0:
            stray = row
        if step & _ESCAPE and escape < 0:
            escape = row
        if step & _PLAIN and plain < 0:
            plain = row
        if step & _FIELD:
            fields += 1
        if step & (_FIELD | _INNER):
            commas += 1
        if step & (_BREAK | _ROW):
            alike = alike and commas == width - 1
            commas = 0
            broken = broken or not step & _ROW
        if step & _ROW:
            if filled:
                width = width if row else fields
                if fields > width:
                    bad, fault, values = row, LONG, fields
                    break
                if fields < width and short < 0:
                    short, short_values = row, fields
                if row and broken and alike and width >= _FEWEST_COLUMNS and folded < 0:
                    folded = row
                row += 1
            fields, filled, broken, alike = 1, False, False, True
    for place, value in enumerate(
        (row, width, bad, fault, values, stray, short, short_values, escape, plain, folded)
    ):
        found[place] = value


def rewrite(
    data: Bytes, classes: Bytes, steps: Steps, texts: Bytes, lengths: Bytes, out: Any
) -> int:
    """Write faultless CSV as RFC 4180; returns the bytes written, at most 3 per byte plus 2."""
    state, to, size = _START, 0, len(data)
    for at in range(size + 1):
        step = steps[state * 8 + (classes[data[at]] if at < size else _END)]
        state = step & 15
        text = (step >> _WRITE) & 15
        for place in range(lengths[text]):
            out[to] = texts[5 * text + place]
            to += 1
        if step & _KEEP and at < size:
            out[to] = data[at]
            to += 1
    return to


@cache
def classes_of(separator: str = ",") -> bytes:
    """The class of each byte of a text whose columns this character of ASCII divides."""
    classes = {'"': _QUOTE, separator: _COMMA, "\n": _FEED, "\r": _RETURN, "\\": _SLASH, "N": _N}
    return bytes(classes.get(chr(byte), _OTHER) for byte in range(256))


@cache
def steps_of(dialect: Dialect) -> tuple[int, ...]:
    """The table of a dialect: eight steps, one for each class of bytes, for each place."""
    table: dict[tuple[int, int], int] = {}

    def on(
        places: Sequence[int], classes: Sequence[int], to: int, *marks: int, write: bytes = b""
    ) -> None:
        step = to | sum(marks) | _TEXTS.index(write) << _WRITE
        table.update(dict.fromkeys(((place, one) for place in places for one in classes), step))

    def stop(places: Sequence[int], classes: Sequence[int], fault: int) -> None:
        table.update(
            dict.fromkeys(
                ((place, one) for place in places for one in classes), _STOP | fault << _WHY
            )
        )

    text, ends = (_OTHER, _SLASH, _N), (_FEED, _END)
    # an unquoted text is written with quotes: its characters may need them
    for places, before in (((_START, _CARRIAGE, _NULL), b""), ((_OPEN, _BEHIND), b'"')):
        on(places, [_COMMA], _START, _FIELD, _KEEP, write=before)
        on(places, ends, _START, _ROW, _KEEP, write=before)
        on(places, [_RETURN], _CARRIAGE, write=before)
    on([_START], text, _OPEN, _TEXT, _KEEP, write=b'"')
    on([_START], [_QUOTE], _QUOTED, _TEXT, _KEEP)
    on([_OPEN], text, _OPEN, _TEXT, _KEEP)
    on([_OPEN], [_QUOTE], _OPEN, _TEXT, _STRAY, write=b'""')
    on([_QUOTED], text, _QUOTED, _TEXT, _KEEP)
    on([_QUOTED], [_COMMA], _QUOTED, _TEXT, _KEEP, _INNER)
    on([_QUOTED], [_FEED, _RETURN], _QUOTED, _TEXT, _KEEP)
    on([_QUOTED], [_FEED], _QUOTED, _TEXT, _KEEP, _BREAK)
    on([_QUOTED], [_QUOTE], _BEHIND)
    stop([_QUOTED], [_END], UNCLOSED)
    stop([_BEHIND], (*text, _QUOTE), BEHIND_QUOTE)
    stop([_CARRIAGE], [one for one in range(8) if one != _FEED], LONE_RETURN)
    if dialect == "rfc4180":
        on([_BEHIND], [_QUOTE], _QUOTED, _TEXT, write=b'""')
        return _flat(table)
    on([_QUOTED], [_SLASH], _QUOTED_SLASH)
    on([_QUOTED_SLASH], range(8), _QUOTED, _TEXT, _KEEP, _STRAY, write=b"\\")
    on([_QUOTED_SLASH], [_QUOTE], _QUOTED, _TEXT, _ESCAPE, write=b'""')
    on([_QUOTED_SLASH], [_SLASH], _QUOTED, _TEXT, _KEEP, _ESCAPE)
    stop([_QUOTED_SLASH], [_END], UNCLOSED)
    if dialect == "spark":
        return _flat(table)
    kept = (_SLASH, _COMMA, _FEED, _RETURN)
    on([_QUOTED_SLASH], kept[1:], _QUOTED, _TEXT, _KEEP, _PLAIN)
    for place, before in ((_OPEN_SLASH, b""), (_START_SLASH, b'"')):
        on([place], [_OTHER, _N], _OPEN, _TEXT, _KEEP, _STRAY, write=before + b"\\")
        on([place], [_QUOTE], _OPEN, _TEXT, _PLAIN, write=before + b'""')
        on([place], kept, _OPEN, _TEXT, _KEEP, _PLAIN, write=before)
        on([place], [_END], _START, _TEXT, _ROW, _STRAY, write=before + b'\\"')
    on([_OPEN], [_SLASH], _OPEN_SLASH)
    on([_START], [_SLASH], _START_SLASH)
    on([_START_SLASH], [_N], _NULL)
    on([_NULL], [_OTHER, _N], _OPEN, _TEXT, _KEEP, _STRAY, write=b'"\\N')
    on([_NULL], [_SLASH], _OPEN_SLASH, _STRAY, write=b'"\\N')
    on([_NULL], [_QUOTE], _OPEN, _TEXT, _STRAY, write=b'"\\N""')
    return _flat(table)


def _flat(table: dict[tuple[int, int], int]) -> tuple[int, ...]:
    # states that a dialect lacks are never reached
    return tuple(table.get((place, one), 0) for place in range(_NULL + 1) for one in range(8))
