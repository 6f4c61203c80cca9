"""`shroff demo`: the whole path once."""

from __future__ import annotations

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
