"""`shroff serve`: payments decided over HTTP."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shroff.cli.arguments import AcceptBroken, Lateness, MaxBad, Warm, WarmLabels, require_payments
from shroff.cli.as_json import AsJson, show
from shroff.lazy import without_collection
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.serve.server import Mount
from shroff.sandbox import begin


def serve(
    bundle: Annotated[
        Path | None,
        typer.Argument(
            help="A bundle; by default what `shroff publish` put into production.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8080,
    warm: Warm = None,
    warm_labels: WarmLabels = None,
    lateness: Lateness = "1d",
    max_bad: MaxBad = 0.01,
    accept_broken_chain: AcceptBroken = False,
    without_keys: Annotated[
        bool,
        typer.Option("--without-keys", help="Answer requests without an API key: for trials only."),
    ] = False,
    tls_certificate: Annotated[
        Path | None,
        typer.Option(
            help="Certificate chain for TLS (.pem); a renewed one is followed.", show_default=False
        ),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="Private key of the certificate (.pem).", show_default=False)
    ] = None,
    log: Annotated[
        Literal["text", "json"],
        typer.Option(help="The log on standard error: readable, or one JSON object a line."),
    ] = "text",
    workers: Annotated[
        int,
        typer.Option(
            help="Processes; several need SHROFF_STATE=redis://… and a PostgreSQL ledger.", min=1
        ),
    ] = 1,
    awake: Annotated[
        bool,
        typer.Option(
            "--awake",
            help="Keep the machine's cores from sleeping between payments: quicker answers. Needs "
            "write access to /dev/cpu_dma_latency.",
        ),
    ] = False,
    console: Annotated[
        bool,
        typer.Option("--console", help="Serve the console too, at /console; see `shroff console`."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Decide payments over HTTP by a bundle."""
    require_payments(warm, warm_labels, flag="--warm")
    begin()
    with without_collection(forever=True):
        from shroff.kafka.figures import without_topics
        from shroff.serve.certificate import Certificate
        from shroff.serve.server import Service
        from shroff.serve.server import serve as run
        from shroff.telemetry.log import say_listening, write_log

    write_log(log)

    def listening(url: str) -> None:
        if as_json:
            show({"url": url, "ready": f"{url}/health/ready"})
            sys.stdout.flush()
        if log == "json":
            say_listening(url)
        elif not as_json:
            # without Rich, whose import takes longer than all else that a start prints
            sys.stderr.write(f"shroff listens on {url}; ready when {url}/health/ready says so.\n")

    service = Service(
        bundle=bundle,
        warm=warm,
        warm_labels=warm_labels,
        max_bad=max_bad,
        lateness=lateness,
        keys=not without_keys,
        accept_broken_chain=accept_broken_chain,
        tls=None if tls_certificate is None else Certificate(tls_certificate, tls_key),
        log=log,
        figures=(without_topics,),
        mounts=_console(host, workers) if console else {},
    )
    run(service, host=host, port=port, workers=workers, awake=awake, listening=listening)


def _console(host: str, workers: int) -> Mapping[str, Mount]:
    if workers > 1:
        from shroff.errors import ConfigurationError

        # jobs, measurements and the one replay at a time are of a process
        raise ConfigurationError(
            f"expected one process with --console, got --workers {workers}: run `shroff console` "
            "beside the service."
        )
    from shroff.cli.console import with_console

    with with_console():
        from shroff.console import ConsoleBackend
        from shroff.console.mounted import MOUNT, mounted_console
        from shroff.console.server import require_users

    require_users(ConsoleBackend(Settings.read()), host)
    return {MOUNT: mounted_console}
