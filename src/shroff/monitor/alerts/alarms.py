"""Alarms that are open, and the outbox of their events, in one transaction of the control database.

An event is a CloudEvent 1.0 in structured JSON (cloudevents.io).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple
from uuid import uuid4

import msgspec
from sqlalchemy import Connection, select

from shroff.clock import Clock, system_time
from shroff.collect.times import iso_time
from shroff.control.database import Control, in_turn
from shroff.errors import one_line
from shroff.monitor.alerts.tables import ALARMS, ALERTS
from shroff.monitor.finding import Finding

TESTED: Final = frozenset(
    {"drift", "missing", "new names", "score", "decisions", "labels", "calibration"}
)
"""Kinds that every look examines: what is not found of them has ended. An alarm of another kind
ends when a finding of its kind and subject says that all is well (`info`).
"""
_FIRST_RETRY_US: Final = 30_000_000
_LAST_RETRY_US: Final = 3_600_000_000
_SOURCE: Final = "urn:shroff:monitor"


class Alarm(NamedTuple):
    """An alarm that is open; `model` is whose it is."""

    id: int
    model: str
    kind: str
    subject: str
    severity: str
    sentence: str
    began: int


class Alert(NamedTuple):
    """An event on its way through a channel: after so many attempts, next when it is `due`."""

    id: int
    event: str
    channel: str
    content: str
    attempts: int
    due: int
    failure: str | None


class Alarms:
    """The alarms and alerts in a control database."""

    def __init__(self, url: str, *, clock: Clock = system_time) -> None:
        self._control = Control(url)
        self._clock = clock

    def record(self, model: str, findings: Sequence[Finding], channels: Collection[str]) -> int:
        """Bring the alarms up to date with a look at a model, and write the events of what changed;
        the number of events.

        Alarms of another model end: another one is in production.

        Raises:
            ControlUnavailable: the database does not answer.
        """
        found = {
            (one.kind, one.subject): one for one in findings if one.severity in ("alarm", "warning")
        }
        well = {(one.kind, one.subject) for one in findings if one.severity == "info"}
        now, events = self._clock(), 0
        with self._control.transaction("keep alarms") as connection:
            in_turn(connection)
            written = _Outbox(connection, now, channels)
            for alarm in _open(connection):
                key = alarm.kind, alarm.subject
                if alarm.model == model and key in found:
                    events += _change(written, alarm, found.pop(key))
                elif alarm.model != model or alarm.kind in TESTED or key in well:
                    changed = ALARMS.update().where(ALARMS.c.id == alarm.id)
                    connection.execute(changed, {"ended": now})
                    events += written.add("ended", alarm)
            for one in found.values():
                events += written.add("began", _begin(connection, model, one, now))
        return events

    def open(self) -> list[Alarm]:
        """The alarms that are open, the oldest first."""
        with self._control.transaction("read alarms") as connection:
            return _open(connection)

    def test(self, channels: Collection[str]) -> int:
        """Write an event that says that it is a test; the number of events."""
        alarm = Alarm(0, "", "test", "alerts", "info", "This is a test of alerts.", self._clock())
        with self._control.transaction("keep alerts") as connection:
            in_turn(connection)
            return _Outbox(connection, alarm.began, channels).add("test", alarm)

    def waiting(self, *, due: int | None = None) -> list[Alert]:
        """The alerts that are not sent yet, or only those that are due by a moment; in their order.
        What is due later than any retry was written by a clock that was set back: it is due too.

        Raises:
            ControlUnavailable: the database does not answer.
        """
        query = select(*(ALERTS.c[name] for name in Alert._fields)).where(ALERTS.c.sent.is_(None))
        if due is not None:
            query = query.where((ALERTS.c.due <= due) | (ALERTS.c.due > due + _LAST_RETRY_US))
        with self._control.transaction("read alerts") as connection:
            rows = connection.execute(query.order_by(ALERTS.c.id)).all()
        return [Alert(*row) for row in rows]

    def sent(self, alert: Alert) -> None:
        """Note that an alert was delivered."""
        self._note(alert, {"sent": self._clock(), "failure": None})

    def failed(self, alert: Alert, failure: str) -> None:
        """Note that a delivery failed; the next is due after twice the time, an hour at most."""
        pause = min(_FIRST_RETRY_US * 2 ** min(alert.attempts, 20), _LAST_RETRY_US)
        self._note(alert, {"due": self._clock() + pause, "failure": failure})

    def _note(self, alert: Alert, values: dict[str, Any]) -> None:
        with self._control.transaction("keep alerts") as connection:
            changed = ALERTS.update().where(ALERTS.c.id == alert.id)
            connection.execute(changed, values | {"attempts": alert.attempts + 1})


class _Outbox:
    """Writes events in a transaction, one for each channel."""

    def __init__(self, connection: Connection, now: int, channels: Iterable[str]) -> None:
        self.connection, self._now = connection, now
        self._channels = tuple(channels)

    def add(self, what: str, alarm: Alarm) -> int:
        """Write that an alarm began, changed or ended; 1."""
        event = str(uuid4())
        content = _cloud_event(event, what, alarm, self._now)
        for channel in self._channels:
            self.connection.execute(
                ALERTS.insert(),
                {
                    "event": event,
                    "channel": channel,
                    "content": content,
                    "attempts": 0,
                    "due": self._now,
                },
            )
        return 1


def _cloud_event(event: str, what: str, alarm: Alarm, now: int) -> str:
    document = {
        "specversion": "1.0",
        "id": event,
        "source": _SOURCE,
        "type": f"shroff.alarm.{what}",
        "subject": f"{alarm.kind}/{one_line(alarm.subject)}",
        "time": iso_time(now, "milliseconds"),
        "datacontenttype": "application/json",
        "data": {
            "alarm": alarm.id,
            "model": alarm.model,
            "kind": alarm.kind,
            "subject": alarm.subject,
            "severity": alarm.severity,
            "sentence": alarm.sentence,
            "began": iso_time(alarm.began, "milliseconds"),
        },
    }
    return msgspec.json.encode(document).decode()


def _open(connection: Connection) -> list[Alarm]:
    columns = [ALARMS.c[name] for name in Alarm._fields]
    query = select(*columns).where(ALARMS.c.ended.is_(None)).order_by(ALARMS.c.id)
    return [Alarm(*row) for row in connection.execute(query)]


def _begin(connection: Connection, model: str, found: Finding, now: int) -> Alarm:
    alarm = Alarm(0, model, found.kind, found.subject, found.severity, found.sentence, now)
    values = alarm._asdict()
    del values["id"]
    key = connection.execute(ALARMS.insert(), values).inserted_primary_key
    return alarm if key is None else alarm._replace(id=int(key[0]))


def _change(written: _Outbox, alarm: Alarm, found: Finding) -> int:
    """Note what an open alarm says now; an event only if its severity is another."""
    now = alarm._replace(severity=found.severity, sentence=found.sentence)
    values = {"severity": now.severity, "sentence": now.sentence}
    written.connection.execute(ALARMS.update().where(ALARMS.c.id == alarm.id), values)
    return 0 if now.severity == alarm.severity else written.add("changed", now)
