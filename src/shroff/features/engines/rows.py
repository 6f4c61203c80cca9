"""Features of one payment alone, over a table and by payment: expressions and calendar fields.

`column` gives the Polars expression, `reader` the function over one payment's values, with equal
results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

import polars as pl

from shroff.collect.payment import Value
from shroff.collect.times import DAY_US, EPOCH, SECOND_US
from shroff.expression import Expression
from shroff.features.row import Calendar, CalendarPart
from shroff.features.streams import RowFeature

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
PARTS_OF_DAY: Final = ("Night", "Morning", "Afternoon", "Evening")
_HOUR_US: Final = 3_600 * SECOND_US
_FIRST_WEEKDAY: Final = 3
"""1970-01-01 was a Thursday."""

_CALENDAR: Final[dict[CalendarPart, tuple[bool, Sequence[Value]]]] = {
    "hour": (True, [float(hour) for hour in range(24)]),
    "weekday": (False, WEEKDAYS),
    "part_of_day": (True, [PARTS_OF_DAY[hour // 6] for hour in range(24)]),
    "weekend": (False, [float(day >= 5) for day in range(7)]),
    "night": (True, [float(hour < 6) for hour in range(24)]),
}
"""The value of each part by the hour (True) or by the day of the week."""


def with_rows(
    frame: pl.DataFrame, features: Iterable[RowFeature], time: str, zone: str | None
) -> pl.DataFrame:
    """The table with these features as columns; those independent of each other in one pass."""
    # the lazy plan computes shared expressions once
    table, together = frame.lazy(), dict[str, pl.Expr]()
    for feature in features:
        if isinstance(feature.source, Expression) and feature.source.columns & together.keys():
            table, together = table.with_columns(**together), {}
        together[feature.name] = column(feature, time, zone)
    # the streaming engine would return every column in pieces
    return table.with_columns(**together).collect(engine="in-memory")


def column(feature: RowFeature, time: str, zone: str | None) -> pl.Expr:
    """The feature over a table: Float64 or String, null where the expression is null."""
    if isinstance(feature.source, Calendar):
        return _calendar_column(feature.source.part, pl.col(time), zone)
    values = feature.source.polars()
    return values if feature.kind == "text" else values.cast(pl.Float64)


def reader(
    feature: RowFeature, time: str, zone: str | None
) -> Callable[[Mapping[str, Value]], Value]:
    """The feature of one payment from its values (columns and earlier features by name)."""
    if isinstance(feature.source, Calendar):
        return _calendar_reader(feature.source.part, time, zone)
    compute = feature.source.closure()
    if feature.kind != "boolean":
        return compute

    def number(values: Mapping[str, Value]) -> Value:
        truth = compute(values)
        return None if truth is None else float(truth)

    return number


def _calendar_column(part: CalendarPart, time: pl.Expr, zone: str | None) -> pl.Expr:
    if zone and zone != "UTC":
        local = time.dt.convert_time_zone(zone)
        hour, weekday = local.dt.hour().cast(pl.Int64), local.dt.weekday().cast(pl.Int64) - 1
    else:
        # hours fit into 32 bits, which halves the work
        hours = (time.to_physical() // _HOUR_US).cast(pl.Int32, wrap_numerical=True)
        hour, weekday = hours % 24, (hours // 24 + _FIRST_WEEKDAY) % 7
    if part == "hour":
        return hour.cast(pl.Float64)
    if part == "weekday":
        return weekday.replace_strict(list(range(7)), list(WEEKDAYS), return_dtype=pl.String)
    if part == "part_of_day":
        return (hour // 6).replace_strict(
            list(range(4)), list(PARTS_OF_DAY), return_dtype=pl.String
        )
    return (weekday >= 5 if part == "weekend" else hour < 6).cast(pl.Float64)


def _calendar_reader(
    part: CalendarPart, time: str, zone: str | None
) -> Callable[[Mapping[str, Value]], Value]:
    located = ZoneInfo(zone) if zone and zone != "UTC" else None
    hourly, of = _CALENDAR[part]

    def read(values: Mapping[str, Value]) -> Value:
        micros: int = values[time]  # type: ignore[assignment]  # a payment's time is its microseconds
        if located is not None:
            moment = (EPOCH + timedelta(microseconds=micros)).astimezone(located)
            return of[moment.hour if hourly else moment.weekday()]
        if hourly:
            return of[micros % DAY_US // _HOUR_US]
        return of[(micros // DAY_US + _FIRST_WEEKDAY) % 7]

    return read
