"""Time in the simulation: milliseconds since the first midnight UTC, and local time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from shroff.arrays import Floats, Ints
from shroff.errors import ConfigurationError
from shroff.simulate.reference import COUNTRIES

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

# how many payments people make in each local hour: a trough before dawn, a peak after work
_WEEKDAY_HOURS: Final = (
    6,
    3,
    2,
    1.5,
    1.5,
    3,
    9,
    20,
    30,
    34,
    38,
    46,
    58,
    50,
    44,
    46,
    56,
    70,
    76,
    72,
    60,
    44,
    28,
    14,
)
_WEEKEND_HOURS: Final = (
    14,
    9,
    6,
    4,
    2,
    2,
    4,
    9,
    20,
    36,
    52,
    64,
    68,
    66,
    64,
    60,
    58,
    60,
    66,
    66,
    56,
    44,
    34,
    24,
)
_MONDAY_TO_SUNDAY: Final = (0.94, 0.93, 0.96, 1.01, 1.16, 1.2, 0.85)
_PAYDAY_FACTOR: Final = 1.12


@dataclass(frozen=True)
class Clock:
    """The simulated days, `days` from `start` on; times are milliseconds since `start`, UTC."""

    start: date
    days: int

    @property
    def span(self) -> int:
        """Length of the simulated time in milliseconds."""
        return self.days * DAY_MS

    @cached_property
    def weekday(self) -> Ints:
        """Monday (0) to Sunday (6) of each day [days]."""
        return (np.arange(self.days) + self.start.weekday()) % 7

    @cached_property
    def busyness(self) -> Floats:
        """How busy each day is [days]; Fridays, Saturdays and days after payday are busiest."""
        month_day = np.array([(self.start + timedelta(days=day)).day for day in range(self.days)])
        payday = np.where((month_day >= 26) | (month_day <= 2), _PAYDAY_FACTOR, 1.0)
        weights: Floats = np.array(_MONDAY_TO_SUNDAY)[self.weekday] * payday
        return weights

    @cached_property
    def offset(self) -> Ints:
        """Local time minus UTC in milliseconds, by country and day [countries, days]."""
        noons = [
            datetime.combine(self.start, time(12), UTC) + timedelta(days=day)
            for day in range(self.days)
        ]
        zones = [ZoneInfo(country.zone) for country in COUNTRIES]
        return np.array([[_offset(zone, noon) for noon in noons] for zone in zones], np.int64)

    def utc(self, day: Ints, local: Floats, country: Ints) -> Ints:
        """Moments [n] at `local` milliseconds after midnight of `day` in `country`, mod `span`."""
        moment: Ints = (
            day * DAY_MS + local.astype(np.int64) - self.offset[country, day]
        ) % self.span
        return moment

    def local(self, moment: Ints, country: Ints) -> Ints:
        """Milliseconds [n] since the first local midnight in `country`."""
        return moment + self.offset[country, moment // DAY_MS]

    def draw_days(self, rng: np.random.Generator, size: int) -> Ints:
        """Days [size], the busy ones more often."""
        return rng.choice(self.days, size, p=self.busyness / self.busyness.sum())

    def draw_hours(self, rng: np.random.Generator, day: Ints) -> Floats:
        """Local milliseconds after midnight [n] for payments on `day` [n]; later on weekends."""
        uniform = rng.random(len(day))
        return np.where(
            self.weekday[day] >= 5,
            _within_day(_WEEKEND_HOURS, uniform),
            _within_day(_WEEKDAY_HOURS, uniform),
        )


def _offset(zone: ZoneInfo, moment: datetime) -> int:
    shift = moment.astimezone(zone).utcoffset() or timedelta(0)
    return round(shift.total_seconds() * SECOND_MS)


def _within_day(hours: tuple[float, ...], uniform: Floats) -> Floats:
    cumulated = np.concatenate([[0.0], np.cumsum(hours)])
    within: Floats = np.interp(uniform, cumulated / cumulated[-1], np.arange(25) * float(HOUR_MS))
    return within


def read_clock(start: str, days: int) -> Clock:
    """The clock of `days` days from `start`, an ISO 8601 date; or a ConfigurationError.

    >>> read_clock("2024-01-01", 90).span
    7776000000
    """
    if not 1 <= days <= 3_660:
        raise ConfigurationError(f"days must be from 1 to 3660, got {days}")
    try:
        first = date.fromisoformat(start)
    except ValueError:
        raise ConfigurationError(
            "start must be a date such as 2024-01-01, got another text"
        ) from None
    if not 1970 <= first.year <= 2200:
        raise ConfigurationError(
            f"start must lie in the years 1970 to 2200, got the year {first.year}"
        )
    return Clock(first, days)
