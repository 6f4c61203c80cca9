"""DATE_DIFF: texts and times, in expressions and in features, in batch and one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from shroff import FeatureGroup, Schema, sql
from shroff.errors import InvalidExpression
from shroff.expression import parse
from shroff.expression.dates import UNITS, date_diff, moment
from shroff.features.engines.batch import compute
from shroff.features.engines.replay import replay

MOMENTS = st.datetimes(
    min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29), timezones=st.just(UTC)
)


@given(
    since=MOMENTS,
    until=MOMENTS,
    unit=st.sampled_from(sorted(UNITS)),
    zone=st.integers(-14 * 60, 14 * 60),
)
def test_it_is_the_time_between_two_moments_cut_to_whole_units(
    since: datetime, until: datetime, unit: str, zone: int
) -> None:
    one = timedelta(microseconds=UNITS[unit])
    expected = (until - since) // one if until >= since else -((since - until) // one)
    sign, (hours, minutes) = "-" if zone < 0 else "+", divmod(abs(zone), 60)
    local = (since.replace(tzinfo=None) + timedelta(minutes=zone)).isoformat(
        timespec="microseconds"
    )
    texts = (
        f"{local}{sign}{hours:02}:{minutes:02}",
        until.isoformat(sep=" ", timespec="microseconds"),
    )
    first, second = map(moment, texts)
    assert first is not None
    assert second is not None
    assert date_diff(unit, first, second) == expected
    assert date_diff(unit, second, first) == -expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024",
        "20240504",
        "2024-5-4",
        "2024-13-01",
        "2024-05-04T25:00",
        "2024-05-04 10",
        "٢٠٢٤-05-04",
        "now",
    ],
)
def test_any_other_text_is_null(text: str) -> None:
    assert moment(text) is None


def test_daylight_saving_and_the_zone_of_the_schema_change_nothing() -> None:
    schema = Schema(
        id="id", time="at", amount="amount", nominal=["opened"], timezone="Europe/Copenhagen"
    )
    frame = pl.DataFrame(
        {
            "id": ["a", "b", "c", "d"],
            "at": [datetime(2024, 3, 31, hour, tzinfo=UTC) for hour in (0, 1, 2, 23)],
            "amount": [1] * 4,
            "opened": ["2024-03-30", "2024-03-30T01:00:00.000001Z", None, "unknown"],
        },
        schema_overrides={"at": pl.Datetime("us", "UTC")},
    )
    group = FeatureGroup(
        "g",
        [
            sql("days", "DATE_DIFF('day', opened, at)"),
            sql("young", "DATE_DIFF('DAY', opened, at) < 1"),
        ],
    )
    found = compute([group], frame, schema)
    assert found["days"].to_list() == [1.0, 0.0, None, None]
    assert found["young"].to_list() == [0.0, 1.0, None, None]
    assert_frame_equal(replay([group], frame, schema), found, check_exact=True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "DATE_DIFF('month', at, at)",
            r"DATE_DIFF takes a unit \('second', 'minute', 'hour', 'day', 'week'\)",
        ),
        ("DATE_DIFF('day', at)", "and two moments, from and to"),
        ("DATE_DIFF(opened, at, at)", "DATE_DIFF takes a unit"),
        ("DATE_DIFF('day', 5, at)", r"`DATE_DIFF` takes time or text, got `5` \(number\)"),
        ("MICROSECONDS(at)", "unknown function `MICROSECONDS`"),
    ],
)
def test_what_does_not_fit_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(InvalidExpression, match=sentence):
        parse(text, {"at": "time", "opened": "text"})
