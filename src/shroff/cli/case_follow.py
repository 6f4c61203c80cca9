"""`shroff cases follow`: the ledger's news into cases, and labels of cases into the ledger."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shroff.cli.cases import open_desk
from shroff.cli.terminal import AsJson, err, out, show
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.act import Desk
    from shroff.act.follow import Errand, SendLabel

_ERRAND_SECONDS: Final = 1.0


def follow(
    bundle: Annotated[
        Path | None,
        typer.Argument(help="A bundle; default: the one in production.", show_default=False),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="The column that payments are grouped by; default: the project's card.",
            show_default=False,
        ),
    ] = None,
    declined: Annotated[
        bool, typer.Option("--declined", help="Open cases for declined payments too.")
    ] = False,
    spike: Annotated[
        list[str] | None,
        typer.Option(
            help="COLUMN=PAYMENTS/MINUTESm: so many payments to review or declined that share a "
            "value, such as host_id=20/10m, are one case; repeatable.",
            show_default=False,
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            help="The service that gets the labels of decided cases; SHROFF_API_KEY has its key.",
            show_default=False,
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Stop when all is done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Open cases for what the ledger has that is new, and send the labels of decided ones; runs
    until it is stopped.
    """
    from shroff.act.follow import ledger_name, run_errand
    from shroff.act.intake import REVIEWED, CaseIntake
    from shroff.act.spikes import read_spike
    from shroff.cli.watching import in_production
    from shroff.control import reading_keyring
    from shroff.errors import Unavailable
    from shroff.ledger import Ledger
    from shroff.package import load

    settings, desk = Settings.read(), open_desk()
    loaded = in_production() if bundle is None else load(bundle)
    ledger = Ledger(settings.ledger, keyring=reading_keyring(settings.control))
    actions = (*REVIEWED, "decline") if declined else REVIEWED
    spikes = [read_spike(one) for one in spike or ()]
    taken = sent = refused = 0
    what = "payments to review or declined" if declined else "payments to review"
    err.print(
        f"Opening a case for each {by or loaded.card_column} with {what}; labels of decided cases "
        + ("wait, as no --url names a service." if url is None else f"go to {url}."),
        soft_wrap=True,
    )
    with ExitStack() as stack:
        send = None if url is None else _sender(url, settings.api_key, stack)
        while True:
            try:
                name = ledger_name(ledger)
                if name is not None:
                    intake = CaseIntake(
                        settings.control, name, loaded, by=by, actions=actions, spikes=spikes
                    )
                    done = run_errand(desk, intake, ledger, send)
                    taken, sent = taken + done.taken, sent + done.sent
                    refused += done.refused
                    if not once and (done.taken or done.sent or done.refused):
                        _say(desk, done)
            except Unavailable as error:
                if once:
                    raise
                err.print(str(error), soft_wrap=True)
            if once:
                break
            time.sleep(_ERRAND_SECONDS)
    waiting = len(desk.labels(limit=1_000))
    if as_json:
        show({"records": taken, "labels_sent": sent, "refused": refused, "labels_waiting": waiting})
    else:
        out.print(
            f"{taken:,} records read, {sent:,} labels sent, {refused:,} refused, {waiting:,} wait."
        )


def _say(desk: Desk, done: Errand) -> None:
    """What an errand came to, in one line."""
    cases = sum(load.open for load in desk.loads())
    err.print(
        f"{done.taken:,} records read, {done.sent:,} labels sent, {done.refused:,} refused; "
        f"{cases:,} cases are open.",
        soft_wrap=True,
    )


def _sender(url: str, key: str, stack: ExitStack) -> SendLabel:
    from shroff.client import Client

    client = stack.enter_context(Client(url, key=key or None))

    def send(payment_id: str, fraud: bool, by: str, event: str) -> None:
        client.label(payment_id, fraud, source=by, event_id=event)

    return send
