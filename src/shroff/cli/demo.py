"""`shroff demo`: the whole path once."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from shroff.cli.terminal import AsJson, err, out, show, steps


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
    console: Annotated[
        bool,
        typer.Option(
            "--console/--no-console",
            help="If it keeps running: live six simulated months, and show them in the console.",
        ),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Walk the whole path once: simulate, train, package, serve, decide; then look around."""
    from shroff.demo import run_demo

    # what the demo started ends with it, also where no terminal sends Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with steps(quiet=as_json) as step:
        outcome = run_demo(folder, payments=payments, port=port, progress=step)
    stay = sys.stdin.isatty() if keep is None else keep
    console = stay and console and _console_installed()
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
        if stay and not console:
            err.print("The service runs until Ctrl-C.")
            outcome.server.wait()
    finally:
        outcome.stop()
    if console:
        _look_around(folder, port)


def _console_installed() -> bool:
    from importlib.util import find_spec

    if all(find_spec(name) for name in ("litestar", "jinja2", "joserfc")):
        return True
    err.print("To look around in the console: `pip install 'shroff[console]'`.", markup=False)
    return False


def _look_around(folder: Path, port: int) -> None:
    """Show six months in the console, until Ctrl-C."""
    import shlex
    from contextlib import ExitStack, suppress

    from shroff.demo import open_months, tour
    from shroff.errors import ShroffError

    with ExitStack() as stack:
        months = folder / "months"
        with steps(quiet=False) as step:
            made = open_months(months, progress=step)
            step("start the service and the console")
            try:
                running = stack.enter_context(tour(made, port=port, console_port=0))
            except ShroffError as error:
                raise ShroffError(
                    f"{error} The six months are there: "
                    f"`shroff console --demo --folder {shlex.quote(str(months))}` shows them."
                ) from error
        err.print(f"The console: {running.console}/", soft_wrap=True)
        err.print(f"  user {running.user}, password {running.password}", soft_wrap=True)
        err.print(f"The service: {running.service}/help", soft_wrap=True)
        err.print("Payments keep coming. Both run until Ctrl-C.")
        with suppress(KeyboardInterrupt):
            running.stroll()
