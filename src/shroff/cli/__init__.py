"""Cli: parse what the user typed, call the room that does it, print what came of it. No logic lives
here.

Reads arguments and the environment. Promises that every command takes `--json` and then prints one
JSON document on standard output and nothing else. Exit codes: 0 done, 1 a check failed, 2 bad usage
or bad input, with one sentence on standard error.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from shroff import __version__
from shroff.cli import (
    alerts,
    cases,
    data,
    embed,
    keys,
    ledger,
    lists,
    parity,
    policy,
    rates,
    runs,
    service,
    store,
    tables,
    training,
)
from shroff.cli import models as published
from shroff.cli.backtest import backtest
from shroff.cli.card import card
from shroff.cli.case_evidence import narrative, pack
from shroff.cli.case_follow import follow
from shroff.cli.consume import consume
from shroff.cli.features import features
from shroff.cli.forget import forget
from shroff.cli.init import init
from shroff.cli.monitor import monitor
from shroff.cli.package import package
from shroff.cli.promote import promote
from shroff.cli.retrain import guard, retrain
from shroff.cli.schemes import schemes
from shroff.cli.score import score
from shroff.cli.terminal import AsJson, err, out, show, steps, visible
from shroff.errors import CheckFailed, ShroffError
from shroff.private import private_file
from shroff.settings import home

app = typer.Typer(
    name="shroff",
    help="Payment-fraud detection from a raw payment log to a live decision.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(value: bool) -> None:
    if value:
        out.print(f"shroff {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Payment-fraud detection from a raw payment log to a live decision."""


for command in (
    init,
    data.simulate,
    data.collect,
    features,
    training.train,
    training.report,
    card,
    score,
    schemes,
    package,
    published.publish,
    backtest,
    promote,
    retrain,
    guard,
    published.rollback,
    service.serve,
    consume,
    service.loadtest,
    parity.parity,
    monitor,
    ledger.replay,
):
    app.command()(command)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where to put everything.")] = Path("demo"),
    payments: Annotated[
        int, typer.Option(help="How many payments to simulate.", min=20_000)
    ] = 100_000,
    port: Annotated[
        int, typer.Option(help="Port of the service; 0: any free one.", min=0, max=65535)
    ] = 0,
    keep: Annotated[
        bool | None,
        typer.Option(
            "--keep/--no-keep", help="Keep the service running; by default on a terminal."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Walk the whole path once: simulate, train, package, serve, decide."""
    from shroff.demo import run_demo

    with steps(quiet=as_json) as step:
        outcome = run_demo(folder, payments=payments, port=port, progress=step)
    stay = sys.stdin.isatty() if keep is None else keep
    try:
        if as_json:
            show(outcome.document)
        else:
            for part in outcome.parts:
                out.print(part)
            if not stay:
                out.print(
                    f"The service has stopped. Start it again:\n{outcome.serve(8080)}",
                    soft_wrap=True,
                )
            out.print(
                f"Try it:\n{outcome.curl(None if stay else 8080)}", soft_wrap=True, highlight=False
            )
        if stay:
            err.print("The service runs until Ctrl-C.")
            outcome.server.wait()
    finally:
        outcome.stop()


app.command()(forget)
cases.app.command()(follow)
cases.app.command()(narrative)
cases.app.command()(pack)
app.add_typer(alerts.app, name="alerts")
app.add_typer(cases.app, name="cases")
app.add_typer(keys.app, name="keys")
app.add_typer(lists.app, name="lists")
app.add_typer(policy.app, name="policy")
app.add_typer(published.app, name="models")
app.add_typer(rates.app, name="rates")
app.add_typer(tables.app, name="tables")
app.add_typer(ledger.app, name="ledger")
app.add_typer(store.app, name="store")
app.add_typer(embed.app, name="embed")
app.add_typer(runs.app, name="runs")


def main() -> NoReturn:
    """Run the command line; errors become one sentence and an exit code."""
    try:
        app()
    except ShroffError as error:
        err.print(f"shroff: {visible(str(error))}", style="bold red", markup=False, soft_wrap=True)
        sys.exit(1 if isinstance(error, CheckFailed) else 2)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001  # the last line of defence: no traceback reaches a user
        err.print(
            f"shroff: unexpected {type(error).__name__}; this is a defect of Shroff, "
            f"{_keep(traceback.format_exc())}.",
            markup=False,
            soft_wrap=True,
        )
        sys.exit(2)
    sys.exit(0)


def _keep(details: str) -> str:
    """Write the details of a defect to a file for its report; returns where they are."""
    crash = home() / "crash.log"
    try:
        private_file(crash)
        crash.write_text(details)
    except OSError as error:
        return f"its details cannot be written to {crash} ({error.strerror})"
    return f"its details are in {crash}"
