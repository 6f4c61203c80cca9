"""`shroff console`: the platform in a browser."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from shroff.cli.terminal import AsJson, err, show, steps
from shroff.settings import Settings


def console(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8090,
    log: Annotated[
        Literal["text", "json"],
        typer.Option(help="The log on standard error: readable, or one JSON object a line."),
    ] = "text",
    demo: Annotated[
        bool,
        typer.Option(
            "--demo", help="Live six simulated months into --folder first, and show those."
        ),
    ] = False,
    folder: Annotated[
        Path, typer.Option(help="The folder of --demo; one that is there is shown as it is.")
    ] = Path("demo") / "months",
    as_json: AsJson = False,
) -> None:
    """Show cases, payments, models, features, rules and lists in a browser, and act on them."""
    from shroff.telemetry.log import write_log

    write_log(log)
    with with_console():
        from shroff.console import serve_console

    def listening(url: str) -> None:
        if as_json:
            show({"url": url})
            sys.stdout.flush()
        else:
            err.print(f"The console is at {url}/ until Ctrl-C.", soft_wrap=True)

    settings = _months(folder, quiet=as_json) if demo else Settings.read()
    serve_console(settings, host=host, port=port, listening=listening)


def _months(folder: Path, *, quiet: bool) -> Settings:
    """The settings of six simulated months, which are lived now if the folder is empty."""
    from shroff.demo import USER, open_months

    with steps(quiet=quiet) as step:
        made = open_months(folder, progress=step)
    err.print(f"Sign in as {USER} with the password {made.password}", soft_wrap=True)
    return made.settings


@contextmanager
def with_console() -> Iterator[None]:
    """Import the console; where its libraries are missing, that in a sentence."""
    try:
        yield
    except ModuleNotFoundError as error:
        from shroff.errors import MissingExtra

        if (error.name or "").split(".")[0] not in ("litestar", "jinja2"):
            raise
        raise MissingExtra(
            f"the console needs {error.name}: run `pip install 'shroff[console]'`."
        ) from None
