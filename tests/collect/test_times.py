"""Times: what ISO 8601 says, cut at the microsecond, in UTC; a column and a single time alike."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shroff.collect.times import EPOCH, format_time, parse_time, parse_times

COPENHAGEN = "Europe/Copenhagen"
MICROS_OF_A_CENTURY = 4_102_444_799_999_999
INSTANTS = st.datetimes(datetime(1970, 1, 2), datetime(2099, 12, 30))
ZONES = st.sampled_from([COPENHAGEN, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo"])


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
        "2015-04-15T20:54.5Z",
        "2015-04-15T20:54:28.Z",
        "2015-04-15T20:54:28z",
        "2015-04-15T20:54:28+24:00",
        "2015-04-15T20:54:28+01:00:30",
        "2015-04-15T20:54:28 Z",
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


def test_a_time_without_a_zone_is_read_in_the_declared_one() -> None:
    assert _single("2024-07-01T12:00:00", None) is None
    assert _column(["2024-07-01T12:00:00", "2024-07-01T12:00:00Z"], None) == [None, _micros("2024-07-01T12:00:00Z")]
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
    assert parse_times(pl.Series(moments, dtype=pl.Datetime("us")), zone).dt.epoch("us").to_list() == expected


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_timestamps_of_any_unit_and_zone_are_read(unit: str) -> None:
    moment = datetime(2024, 7, 1, 12, 0, 0, 123_000)
    naive = pl.Series([moment, None]).cast(pl.Datetime(unit))  # type: ignore[arg-type]  # one of three
    expected = [_micros("2024-07-01T10:00:00.123Z"), None]
    assert parse_times(naive, COPENHAGEN).dt.epoch("us").to_list() == expected
    assert parse_times(naive.dt.replace_time_zone(COPENHAGEN), None).dt.epoch("us").to_list() == expected


def test_timestamps_out_of_range_are_none() -> None:
    years = pl.Series([datetime(1969, 12, 31), datetime(1970, 1, 1), datetime(2099, 12, 31), datetime(2100, 1, 1)])
    read = parse_times(years.dt.replace_time_zone("UTC"), None)
    assert read.dtype == pl.Datetime("us", "UTC")
    assert read.is_null().to_list() == [True, False, False, True]


def test_nanoseconds_are_cut_off() -> None:
    column = pl.Series([1_719_828_000_123_456_999]).cast(pl.Datetime("ns", "UTC"))
    assert parse_times(column, None).dt.epoch("us").to_list() == [1_719_828_000_123_456]


def test_a_column_keeps_its_type_when_there_is_nothing_in_it() -> None:
    for column in (pl.Series([], dtype=pl.String), pl.Series([None, None], dtype=pl.String)):
        read = parse_times(column, None)
        assert read.dtype == pl.Datetime("us", "UTC")
        assert read.null_count() == len(read) == len(column)
