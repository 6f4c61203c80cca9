"""Times: what ISO 8601 says, cut at the microsecond, in UTC; a column and a single time alike."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shroff.canonical import BLANK
from shroff.collect.schema import EPOCHS, Epoch
from shroff.collect.time_column import Twice, parse_times, read_times, tell_apart
from shroff.collect.time_kinds import kind_of_time
from shroff.collect.times import EPOCH, PER_SECOND, format_time, parse_epoch, parse_time

COPENHAGEN = "Europe/Copenhagen"
MICROS_OF_A_CENTURY = 4_102_444_799_999_999
INSTANTS = st.datetimes(datetime(1970, 1, 2), datetime(2099, 12, 30))
ZONES = st.sampled_from(
    [COPENHAGEN, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo"]
)


def _column(texts: Sequence[str | None], zone: str | None) -> list[int | None]:
    return parse_times(pl.Series(texts, dtype=pl.String), zone).dt.epoch("us").to_list()


def _single(text: str, zone: str | None) -> int | None:
    try:
        return parse_time(text, ZoneInfo(zone) if zone else None)
    except ValueError:
        return None


def _micros(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2015-03-15T20:54:28.6508575Z", "2015-03-15T20:54:28.650857+00:00"),
        ("2015-04-15T23:44:28.6508575+03:00", "2015-04-15T20:44:28.650857+00:00"),
        ("2015-04-15 23:44:28+0300", "2015-04-15T20:44:28+00:00"),
        ("2015-04-15T23:44-03", "2015-04-16T02:44:00+00:00"),
        ("2015-04-15T23:44:28,5-00:30", "2015-04-16T00:14:28.500000+00:00"),
        ("  2015-04-15T23:44:28Z\t", "2015-04-15T23:44:28+00:00"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00+00:00"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00+00:00"),
        ("2099-12-31T23:59:59.999999999Z", "2099-12-31T23:59:59.999999+00:00"),
        ("2024-05-04T10:00:00.1Z", "2024-05-04T10:00:00.100000+00:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
        ("2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.500000+00:00"),
        ("2017-01-01 05:29:60 +0530", "2017-01-01T00:00:00+00:00"),
        ("2015-06-30T16:59:60-07", "2015-07-01T00:00:00+00:00"),
    ],
)
def test_iso_8601_is_read(text: str, utc: str) -> None:
    assert parse_time(text, None) == _micros(utc)
    # alone, and in a column whose other times are written otherwise
    assert _column([text], None) == [_micros(utc)]
    assert _column([text, "2015-04-15T23:44:28.1+03:00", None], None)[0] == _micros(utc)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2015-04-15",
        "20150415T234428Z",
        "2015-W12-3T20:54:28Z",
        "2015-04-15x20:54:28Z",
        "2015-4-15T20:54:28Z",
        "2015-04-15T24:00:00Z",
        "2015-04-15T20:60:00Z",
        "2015-04-15T20:54:60Z",
        "2015-04-15T23:59:60+03:00",
        "2015-04-15T23:59:61Z",
        "2099-12-31T23:59:60Z",
        "2015-04-15T20:54.5Z",
        "2015-04-15T20:54:28.Z",
        "2015-04-15T20:54:28+24:00",
        "2015-04-15T20:54:28+01:00:30",
        "2015-04-15T20:54:28  Z",
        "2015-04-15T20:54:28 CET",
        "2023-02-29T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "1970-01-01T00:00:00+00:01",
        "2100-01-01T00:00:00Z",
        "9999-12-31T23:59:59-23:59",
        "２０１５-04-15T20:54:28Z",
    ],
)
def test_what_is_no_time_is_none(text: str) -> None:
    assert _single(text, COPENHAGEN) is None
    assert _column([text], COPENHAGEN) == [None]
    assert _column([text, "2015-04-15T23:44:28.1+03:00"], COPENHAGEN)[0] is None


def test_a_second_60_is_a_leap_second_or_is_refused_as_none() -> None:
    """In every zone, alone and among others."""
    leap, other = "2017-01-01T00:59:60", "2017-01-01T00:58:60"
    expected = [_micros("2017-01-01T00:00:00Z"), None, _micros("2017-01-01T00:00:00Z")]
    assert _column([leap, other, "2017-01-01T01:00:00"], COPENHAGEN) == expected
    assert [_single(text, COPENHAGEN) for text in (leap, other)] == expected[:2]
    assert (
        kind_of_time(other, ZoneInfo(COPENHAGEN), None)
        == "a leap second that is not 23:59:60 in UTC"
    )
    assert (
        kind_of_time("2015-04-15T20:54:60Z", None, "s")
        == "a leap second that is not 23:59:60 in UTC"
    )
    # with a unit, what is no text of a time is a number still
    column = pl.Series(["2016-12-31T23:59:60Z", "1483228800"])
    assert parse_times(column, None, "s").dt.epoch("s").to_list() == [1_483_228_800] * 2


def test_a_time_without_a_zone_is_read_in_the_declared_one() -> None:
    assert _single("2024-07-01T12:00:00", None) is None
    assert _column(["2024-07-01T12:00:00", "2024-07-01T12:00:00Z"], None) == [
        None,
        _micros("2024-07-01T12:00:00Z"),
    ]
    summer, winter = "2024-07-01T12:00:00", "2024-01-01T12:00:00"
    expected = [_micros("2024-07-01T10:00:00Z"), _micros("2024-01-01T11:00:00Z")]
    assert _column([summer, winter], COPENHAGEN) == expected
    assert [_single(text, COPENHAGEN) for text in (summer, winter)] == expected


def test_an_hour_that_comes_twice_is_the_earlier_one_and_a_skipped_one_is_none() -> None:
    twice, skipped = "2024-10-27T02:30:00", "2024-03-31T02:30:00"
    expected = [_micros("2024-10-27T00:30:00Z"), None]
    assert _column([twice, skipped], COPENHAGEN) == expected
    assert [_single(text, COPENHAGEN) for text in (twice, skipped)] == expected
    # half an hour only, on Lord Howe
    assert _column(["2024-10-06T02:15:00", "2024-10-06T02:30:00"], "Australia/Lord_Howe") == [
        None,
        _micros("2024-10-05T15:30:00Z"),
    ]


@given(INSTANTS, st.integers(-14 * 60, 14 * 60))
def test_every_offset_is_the_same_instant(moment: datetime, minutes: int) -> None:
    aware = moment.replace(tzinfo=UTC)
    text = aware.astimezone(timezone(timedelta(minutes=minutes))).isoformat()
    assert parse_time(text, None) == _micros(aware.isoformat())
    assert _column([text], None) == [_micros(aware.isoformat())]


@given(
    st.integers(0, MICROS_OF_A_CENTURY),
    st.sampled_from([16, 19]),
    st.sampled_from("T "),
    st.text(BLANK, max_size=4),
)
def test_whole_minutes_and_seconds_of_utc_are_read_as_any_other_time(
    micros: int, characters: int, between: str, blanks: str
) -> None:
    text = format_time(micros)[:characters].replace("T", between)
    assert parse_time(f"{blanks}{text}Z", None) == parse_time(f"{text}+00:00", None)


@given(st.integers(0, MICROS_OF_A_CENTURY))
def test_what_is_written_is_read(micros: int) -> None:
    assert parse_time(format_time(micros), None) == micros
    assert _column([format_time(micros)], None) == [micros]


@settings(max_examples=60)
@given(st.lists(INSTANTS, min_size=1, max_size=20), ZONES)
def test_local_times_are_read_alike(moments: list[datetime], zone: str) -> None:
    texts = [moment.isoformat() for moment in moments]
    expected = [_single(text, zone) for text in texts]
    assert _column(texts, zone) == expected
    assert (
        parse_times(pl.Series(moments, dtype=pl.Datetime("us")), zone).dt.epoch("us").to_list()
        == expected
    )


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_timestamps_of_any_unit_and_zone_are_read(unit: str) -> None:
    moment = datetime(2024, 7, 1, 12, 0, 0, 123_000)
    naive = pl.Series([moment, None]).cast(pl.Datetime(unit))  # type: ignore[arg-type]  # one of three
    expected = [_micros("2024-07-01T10:00:00.123Z"), None]
    assert parse_times(naive, COPENHAGEN).dt.epoch("us").to_list() == expected
    assert (
        parse_times(naive.dt.replace_time_zone(COPENHAGEN), None).dt.epoch("us").to_list()
        == expected
    )


def test_timestamps_out_of_range_are_none() -> None:
    years = pl.Series(
        [datetime(1969, 12, 31), datetime(1970, 1, 1), datetime(2099, 12, 31), datetime(2100, 1, 1)]
    )
    read = parse_times(years.dt.replace_time_zone("UTC"), None)
    assert read.dtype == pl.Datetime("us", "UTC")
    assert read.is_null().to_list() == [True, False, False, True]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC"])
def test_a_databases_infinity_is_none(unit: str, zone: str | None) -> None:
    ends = [2**63 - 1, -(2**63) + 1, 2**62, 1_700_000_000 * PER_SECOND[unit]]  # type: ignore[index]  # one of three
    times = pl.Series(ends).cast(pl.Datetime(unit, zone))  # type: ignore[arg-type]  # as above
    read = parse_times(times, "UTC").dt.epoch("us").to_list()
    assert read == [None, None, None, 1_700_000_000_000_000]


def test_nanoseconds_are_cut_off() -> None:
    column = pl.Series([1_719_828_000_123_456_999]).cast(pl.Datetime("ns", "UTC"))
    assert parse_times(column, None).dt.epoch("us").to_list() == [1_719_828_000_123_456]


def test_a_column_keeps_its_type_when_there_is_nothing_in_it() -> None:
    for column in (pl.Series([], dtype=pl.String), pl.Series([None, None], dtype=pl.String)):
        read = parse_times(column, None)
        assert read.dtype == pl.Datetime("us", "UTC")
        assert read.null_count() == len(read) == len(column)


# --- as warehouses write them ---------------------------------------------------------------------
@pytest.mark.parametrize(
    "text",
    [
        "2024-05-04 10:00:00 UTC",
        "2024-05-04 10:00:00.000000 UTC",
        "2024-05-04T10:00:00GMT",
        "2024-05-04 10:00:00 GMT",
        "2024-05-04 10:00:00.000 +0000",
        "2024-05-04 12:00:00.0000000 +02:00",
        "2024-05-04 10:00:00.000+00",
        "2024-05-04T10:00:00.000+0000",
        "2024-05-04t10:00:00z",
        "2024-05-04 10:00 Z",
        "2024-05-04 06:00:00 -04",
    ],
)
def test_times_are_read_as_warehouses_write_them(text: str) -> None:
    expected = _micros("2024-05-04T10:00:00Z")
    assert _single(text, None) == expected
    assert _column([text], None) == [expected]
    assert _column([text, "2015-04-15T23:44:28.1+03:00"], None)[0] == expected


PIECES = st.sampled_from(
    "2024-05-04|2024-10-27|2024-02-30|T|t| "
    "|10:00|02:30:00|24:00:00|.1234567|,5|.|Z|z|UTC|GMT|CET|+02:00|-0330|+09|"
    "[Europe/Paris]|1714816800|AM".split("|")
)
NUMERALS = (
    st.floats(0, 1e22).map(str)
    | st.integers(-10, 10**20).map(str)
    | st.decimals(0, 10**13, allow_nan=False, places=7).map(str)
)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(PIECES, max_size=6).map("".join) | NUMERALS,
    st.sampled_from([None, COPENHAGEN]),
    st.sampled_from([None, *EPOCHS]),
)
def test_a_column_and_a_single_time_agree(text: str, zone: str | None, epoch: Epoch | None) -> None:
    single = _single(text, zone)
    if single is None and epoch is not None:
        try:
            single = parse_epoch(text, epoch)
        except ValueError:
            single = None
    column = parse_times(pl.Series([text], dtype=pl.String), zone, epoch)
    assert column.dt.epoch("us").to_list() == [single]
    if single is None:
        kind = kind_of_time(text, ZoneInfo(zone) if zone else None, epoch)
        assert kind
        assert len(text) < 6 or text not in kind


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(EPOCHS), st.integers(0, 4_102_444_799), st.integers(0, 999_999_999))
def test_numbers_since_1970_are_read_in_their_declared_unit(
    unit: Epoch, seconds: int, nanos: int
) -> None:
    number = (seconds * 10**9 + nanos) * PER_SECOND[unit] // 10**9
    micros = number * 10**6 // PER_SECOND[unit]
    expected = micros if seconds >= 365 * 86_400 else None
    for value in (number, str(number), f"{number}.0"):
        try:
            single = parse_epoch(value, unit)
        except ValueError:
            single = None
        assert single == expected
        assert parse_times(pl.Series([value]), None, unit).dt.epoch("us").to_list() == [expected]


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 1e20) | st.floats(3e7, 5e9), st.sampled_from(EPOCHS))
def test_numbers_with_fractions_are_read_alike(number: float, unit: Epoch) -> None:
    try:
        single = parse_epoch(number, unit)
    except ValueError:
        single = None
    assert parse_times(pl.Series([number]), None, unit).dt.epoch("us").to_list() == [single]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("04/May/2024:10:00:00 +0000", "a time as web servers log it"),
        ("05/04/2024 10:00:00 AM", "a date with slashes, in no certain order"),
        ("04.05.2024 10:00", "a date with dots, in no certain order"),
        ("2024-05-04T10:00+02:00[Europe/Berlin]", "a time with its zone in brackets"),
        ("2024-05-04 10:00:00 CET", "a time whose zone has a name"),
        ("2024-05-04 10:00:00 Europe/Berlin", "a time whose zone has a name"),
        ("2024-05-04 10:00:00 PM", "a time of a twelve-hour clock"),
        ("04-MAY-24 10.00.00.000000 AM +00:00", "a date with its month in letters"),
        ("Sat, 04 May 2024 10:00:00 GMT", "a date with its month in letters"),
        ("20240504T100000Z", "a date without hyphens"),
        ("2024-05-04T24:00:00Z", "a time that no clock shows (midnight is 00:00 of the next day)"),
        ("2024-05-04 10:60", "a time that no clock shows (midnight is 00:00 of the next day)"),
        ("2024-05-04T10:00:61+01:00", "a time that no clock shows (midnight is 00:00 of the next"),
        ("45416.4166667", "a number of days, as spreadsheets count them"),
        (45416.4166667, "a number of days, as spreadsheets count them"),
        ("1714816800", "a number of seconds since 1970 (declare Schema(epoch='s'))"),
        ("1714816800123", "a number of milliseconds since 1970 (declare Schema(epoch='ms'))"),
        (1714816800123456, "a number of microseconds since 1970 (declare Schema(epoch='us'))"),
        (1714816800123456789, "a number of nanoseconds since 1970 (declare Schema(epoch='ns'))"),
        ("2024-03-31 02:30:00", "a time that the clocks skip in Europe/Copenhagen"),
        (datetime(2024, 3, 31, 2, 30), "a time that the clocks skip in Europe/Copenhagen"),
        (datetime(2124, 3, 31, 2, 30, tzinfo=UTC), "a time that is not from 1970 to 2099"),
        ("2023-02-29T00:00:00Z", "a day that is in no calendar"),
        ("2024-05-04", "a date without a time"),
        (float("-inf"), "an infinite number"),
        (10**400, "a larger number"),
        (-(10**400), "a negative number"),
        (float("nan"), "none"),
        ("[" * 100_000, "a text of more than 1,000 characters"),
    ],
)
def test_what_is_no_time_is_told_by_its_kind(value: object, kind: str) -> None:
    assert kind_of_time(value, ZoneInfo(COPENHAGEN), None).startswith(kind)


# --- the hour that comes twice --------------------------------------------------------------------
NIGHT = datetime(2024, 10, 26, 22, tzinfo=UTC)


def _local(moments: Sequence[datetime], zone: str) -> pl.Series:
    return pl.Series(
        [f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}" for moment in moments]
    )


def _night(step: int) -> list[datetime]:
    return [NIGHT + timedelta(minutes=at) for at in range(0, 240, step)]


@pytest.mark.parametrize("reverse", [False, True])
def test_rows_in_order_tell_the_hour_that_comes_twice_apart(reverse: bool) -> None:
    moments = _night(10)[:: -1 if reverse else 1]
    local = _local(moments, COPENHAGEN)
    for column in (local, local.str.to_datetime("%Y-%m-%d %H:%M:%S")):
        times = read_times(column, COPENHAGEN)
        second, twice = tell_apart(times)
        assert times.choose(second).to_list() == moments
        assert twice == Twice(told_apart=12)
        assert second.sum() == 6


@cache
def _autumn(zone: str, year: int) -> datetime:
    """The hour after which the clocks go back, or the first of the year where they never do."""
    start = datetime(year, 1, 1, tzinfo=UTC)
    shifts = [
        (start + timedelta(hours=at)).astimezone(ZoneInfo(zone)).utcoffset() or timedelta()
        for at in range(8_784)
    ]
    return start + timedelta(
        hours=next((at for at in range(8_783) if shifts[at] > shifts[at + 1]), 0)
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 12 * 3600), min_size=1, max_size=30), ZONES, st.integers(2005, 2010))
def test_rows_in_order_are_read_as_they_were_or_told_of(
    seconds: list[int], zone: str, year: int
) -> None:
    night = _autumn(zone, year)
    moments = [night - timedelta(hours=6) + timedelta(seconds=second) for second in sorted(seconds)]
    times = read_times(_local(moments, zone), zone)
    second, twice = tell_apart(times)
    found = times.choose(second).to_list()
    wrong = sum(one != other for one, other in zip(found, moments, strict=True))
    assert wrong <= twice.assumed


def test_rows_out_of_order_are_read_as_the_earlier_and_told_of() -> None:
    moments = _night(10)
    moments[3], moments[20] = moments[20], moments[3]
    times = read_times(_local(moments, COPENHAGEN), COPENHAGEN)
    second, twice = tell_apart(times)
    assert (twice, second.any()) == (Twice(assumed=12), False)
    assert twice.notice("at", COPENHAGEN) == (
        "`at`: times of the hour that comes twice in Europe/Copenhagen: 12 read as the earlier; "
        "write times with their offset."
    )
