"""The kind of a value that is no time, in words that reveal nothing of it, with advice."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from shroff.canonical import BLANK
from shroff.collect.schema import EPOCHS, Epoch
from shroff.collect.times import (
    DAY,
    FIRST_COUNTED,
    LAST_US,
    OUT_OF_RANGE,
    PER_SECOND,
    SECOND_US,
    locate,
    parse_time,
)
from shroff.collect.values import kind_of

_UNITS: Final[dict[Epoch, str]] = {
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
}
_EXCEL: Final = range(20_000, 73_051)
"""Days from 1954 to 2099, as spreadsheets count them."""
_HUGE: Final = 10**20
_MAX_CHARACTERS: Final = 80
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{0,30})?(?:[eE][+-]?[0-9]{1,3})?")
_REWRITE: Final = "write it as 2024-05-04T10:00:00+02:00"
_SHAPES: Final = tuple(
    (re.compile(shape), f"{kind} ({advice})")
    for shape, kind, advice in (
        (
            rf"{DAY}[Tt ][^\[]{{3,30}}\[[^\]]*\]",
            "a time with its zone in brackets",
            "leave the brackets out",
        ),
        (rf"{DAY}[Tt ][0-9:.,]+ ?[AaPp]\.?[Mm]\.?.*", "a time of a twelve-hour clock", _REWRITE),
        (
            rf"{DAY}[Tt ](?:2[4-9]|[3-9][0-9]|[0-9]{{2}}:[6-9]|[0-9:]{{5}}:(?:6[1-9]|[7-9])).*",
            "a time that no clock shows",
            "midnight is 00:00 of the next day",
        ),
        (
            rf"{DAY}[Tt ][0-9:.,]+ ?[A-Za-z].*",
            "a time whose zone has a name",
            "write its offset, such as +02:00",
        ),
        (r"[0-9]{2}/[A-Za-z]{3}/[0-9]{4}:.*", "a time as web servers log it", _REWRITE),
        (
            r"[0-9]{1,4}/[0-9]{1,2}/[0-9]{1,4}.*",
            "a date with slashes, in no certain order",
            _REWRITE,
        ),
        (
            r"[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{2,4}.*",
            "a date with dots, in no certain order",
            _REWRITE,
        ),
        (r"(?:19|20)[0-9]{6}(?:T?[0-9]{4,6}.*)?", "a date without hyphens", _REWRITE),
        (
            r"[0-9]{1,2}[- ][A-Za-z]{3,9}[- ][0-9]{2,4}.*",
            "a date with its month in letters",
            _REWRITE,
        ),
        (r"[A-Za-z]{3,9},? .*[0-9]{1,2}:[0-9]{2}.*", "a date with its month in letters", _REWRITE),
    )
)
_NO_DAY: Final = re.compile(rf"{DAY}[Tt ][0-9]{{2}}:[0-9]{{2}}.*")


def kind_of_time(value: object, zone: ZoneInfo | None, epoch: Epoch | None) -> str:
    """The kind of a value that is no time, given the zone and unit of the schema.

    >>> kind_of_time("2024-05-04T10:00:00+02:00[Europe/Paris]", None, None)
    'a time with its zone in brackets (leave the brackets out)'
    >>> kind_of_time("1714816800", None, None)
    "a number of seconds since 1970 (declare Schema(epoch='s'))"
    >>> kind_of_time("1714816800", None, "ms")
    "a number of seconds since 1970 (send milliseconds, or declare Schema(epoch='s'))"
    >>> kind_of_time("2024-03-31 02:30:00", ZoneInfo("Europe/Copenhagen"), None)
    'a time that the clocks skip in Europe/Copenhagen'
    """
    if isinstance(value, datetime):
        return _kind_of_moment(value, zone)
    if isinstance(value, str):
        text = value.strip(BLANK)
        if not _NUMBER.fullmatch(text[:_MAX_CHARACTERS]) or len(text) > _MAX_CHARACTERS:
            return _kind_of_text(text, zone)
        value = float(text)
    return _kind_of_number(value, epoch) if isinstance(value, int | float) else kind_of(value)


def _kind_of_moment(moment: datetime, zone: ZoneInfo | None) -> str:
    try:
        if moment.tzinfo is None:
            locate(moment, zone)
    except ValueError as error:
        return str(error)
    return OUT_OF_RANGE


def _kind_of_number(number: float, epoch: Epoch | None) -> str:
    if not -_HUGE < number < _HUGE:
        # an integer may be larger than any float
        return kind_of(number)
    if int(number) in _EXCEL:
        return f"a number of days, as spreadsheets count them ({_REWRITE})"
    unit = next((unit for unit in EPOCHS if _counts(number, unit)), None)
    if isinstance(number, bool) or unit is None:
        return kind_of(number)
    # where a unit is declared, the sender may be wrong, or the schema
    instead = "" if epoch is None else f"send {_UNITS[epoch]}, or "
    return f"a number of {_UNITS[unit]} since 1970 ({instead}declare Schema(epoch={unit!r}))"


def _counts(number: float, unit: Epoch) -> bool:
    return FIRST_COUNTED <= number / PER_SECOND[unit] <= LAST_US / SECOND_US


def _kind_of_text(text: str, zone: ZoneInfo | None) -> str:
    short = len(text) <= _MAX_CHARACTERS
    kind = next((kind for shape, kind in _SHAPES if short and shape.fullmatch(text)), None)
    try:
        parse_time(text, zone)
    except ValueError as error:
        reason = str(error)
    else:
        return kind_of(text)
    if not reason.startswith("not "):
        return reason
    if kind is None and _NO_DAY.fullmatch(text[:_MAX_CHARACTERS]):
        return "another date and time"
    return kind or kind_of(text)
