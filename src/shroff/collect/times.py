"""Times: ISO 8601, as data warehouses write it, to UTC microseconds; finer digits are cut off.

Read are `2015-04-15T23:44:28.6508575+03:00`, a blank or `t` for the `T`, a comma for the point,
seconds left out, and, with or without a blank before it, the offset as `Z`, `z`, `UTC`, `GMT`,
`+03`, `+0300` or `+03:00`; where a schema declares their unit, numbers since 1970. A leap second,
`23:59:60` in UTC, is read as the second after it. All from 1970 to 2099, where the time zones of
Python and Polars agree.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, TypeAlias, overload
from zoneinfo import ZoneInfo

from shroff.canonical import BLANK, canonical
from shroff.collect.schema import Epoch

Precision: TypeAlias = Literal["seconds", "milliseconds"]
PER_SECOND: Final[dict[Epoch, int]] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
DAY_US: Final = 86_400 * SECOND_US
LAST_US: Final = (datetime(2100, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) - 1
FIRST_COUNTED: Final = 365 * 86_400
"""Seconds since 1970 below which a number is taken for one of a coarser unit than declared."""

DAY: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
MINUTE: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
LEAP: Final = "60"
OFFSET: Final = r"Z|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?"
UTC_NAMES: Final = ("z", "UTC", "GMT")
NUMBER: Final = r"([0-9]{1,19})(?:\.([0-9]+))?"

LAST_OF_DAY: Final = 86_399
"""The second of a day in UTC that a leap second follows."""

NO_LEAP: Final = "a leap second that is not 23:59:60 in UTC"
NAIVE: Final = "a time without a zone"
OUT_OF_RANGE: Final = "a time that is not from 1970 to 2099"
_MICROSECOND: Final = timedelta(microseconds=1)
_ISO: Final = re.compile(rf"{DAY}[T ]{MINUTE}(?::[0-5][0-9](?:[.,][0-9]+)?)?(?:{OFFSET})?")
_WAREHOUSE: Final = re.compile(
    rf"({DAY})[Tt ]({MINUTE})(?::([0-5][0-9]|{LEAP})([.,][0-9]+)?)? "
    rf"?({OFFSET}|{'|'.join(UTC_NAMES)})?"
)
_NUMBER: Final = re.compile(NUMBER)
_LOCAL: Final = "%Y-%m-%dT%H:%M:%S"
_UTC_SECONDS: Final = {f":{second:02d}Z": second * SECOND_US for second in range(60)}
"""What ends a time in whole seconds of UTC, behind its minute."""
_MINUTE_CHARACTERS: Final = len("2015-04-15T23:44")


def parse_time(text: str, zone: ZoneInfo | None, *, twice: Callable[[], None] | None = None) -> int:
    """Microseconds since 1970-01-01T00:00:00Z of one date and time.

    A time without a zone is read in `zone`; the earlier of two in an hour that comes twice, and
    `twice` is called.

    Raises:
        ValueError: says what the text is: not ISO 8601 with date and time, not from 1970 to 2099,
            without a zone where none is declared, skipped by the clocks of `zone`, or a second 60
            that is no leap second.

    >>> (
    ...     parse_time("2015-04-15T23:44:28.6508575+03:00", None),
    ...     parse_time("2015-04-15 20:44:28.650857 UTC", None),
    ... )
    (1429130668650857, 1429130668650857)
    """
    seconds = _UTC_SECONDS.get(text[_MINUTE_CHARACTERS:])
    # behind blanks, the same place may end minutes
    if seconds is not None and text[0] not in BLANK:
        return _utc_minute(text[:_MINUTE_CHARACTERS]) + seconds
    text, leap = text.strip(BLANK), 0
    if _ISO.fullmatch(text) is None:
        text, leap = _iso(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("a day that is in no calendar") from None
    if moment.tzinfo is None:
        moment = locate(moment, zone, twice=twice)
    since = moment - EPOCH
    if leap and since.seconds != LAST_OF_DAY:
        raise ValueError(NO_LEAP)
    # integer arithmetic: timestamp() would go through a double
    micros = (since.days * 86_400 + since.seconds + leap) * SECOND_US + since.microseconds
    if not 0 <= micros <= LAST_US:
        raise ValueError(OUT_OF_RANGE)
    return micros


@lru_cache(maxsize=1_000)
def _utc_minute(text: str) -> int:
    """`parse_time` of a minute of UTC: payments that come together are mostly of the same one."""
    return parse_time(f"{text}Z", None)


def _iso(text: str) -> tuple[str, int]:
    """A time for Python's parser, and the seconds to add for a leap second."""
    match = _WAREHOUSE.fullmatch(text)
    if match is None:
        raise ValueError("not an ISO 8601 date and time")
    day, minute, second, fraction, offset = match.groups("")
    leap = second == LEAP
    return (
        f"{day}T{minute}:{'59' if leap else second or '00'}{fraction}"
        f"{'Z' if offset in UTC_NAMES else offset}",
        leap,
    )


