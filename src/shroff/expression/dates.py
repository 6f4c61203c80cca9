"""DATE_DIFF: whole units of time between two moments.

Units have a fixed length, so neither time zones nor daylight saving matter: a day is 24 hours, a
week seven days; months have no fixed length and are no unit. The number is truncated towards zero,
as in Trino, so exchanging from and to only changes the sign.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_SECOND: Final = 1_000_000
UNITS: Final = {
    "second": _SECOND,
    "minute": 60 * _SECOND,
    "hour": 3_600 * _SECOND,
    "day": 86_400 * _SECOND,
    "week": 7 * 86_400 * _SECOND,
}
"""Microseconds of each unit."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_ISO: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.(?:\d{3}|\d{6}))?)?(?:Z|[+-]\d\d:\d\d)?)?",
    re.ASCII,
)


def date_diff(unit: str, since: float, until: float) -> float:
    """Whole units between two moments in microseconds.

    >>> date_diff("minute", 0.0, 119e6), date_diff("minute", 119e6, 0.0), date_diff("day", 0.0, 5.0)
    (1.0, -1.0, 0.0)
    """
    passed = int(until) - int(since)
    whole = float(abs(passed) // UNITS[unit])
    return -whole if passed < 0 and whole else whole


def moment(text: str) -> float | None:
    """A text such as `2024-05-04T10:00:00+02:00` in microseconds since 1970, or None.

    Without an offset it is in UTC; a date such as `2024-05-04` is its midnight.

    >>> (
    ...     moment("1970-01-02"),
    ...     moment("1970-01-01 02:00+02:00"),
    ...     moment("1970-02-30"),
    ...     moment("yesterday"),
    ... )
    (86400000000.0, 0.0, None, None)
    """
    if _ISO.fullmatch(text) is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        located = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
        return float((located - _EPOCH) // _MICROSECOND)
    except (ValueError, OverflowError):
        return None
