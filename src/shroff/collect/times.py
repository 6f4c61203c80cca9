"""Times: ISO 8601 in, UTC microseconds inside; digits past the microsecond are cut off, not rounded.

Read are `2015-04-15T23:44:28.6508575+03:00`, a blank for the `T`, a comma for the point, an offset as `Z`, `+03`,
`+0300` or `+03:00`, seconds left out; from 1970 to 2099, where the time zone tables of Python and Polars agree.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo

import polars as pl

from shroff.collect.values import BLANK

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SECOND: Final = 1_000_000
_LAST: Final = (datetime(2100, 1, 1, tzinfo=UTC) - EPOCH) // _MICROSECOND - 1

_DAY: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_MINUTE: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_OFFSET: Final = r"Z|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?"
_ISO: Final = re.compile(rf"{_DAY}[T ]{_MINUTE}(?::[0-5][0-9](?:[.,][0-9]+)?)?(?:{_OFFSET})?")
_GROUPS: Final = (
    rf"^(?P<day>{_DAY})[T ](?P<minute>{_MINUTE})"
    rf"(?::(?P<second>[0-5][0-9])(?:[.,](?P<fraction>[0-9]+))?)?(?P<offset>{_OFFSET})?$"
)
_ISO_UTC: Final = rf"^{_DAY}T{_MINUTE}:[0-5][0-9](?:\.[0-9]+)?Z$"
_LOCAL: Final = "%Y-%m-%dT%H:%M:%S"
_UTC: Final = pl.Datetime("us", "UTC")


def parse_time(text: str, zone: ZoneInfo | None) -> int:
    """Microseconds since 1970-01-01T00:00:00Z of one ISO 8601 date and time.

    A time without a zone is read in `zone`; the earlier of two at the end of summer time.

    Raises:
        ValueError: not ISO 8601 with date and time, not from 1970 to 2099, without a zone where none is declared,
            or skipped by the clocks of `zone`.

    >>> parse_time("2015-04-15T23:44:28.6508575+03:00", None)
    1429130668650857
    """
    text = text.strip(BLANK)
    if _ISO.fullmatch(text) is None:
        raise ValueError("not an ISO 8601 date and time")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = _locate(moment, zone)
    since = moment - EPOCH
    # integer arithmetic: timestamp() would go through a double
    micros = (since.days * 86_400 + since.seconds) * _SECOND + since.microseconds
    if not 0 <= micros <= _LAST:
        raise ValueError("not from 1970 to 2099")
    return micros


def _locate(moment: datetime, zone: ZoneInfo | None) -> datetime:
    if zone is None:
        raise ValueError("a time without a zone")
    earlier = moment.replace(tzinfo=zone)
    before, after = earlier.utcoffset(), earlier.replace(fold=1).utcoffset()
    # in the hour that the clocks skip, the offset before the change is the smaller one
    if before is None or after is None or before < after:
        raise ValueError("a time that the clocks skip")
    return earlier


def format_time(micros: int) -> str:
    """ISO 8601 in UTC with microseconds.

    >>> format_time(1429130668650857)
    '2015-04-15T20:44:28.650857Z'
    """
    second, rest = divmod(micros, _SECOND)
    return f"{_format_second(second)}.{rest:06d}Z"


@lru_cache(maxsize=1_000)
def _format_second(second: int) -> str:
    """A time in whole seconds; what is formatted is mostly now, and so mostly the same second."""
    return (EPOCH + timedelta(seconds=second)).strftime(_LOCAL)


def iso_time(micros: int, precision: Literal["seconds", "milliseconds"]) -> str:
    """ISO 8601 in UTC, for people: cut to this precision.

    >>> iso_time(1429130668650857, "seconds"), iso_time(1429130668650857, "milliseconds")
    ('2015-04-15T20:44:28+00:00', '2015-04-15T20:44:28.650+00:00')
    """
    return (EPOCH + micros * _MICROSECOND).isoformat(timespec=precision)


def parse_times(column: pl.Series, zone: str | None) -> pl.Series:
    """`parse_time` of a whole column (String, or Datetime of any unit and zone) as Datetime("us", "UTC").

    Null where `parse_time` would raise.
    """
    if isinstance(column.dtype, pl.Datetime):
        moments = column.cast(pl.Datetime("us", column.dtype.time_zone))
        moments = _localise(moments, zone) if column.dtype.time_zone is None else moments.cast(_UTC)
    else:
        moments = _parse_texts(column, zone)
    out = ~moments.is_between(datetime(1970, 1, 1, tzinfo=UTC), EPOCH + _LAST * _MICROSECOND)
    return moments.set(out, None) if out.any() else moments


def _parse_texts(column: pl.Series, zone: str | None) -> pl.Series:
    column = column.str.strip_chars(BLANK)
    if column.str.contains(_ISO_UTC).all():
        local = column.str.slice(0, 19).str.to_datetime(_LOCAL, time_unit="us", strict=False, cache=False)
        return (local + _fraction(column.str.slice(20).str.strip_chars_end("Z"))).cast(pl.Int64).cast(_UTC)
    parts = column.str.extract_groups(_GROUPS).struct.unnest()
    second = parts["second"].fill_null("00")
    local = (parts["day"] + "T" + parts["minute"] + ":" + second).str.to_datetime(
        _LOCAL, time_unit="us", strict=False, cache=False
    )
    local = local + _fraction(parts["fraction"].fill_null(""))
    moments = (local - _offset(parts["offset"])).dt.replace_time_zone("UTC")
    naive = parts["offset"].is_null()
    return moments.zip_with(~naive, _localise(local, zone)) if naive.any() else moments


def _fraction(digits: pl.Series) -> pl.Series:
    return digits.str.slice(0, 6).str.pad_end(6, "0").cast(pl.Int64).cast(pl.Duration("us"))


def _offset(texts: pl.Series) -> pl.Series:
    """What to take off a local time, by its offset as written; nothing where none is."""
    distinct = texts.drop_nulls().unique()
    shifts = pl.Series([_shift(text) for text in distinct], dtype=pl.Int64)
    minutes = texts.replace_strict(distinct, shifts, default=None, return_dtype=pl.Int64).fill_null(0)
    return (minutes * 60 * _SECOND).cast(pl.Duration("us"))


def _shift(offset: str) -> int:
    digits = offset.replace(":", "")
    if digits == "Z":
        return 0
    minutes = int(digits[1:3]) * 60 + int(digits[3:] or 0)
    return -minutes if offset.startswith("-") else minutes


def _localise(moments: pl.Series, zone: str | None) -> pl.Series:
    if zone is None:
        return pl.Series(moments.name, [None], dtype=_UTC).new_from_index(0, len(moments))
    # the earlier reading of an ambiguous time, as datetime's fold=0 has it
    return moments.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")
