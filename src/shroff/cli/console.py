"""`shroff console`: the platform in a browser."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import typer

from shroff.cli.terminal import AsJson, err, show
from shroff.settings import Settings


def console(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8090,
    log: Annotated[
        Literal["text", "json"],
        typer.Option(help="The log on standard error: readable, or one JSON object a line."),
    ] = "text",
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

    serve_console(Settings.read(), host=host, port=port, listening=listening)


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
