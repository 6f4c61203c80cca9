"""Definitions of features of one payment alone: a SQL expression, or a field of its local time."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from msgspec.structs import force_setattr

from shroff.errors import ConfigurationError
from shroff.features.typed import require_types

CalendarPart = Literal["hour", "weekday", "part_of_day", "weekend", "night"]
CALENDAR_PARTS: Final[tuple[CalendarPart, ...]] = (
    "hour",
    "weekday",
    "part_of_day",
    "weekend",
    "night",
)


class Sql(msgspec.Struct, frozen=True, tag="sql", forbid_unknown_fields=True):
    """A SQL expression over the payment's columns and the features before it."""

    name: str
    expression: str

    def __post_init__(self) -> None:
        require_types(self)


class Calendar(msgspec.Struct, frozen=True, tag="calendar", forbid_unknown_fields=True):
    """A field of the payment's local time, in the schema's time zone; see `calendar`."""

    part: CalendarPart
    name: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.part, str) or self.part not in CALENDAR_PARTS:
            raise ConfigurationError(
                f"expected calendar of {', '.join(CALENDAR_PARTS)}, got `{self.part}`."
            )
        require_types(self)
        if not self.name:
            force_setattr(self, "name", self.part)


def sql(name: str, expression: str) -> Sql:
    """A feature from a SQL expression: a number, a text, or a condition as 1.0, 0.0 or null.

    It is checked against the schema where the project is defined: an expression that does not parse
    or fit raises InvalidExpression there, a name that is no column or earlier feature
    UnknownColumn.

    Args:
        name: the feature's name.
        expression: over the columns of the payment, amounts in major units, and the features before
            it.

    >>> sql("same_country", "request_country = account_country").name
    'same_country'
    """
    return Sql(name, expression)


def calendar(part: CalendarPart, *, name: str = "") -> Calendar:
    """A feature from the payment's local time, in the schema's `timezone` or else UTC.

    Args:
        part: `hour` is 0–23; `weekday` Monday … Sunday; `part_of_day` Night (0–5), Morning (6–11),
            Afternoon (12–17), Evening (18–23); `weekend` 1 on Saturday and Sunday, else 0; `night`
            1 from 0 to 5 o'clock, else 0.
        name: the feature's name; by default that of the field.

    Raises:
        ConfigurationError: there is no such field.

    >>> calendar("weekday").name
    'weekday'
    """
    return Calendar(part, name)
