"""`shroff alerts`: alarms that are open, and their events on the way to a webhook and by mail."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

from shroff.cli.arguments import Every
from shroff.cli.terminal import AsJson, err, moment, out, print_rows, show
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.monitor.alerts import Alarms, Delivered

app = typer.Typer(
    help="Alarms of `shroff monitor --alerts`, and their delivery to a webhook and by mail."
)


@app.command("list")
def list_alarms(as_json: AsJson = False) -> None:
    """List the alarms that are open, and the events that are not delivered yet."""
    alarms = _alarms()
    opened, waiting = alarms.open(), alarms.waiting()
    if as_json:
        show(
            {
                "alarms": [{**one._asdict(), "began": moment(one.began)} for one in opened],
                "waiting": [
                    {
                        "event": one.event,
                        "channel": one.channel,
                        "attempts": one.attempts,
                        "next": moment(one.due),
                        "failure": one.failure,
                    }
                    for one in waiting
                ],
            }
        )
        return
    if opened:
        rows = [
            {
                "since": moment(one.began),
                "severity": one.severity,
                "what": f"{one.kind}: {one.subject}",
                "sentence": one.sentence,
            }
            for one in opened
        ]
        print_rows(rows, *rows[0])
    else:
        out.print("No alarm is open.")
    for one in waiting:
        why = "" if one.failure is None else f": {one.failure}"
        out.print(
            f"{one.event} waits for the {one.channel} after {one.attempts} attempts{why}",
            soft_wrap=True,
            markup=False,
        )


@app.command()
def send(every: Every = None, as_json: AsJson = False) -> None:
    """Deliver the events that are due; exit code 1 if one was not taken."""
    from shroff.errors import Unavailable

    alarms, settings = _alarms(), Settings.read()
    while True:
        try:
            done = deliver_due(alarms, settings)
        except Unavailable as error:
            if every is None:
                raise
            err.print(str(error), soft_wrap=True, markup=False)
        else:
            _print(alarms, done, as_json=as_json)
            if every is None:
                raise typer.Exit(1 if done.failed else 0)
        time.sleep(every)


@app.command("test")
def try_channels(as_json: AsJson = False) -> None:
    """Deliver an event that says it is a test through every channel of the settings."""
    from shroff.errors import ConfigurationError
    from shroff.monitor.alerts import channels_of

    alarms, settings = _alarms(), Settings.read()
    channels = channels_of(settings)
    if not channels:
        raise ConfigurationError(
            "expected a channel in SHROFF_ALERT_WEBHOOK or SHROFF_ALERT_MAIL, found neither set."
        )
    alarms.test([channel.name for channel in channels])
    done = deliver_due(alarms, settings)
    _print(alarms, done, as_json=as_json)
    raise typer.Exit(1 if done.failed else 0)


def deliver_due(alarms: Alarms, settings: Settings) -> Delivered:
    """Send what is due through the channels of the settings."""
    from shroff.monitor.alerts import channels_of, deliver

    return deliver(alarms, channels_of(settings))


def _alarms() -> Alarms:
    from shroff.monitor.alerts import Alarms

    return Alarms(Settings.read().control)


def _print(alarms: Alarms, done: Delivered, *, as_json: bool) -> None:
    waiting = len(alarms.waiting())
    if as_json:
        show({**done._asdict(), "waiting": waiting})
        return
    out.print(
        f"{done.sent:,} {'alert' if done.sent == 1 else 'alerts'} sent, {done.failed:,} failed, "
        f"{waiting:,} wait."
    )
    if done.failure is not None:
        err.print(done.failure, soft_wrap=True, markup=False)