def locate(
    moment: datetime, zone: ZoneInfo | None, *, twice: Callable[[], None] | None = None
) -> datetime:
    """A local time in its zone, the earlier of two.

    Raises:
        ValueError: no zone, or the clocks skip it.
    """
    if zone is None:
        raise ValueError(NAIVE)
    earlier = moment.replace(tzinfo=zone)
    before, after = earlier.utcoffset(), earlier.replace(fold=1).utcoffset()
    # in the hour that the clocks skip, the offset before the change is the smaller one
    if before is None or after is None or before < after:
        raise ValueError(f"a time that the clocks skip in {zone}")
    if before > after and twice is not None:
        twice()
    return earlier


def parse_epoch(value: str | int | float, unit: Epoch) -> int:
    """Microseconds since 1970-01-01T00:00:00Z of a number of such units.

    Numbers of 1970 are refused: they are what a coarser unit looks like.

    >>> parse_epoch(1714816800.123, "s"), parse_epoch("1714816800123", "ms")
    (1714816800123000, 1714816800123000)

    Raises:
        ValueError: no such number, or not from 1971 to 2099.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = canonical(value.strip(BLANK)) if isinstance(value, str) else str(value)
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError("not a number since 1970")
    # the number in millionths of its unit, cut off
    units = int(match[1] + (match[2] or "")[:6].ljust(6, "0"))
    micros = units // PER_SECOND[unit]
    if not FIRST_COUNTED * SECOND_US <= micros <= LAST_US:
        raise ValueError(f"a number that is no time from 1971 to 2099 in {unit}")
    return micros


def format_time(micros: int) -> str:
    """ISO 8601 in UTC with microseconds.

    >>> format_time(1429130668650857)
    '2015-04-15T20:44:28.650857Z'
    """
    second, rest = divmod(micros, SECOND_US)
    return f"{_format_second(second)}.{rest:06d}Z"


@lru_cache(maxsize=1_000)
def _format_second(second: int) -> str:
    """A time in whole seconds; what is formatted is mostly now, and so mostly the same second."""
    return (EPOCH + timedelta(seconds=second)).strftime(_LOCAL)


@overload
def iso_time(micros: int, precision: Precision) -> str: ...
@overload
def iso_time(micros: int | None, precision: Precision) -> str | None: ...
def iso_time(micros: int | None, precision: Precision) -> str | None:
    """ISO 8601 in UTC, for people: cut to this precision; None without a time.

    >>> iso_time(1429130668650857, "seconds"), iso_time(1429130668650857, "milliseconds")
    ('2015-04-15T20:44:28+00:00', '2015-04-15T20:44:28.650+00:00')
    """
    if micros is None:
        return None
    return (EPOCH + micros * _MICROSECOND).isoformat(timespec=precision)
