"""Alerts: what monitoring finds, told once, to a webhook and by mail.

Reads findings; keeps which alarms are open, at most one of a subject, and the events that wait to
be sent, in the control database. Times are microseconds since the epoch. Promises one event when an
alarm begins, one when its severity changes and one when it ends, each delivered at least once to
every channel under an id that stays the same: the events are written in the transaction that
changes the alarm.
"""

from shroff.monitor.alerts.alarms import Alarm, Alarms
from shroff.monitor.alerts.channels import Channel, channels_of
from shroff.monitor.alerts.deliver import Delivered, deliver

__all__ = ["Alarm", "Alarms", "Channel", "Delivered", "channels_of", "deliver"]
