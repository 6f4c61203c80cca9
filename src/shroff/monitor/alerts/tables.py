"""The tables of alerts in the control database."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Integer, String, Table, UniqueConstraint

from shroff.control.database import METADATA
from shroff.database.partial import partial_index

_NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")

ALARMS: Final = Table(
    "shroff_alarm",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("model", String(1_024), nullable=False),
    Column("kind", String(200), nullable=False),
    Column("subject", String(1_024), nullable=False),
    Column("severity", String(10), nullable=False),
    Column("sentence", String, nullable=False),
    Column("began", BigInteger, nullable=False),
    Column("ended", BigInteger),
)
_OPEN: Final[Any] = ALARMS.c.ended.is_(None)
# of one subject at most one alarm is open, whatever two processes do at once
partial_index("shroff_alarm_open", ALARMS.c.kind, ALARMS.c.subject, where=_OPEN, unique=True)

ALERTS: Final = Table(
    "shroff_alert",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("event", String(40), nullable=False),
    Column("channel", String(20), nullable=False),
    Column("content", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due", BigInteger, nullable=False, index=True),
    Column("sent", BigInteger),
    Column("failure", String),
    UniqueConstraint("event", "channel"),
)
"""The outbox: an event for each channel; `content` is its JSON, as it is sent."""
