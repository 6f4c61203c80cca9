"""Deliveries: what is due goes through its channel, and what fails is tried again later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from shroff.clock import Clock, system_time
from shroff.errors import SourceUnavailable
from shroff.monitor.alerts.alarms import Alarms
from shroff.monitor.alerts.channels import Channel


class Delivered(NamedTuple):
    """Alerts that were sent and that failed now, and what the last failure was."""

    sent: int
    failed: int
    failure: str | None = None


def deliver(
    alarms: Alarms, channels: Sequence[Channel], *, clock: Clock = system_time
) -> Delivered:
    """Send what is due, in its order. What was sent before a crash, and could not be noted, is sent
    again: receivers know it by its id.

    After a failure a channel is left alone until the next call: what comes after it would fail too.

    Raises:
        ControlUnavailable: the database does not answer.
    """
    by_name = {channel.name: channel for channel in channels}
    sent = failed = 0
    failure: str | None = None
    stuck = set[str]()
    for alert in alarms.waiting(due=clock()):
        channel = by_name.get(alert.channel)
        if channel is None or alert.channel in stuck:
            continue
        try:
            channel.send(alert.event, alert.content)
        except SourceUnavailable as error:
            failure = str(error)
            alarms.failed(alert, failure)
            failed += 1
            stuck.add(alert.channel)
        else:
            alarms.sent(alert)
            sent += 1
    return Delivered(sent, failed, failure)
