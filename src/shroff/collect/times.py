"""Times: ISO 8601 in, UTC microseconds inside; digits past the microsecond are cut off, not rounded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import polars as pl

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_ISO: Final = (
    r"^(?P<date>\d{4}-\d{2}-\d{2})[T ](?P<clock>\d{2}:\d{2}(?::\d{2})?)"
    r"(?:[.,](?P<fraction>\d+))?(?P<zone>[Zz]|[+-]\d{2}(?::?\d{2})?)?$"
)
_SECOND: Final = 1_000_000


def parse_time(text: str, zone: ZoneInfo | None) -> int:
    """Microseconds since 1970-01-01T00:00:00Z of one ISO 8601 date and time.

    Raises:
        ValueError: not ISO 8601 with date and time, or without a zone where none is declared.

    >>> parse_time("2015-04-15T23:44:28.6508575+03:00", None)
    1429130668650857
    """
    moment = datetime.fromisoformat(text)
    if len(text) < 16:
        raise ValueError("a date without a time")
    if moment.tzinfo is None:
        if zone is None:
            raise ValueError("a time without a zone")
        moment = moment.replace(tzinfo=zone)
    # integer arithmetic: timestamp() would go through a double
    return (moment - EPOCH) // _MICROSECOND


def format_time(micros: int) -> str:
    """ISO 8601 in UTC with microseconds.

    >>> format_time(1429130668650857)
    '2015-04-15T20:44:28.650857Z'
    """
    return (EPOCH + micros * _MICROSECOND).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_times(column: pl.Series, zone: str | None) -> pl.Series:
    """A whole column of times as Datetime("us", "UTC"); null where a text is no ISO 8601 date and time.

    A time without a zone is read in `zone`; the earlier of two at the end of summer time; null where the
    clocks skip it or no zone is declared.
    """
    if column.dtype == pl.String:
        return _parse_texts(column, zone)
    if isinstance(column.dtype, pl.Datetime):
        moments = column.cast(pl.Datetime("us", column.dtype.time_zone))
        return _localise(moments, zone) if column.dtype.time_zone is None else moments.dt.convert_time_zone("UTC")
    return pl.Series(column.name, [None] * len(column), dtype=pl.Datetime("us", "UTC"))


def has_naive(column: pl.Series) -> bool:
    """Whether a column of times has values that name no zone."""
    if isinstance(column.dtype, pl.Datetime):
        return column.dtype.time_zone is None
    if column.dtype != pl.String:
        return False
    return bool((column.str.contains(_ISO) & ~column.str.contains(r"([Zz]|[+-]\d{2}(:?\d{2})?)$")).any())


def _parse_texts(column: pl.Series, zone: str | None) -> pl.Series:
    name = column.name
    quick = column.str.to_datetime("%Y-%m-%dT%H:%M:%S%.6fZ", time_unit="us", strict=False)
    if quick.null_count() == column.null_count():
        return quick.dt.replace_time_zone("UTC").rename(name)
    parts = column.str.strip_chars().str.extract_groups(_ISO).struct.unnest()
    clock = pl.when(pl.col("clock").str.len_chars() == 5).then(pl.col("clock") + ":00").otherwise(pl.col("clock"))
    fraction = pl.col("fraction").fill_null("").str.slice(0, 6).str.pad_end(6, "0").cast(pl.Int64)
    digits = pl.col("zone").str.replace(":", "")
    minutes = digits.str.slice(1, 2).cast(pl.Int64, strict=False).fill_null(0) * 60 + digits.str.slice(3, 2).cast(
        pl.Int64, strict=False
    ).fill_null(0)
    offset = pl.when(digits.str.starts_with("-")).then(-minutes).otherwise(minutes)
    moments = parts.select(
        local=(pl.col("date") + "T" + clock).str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False)
        + pl.duration(microseconds=fraction, time_unit="us"),
        naive=pl.col("zone").is_null(),
        shift=pl.duration(minutes=offset, time_unit="us"),
    )
    aware = (moments["local"] - moments["shift"]).dt.replace_time_zone("UTC")
    if not moments["naive"].any():
        return aware.rename(name)
    localised = _localise(moments["local"], zone)
    return moments.select(pl.when("naive").then(localised).otherwise(aware).alias(name)).to_series()


def _localise(moments: pl.Series, zone: str | None) -> pl.Series:
    if zone is None:
        return pl.Series(moments.name, [None] * len(moments), dtype=pl.Datetime("us", "UTC"))
    # the earlier reading of an ambiguous time, as datetime's fold=0 has it
    located = moments.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return located.dt.convert_time_zone("UTC")
