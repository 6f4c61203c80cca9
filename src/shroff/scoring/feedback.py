"""What clients send about a payment after its decision: the JSON of results and labels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec

from shroff.collect.time_kinds import kind_of_time
from shroff.collect.times import parse_time
from shroff.errors import BadPayment

_name = partial(msgspec.Meta, min_length=1, max_length=200)
Name = Annotated[str, _name()]
_At = Annotated[
    str | None,
    msgspec.Meta(
        description="When it happened, ISO 8601; now if it is not told.",
        extra_json_schema={"format": "date-time"},
    ),
]


class Result(msgspec.Struct, forbid_unknown_fields=True):
    """What became of a payment, such as `authorised` or `failed`."""

    result: Annotated[
        str, _name(description="Such as `authorised` or `failed`.", examples=["authorised"])
    ]
    at: _At = None


class Label(msgspec.Struct, forbid_unknown_fields=True):
    """Whether a payment was fraud; its source follows from the API key."""

    fraud: Annotated[bool, msgspec.Meta(description="Whether it was fraud.", examples=[True])]
    source: Annotated[
        Name | None,
        msgspec.Meta(
            description="What you call yourself, kept as a `note`: what counts is the source of "
            "your key.",
            examples=["case 4711"],
        ),
    ] = None
    at: _At = None
    event_id: Annotated[
        Name | None,
        msgspec.Meta(
            description="Your id of this label: sent again it is recorded once, whatever was said "
            "in between.",
            examples=["case-4711-2"],
        ),
    ] = None


def moment(
    text: str | None,
    zone: ZoneInfo | None,
    *,
    field: str = "at",
    twice: Callable[[], None] | None = None,
) -> int | None:
    """The microseconds since the epoch that a field names; a time without a zone is in `zone`.

    A time that a change of clocks repeats is taken as the earlier one, and `twice` is called.

    >>> moment("1970-01-01T00:00:01Z", None)
    1000000

    Raises:
        BadPayment: it is no time, or lacks the zone that it needs.
    """
    if text is None:
        return None
    try:
        return parse_time(text, zone, twice=twice)
    except ValueError:
        wanted = "" if zone else " that names its zone, such as `…Z`"
        got = kind_of_time(text, zone, None)
        raise BadPayment(
            f"expected an ISO 8601 date and time{wanted}, got {got} - at `$.{field}`"
        ) from None
