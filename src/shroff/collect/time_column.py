"""A column of times: `parse_time` and `parse_epoch` for a whole column.

A local time of the hour that comes twice is ambiguous. If the rows are in order of time, they
resolve it: the second pass begins at the row where the time falls back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

from shroff.canonical import BLANK, canonical
from shroff.collect.schema import Epoch
from shroff.collect.times import (
    DAY,
    EPOCH,
    FIRST_COUNTED,
    LAST_OF_DAY,
    LAST_US,
    LEAP,
    MINUTE,
    NUMBER,
    OFFSET,
    PER_SECOND,
    SECOND_US,
    UTC_NAMES,
)

_GROUPS: Final = (
    rf"^(?P<day>{DAY})[Tt "
    rf"](?P<minute>{MINUTE})(?::(?P<second>[0-5][0-9]|{LEAP})(?:[.,](?P<fraction>[0-9]+))?)?"
    rf" ?(?P<offset>{OFFSET}|{'|'.join(UTC_NAMES)})?$"
)
_ISO_UTC: Final = rf"^{DAY}T{MINUTE}:[0-5][0-9](?:\.[0-9]+)?Z$"
_LOCAL: Final = "%Y-%m-%dT%H:%M:%S"
_REACH_SECONDS: Final = (-(2**32), 2**33)
"""From 1833 to 2242, in nanoseconds too."""
_CLOCK_CHANGE_US: Final = 24 * 3600 * SECOND_US
"""Microseconds within which two ambiguous times belong to one change of the clocks."""


@dataclass(frozen=True)
class Twice:
    """Ambiguous times of a column: resolved by row order (`told_apart`), or `assumed` earlier."""

    told_apart: int = 0
    assumed: int = 0

    def __add__(self, other: Twice) -> Twice:
        return Twice(self.told_apart + other.told_apart, self.assumed + other.assumed)

    def notice(self, column: str, zone: str | None) -> str:
        """The notice about them, one sentence."""
        told, assumed = f"{self.told_apart:,}", f"{self.assumed:,}"
        hour = f"`{column}`: times of the hour that comes twice in {zone}: "
        notices = [f"{told} told apart by the order of rows"] if self.told_apart else []
        notices += (
            [f"{assumed} read as the earlier; write times with their offset"]
            if self.assumed
            else []
        )
        return hour + "; ".join(notices) + "."


@dataclass(frozen=True)
class TimeColumn:
    """A column as Datetime("us", "UTC"), null where it cannot be read; `later`: the other reading
    of local times, where any has two."""

    values: pl.Series
    later: pl.Series | None = None

    def choose(self, second: pl.Series) -> pl.Series:
        """The times, the later reading where `second`."""
        return self.values if self.later is None else self.later.zip_with(second, self.values)


def read_times(column: pl.Series, zone: str | None, epoch: Epoch | None = None) -> TimeColumn:
    """A column of texts, numbers or Datetimes as times; null where `parse_time` would raise.

    Numbers, also as text, are read as `parse_epoch` does, if their unit is declared.
    """
    if isinstance(column.dtype, pl.Datetime):
        moments = in_reach(column)
        naive = column.dtype.time_zone is None
        times = _localise(moments, zone) if naive else TimeColumn(moments)
    elif column.dtype == pl.String:
        times = _parse_texts(column.str.strip_chars(BLANK), zone, epoch)
    else:
        times = TimeColumn(_counted(column, epoch))
    out = ~times.values.is_between(EPOCH, _moment(LAST_US))
    return TimeColumn(times.values.set(out, None), times.later) if out.any() else times


def in_reach(column: pl.Series) -> pl.Series:
    """A column of Datetimes in microseconds, in UTC if it names a zone, of which not more is asked:
    Arrow's may be an offset. Null where a year is not near 1970 to 2099, as in a database's
    infinity: Polars panics at many of them.
    """
    unit = column.dtype.time_unit  # type: ignore[attr-defined]  # a Datetime
    counted, per = column.to_physical(), PER_SECOND[unit]
    first, last = _REACH_SECONDS
    near = counted.is_between(first * per, last * per)
    counted = counted if near.all() else counted.set(~near, None)
    micros = counted // (per // SECOND_US) if per > SECOND_US else counted * (SECOND_US // per)
    return micros.cast(pl.Datetime("us") if column.dtype.time_zone is None else _utc())  # type: ignore[attr-defined]  # as above


def parse_times(column: pl.Series, zone: str | None, epoch: Epoch | None = None) -> pl.Series:
    """`read_times` with ambiguous times resolved where the order of rows allows it."""
    times = read_times(column, zone, epoch)
    second, _ = tell_apart(times)
    return times.choose(second)


def tell_apart(times: TimeColumn) -> tuple[pl.Series, Twice]:
    """Which times of a repeated hour are of its second pass, and how many could be resolved.

    If all times are in order, or all in reverse, the second pass begins with the first that falls
    back. Otherwise, and if none falls back, all are of the first pass.
    """
    nowhere = pl.Series([False]).new_from_index(0, len(times.values))
    if times.later is None:
        return nowhere, Twice()
    early, late = times.values.to_physical(), times.later.to_physical()
    twice = (early != late).fill_null(value=False)
    many = int(twice.sum())
    known = early.drop_nulls()
    reverse = len(known) > 1 and known[0] > known[-1]
    if reverse:
        early, late, twice = early.reverse(), late.reverse(), twice.reverse()
    back = twice & (early < early.cum_max().shift(1).forward_fill()).fill_null(value=False)
    change = early.set(~back, None)
    since, until = (
        (early - filled).abs() < _CLOCK_CHANGE_US
        for filled in (change.forward_fill(), change.backward_fill())
    )
    second = twice & since.fill_null(value=False)
    if not late.zip_with(second, early).drop_nulls().is_sorted():
        return nowhere, Twice(assumed=many)
    told = int((twice & (since.fill_null(value=False) | until.fill_null(value=False))).sum())
    return second.reverse() if reverse else second, Twice(told, many - told)


def _parse_texts(column: pl.Series, zone: str | None, epoch: Epoch | None) -> TimeColumn:
    if column.str.contains(_ISO_UTC).all():
        local = column.str.slice(0, 19).str.to_datetime(
            _LOCAL, time_unit="us", strict=False, cache=False
        )
        return TimeColumn(
            (local + _fraction(column.str.slice(20).str.strip_chars_end("Z")))
            .cast(pl.Int64)
            .cast(_utc())
        )
    groups = column.str.extract_groups(_GROUPS).struct.unnest()
    second = groups["second"].fill_null("00")
    leap = second == LEAP
    if leap.any():
        before = column.str.replace(f":{LEAP}", ":59", literal=True)
        times = _parse_texts(before.zip_with(leap, column), zone, epoch)
        later = None if times.later is None else _after_leap(times.later, leap)
        return TimeColumn(_after_leap(times.values, leap), later)
    local = (groups["day"] + "T" + groups["minute"] + ":" + second).str.to_datetime(
        _LOCAL, time_unit="us", strict=False, cache=False
    )
    local = local + _fraction(groups["fraction"].fill_null(""))
    moments = (local - _offset(groups["offset"])).dt.replace_time_zone("UTC")
    times, naive = TimeColumn(moments), groups["offset"].is_null()
    if naive.any():
        here = _localise(local.set(~naive, None), zone)
        later = None if here.later is None else moments.zip_with(~naive, here.later)
        times = TimeColumn(moments.zip_with(~naive, here.values), later)
    if epoch is None or not (unread := times.values.is_null() & column.is_not_null()).any():
        return times
    counted = _counted(column.set(~unread, None), epoch)
    return TimeColumn(
        times.values.fill_null(counted),
        None if times.later is None else times.later.fill_null(counted),
    )


def _after_leap(times: pl.Series, leap: pl.Series) -> pl.Series:
    """Times, a second later for a leap second; null where no leap second can be."""
    moments = times.to_physical()
    last = moments // SECOND_US % (LAST_OF_DAY + 1) == LAST_OF_DAY
    return (moments + leap.cast(pl.Int64) * SECOND_US).set(leap & ~last, None).cast(_utc())


def _counted(column: pl.Series, unit: Epoch | None) -> pl.Series:
    """Numbers since 1970, or their texts."""
    if unit is None:
        return pl.Series(column.name, [None], dtype=_utc()).new_from_index(0, len(column))
    if column.dtype.is_integer():
        whole, rest = column.cast(pl.Int64, strict=False), None
    else:
        texts = _plain(column) if column.dtype == pl.String else _digits(column)
        groups = texts.str.extract_groups(f"^{NUMBER}$").struct.unnest()
        whole, rest = groups["1"].cast(pl.Int64, strict=False), groups["2"].fill_null("")
    per = PER_SECOND[unit]
    # outside of these bounds the product would overflow 64 bits
    whole = whole.set(
        ~whole.is_between(FIRST_COUNTED * per, (LAST_US // SECOND_US + 1) * per).fill_null(
            value=False
        ),
        None,
    )
    if per > SECOND_US:
        return (whole // (per // SECOND_US)).cast(_utc())
    micros = whole * (SECOND_US // per)
    if rest is not None:
        micros = micros + _fraction(rest).cast(pl.Int64) // per
    return micros.cast(_utc())


def _plain(texts: pl.Series) -> pl.Series:
    """Numbers as text, large ones without exponents."""
    if not texts.str.contains("e+", literal=True).any():
        return texts
    return pl.Series(
        texts.name, [None if text is None else canonical(text) for text in texts], pl.String
    )


def _digits(column: pl.Series) -> pl.Series:
    """Floats and decimals as their shortest text, whole floats without decimals."""
    if column.dtype.is_decimal():
        return column.cast(pl.String)
    numbers = column.cast(pl.Float64)
    whole = (numbers == numbers.floor()) & (numbers.abs() < 2.0**63)
    return (
        numbers.set(~whole, None).cast(pl.Int64).cast(pl.String).fill_null(column.cast(pl.String))
    )


def _fraction(digits: pl.Series) -> pl.Series:
    return digits.str.slice(0, 6).str.pad_end(6, "0").cast(pl.Int64).cast(pl.Duration("us"))


def _offset(texts: pl.Series) -> pl.Series:
    """What to subtract from a local time for its written offset; zero without one."""
    distinct = texts.drop_nulls().unique()
    shifts = pl.Series([_shift(text) for text in distinct], dtype=pl.Int64)
    minutes = texts.replace_strict(distinct, shifts, default=None, return_dtype=pl.Int64).fill_null(
        0
    )
    return (minutes * 60 * SECOND_US).cast(pl.Duration("us"))


def _shift(offset: str) -> int:
    digits = offset.replace(":", "")
    if digits == "Z" or digits in UTC_NAMES:
        return 0
    minutes = int(digits[1:3]) * 60 + int(digits[3:] or 0)
    return -minutes if offset.startswith("-") else minutes


def _localise(moments: pl.Series, zone: str | None) -> TimeColumn:
    if zone is None:
        return TimeColumn(
            pl.Series(moments.name, [None], dtype=_utc()).new_from_index(0, len(moments))
        )
    early, late = (
        moments.dt.replace_time_zone(
            zone, ambiguous=which, non_existent="null"
        ).dt.convert_time_zone("UTC")
        for which in ("earliest", "latest")
    )
    return TimeColumn(early, late if (early != late).any() else None)


def _moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros // SECOND_US, EPOCH.tzinfo).replace(
        microsecond=micros % SECOND_US
    )


def _utc() -> pl.Datetime:
    return pl.Datetime("us", "UTC")
