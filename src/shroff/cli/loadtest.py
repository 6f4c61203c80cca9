"""`shroff loadtest`: how fast a service answers payments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.table import Table

from shroff.cli.arguments import TABLE_FORMS, Join, table
from shroff.cli.terminal import AsJson, err, out, show, steps, visible
from shroff.location import Location
from shroff.settings import Settings

_OLDER: Final = "before the newest payment's"
"""What a service says of a payment that is too old."""


def loadtest(
    url: Annotated[
        str,
        typer.Argument(
            help="The service, such as http://127.0.0.1:8080; SHROFF_API_KEY has its key.",
            show_default=False,
        ),
    ],
    data: Annotated[
        Location | None, table("--data", f"Payments to send: {TABLE_FORMS}; else simulated ones.")
    ] = None,
    dialect: Annotated[
        Literal["rfc4180", "spark", "mysql"] | None,
        typer.Option(help="The CSV dialect of --data, if two dialects fit it.", show_default=False),
    ] = None,
    project: Annotated[
        Path | None,
        typer.Option(
            help="The project that says how messages, numbers and times of --data are read, and "
            "by which column --join joins.",
            show_default=False,
        ),
    ] = None,
    join: Join = None,
    requests: Annotated[int, typer.Option(help="Number of payments.", min=1)] = 20_000,
    parallel: Annotated[int, typer.Option(help="Number of connections.", min=1)] = 22,
    sequential: Annotated[
        bool, typer.Option("--sequential", help="Send payments one by one.")
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Payments a second, sent at fixed times (open loop); default: each connection "
            "sends its next payment when the last is answered.",
            show_default=False,
        ),
    ] = None,
    now: Annotated[
        bool,
        typer.Option(
            "--now",
            help="Move the payments of --data, in their order, into the day that ends now: a "
            "service refuses what is much older than the newest payment it knows.",
        ),
    ] = False,
    authority: Annotated[
        Path | None,
        typer.Option(
            "--tls-ca",
            help="For https: certificates (PEM) of the authority that signed the service's "
            "certificate.",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Print a histogram.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send payments to a service and print the times of its answers; exit code 1 if any failed."""
    from datetime import UTC, datetime

    from shroff.errors import ConfigurationError
    from shroff.loadtest import new_run, payments_from, run_load
    from shroff.project import load_project

    with steps(quiet=as_json) as step:
        step(f"read {data or 'simulated payments'}")
        if data is not None and data.messages is not None and project is None:
            raise ConfigurationError(
                f"{data}: expected the project that says how these messages are read: --project."
            )
        known = None if project is None else load_project(project)
        if join is not None and (data is None or known is None or known.join is None):
            raise ConfigurationError(
                f"--join {join}: expected --data with the payments, and --project with a project "
                "that names the column of both tables (`join=`)."
            )
        bodies = payments_from(
            url,
            data,
            requests=requests,
            run=new_run(),
            dialect=dialect,
            schema=None if known is None else known.schema,
            join=(join, known.join) if join and known and known.join else None,
            now=datetime.now(UTC) if now else None,
            authority=authority,
        )
        step(f"send {len(bodies):,} payments")
        key = Settings.read().api_key or None
        many = 1 if sequential else parallel
        result = run_load(url, bodies, key=key, parallel=many, rate=rate, authority=authority)
    summary = result.summary()
    if as_json:
        show(summary | ({"histogram": result.histogram()} if plot else {}))
    else:
        figures = {name: one for name, one in summary.items() if not isinstance(one, dict)}
        table = Table(*(name.replace("_", " ") for name in figures))
        table.add_row(
            *(
                "–" if one is None else f"{one:,.2f}" if isinstance(one, float) else f"{one:,}"
                for one in figures.values()
            )
        )
        out.print(table)
        for kind, failed in result.failures.items():
            said = visible(result.first.get(kind, "no answer"))
            err.print(f"failed with {kind}: {failed:,}; first: {said}", markup=False)
            if _OLDER in said and not now:
                err.print("`--now` moves the payments of a log into the day that ends now.")
        for low, high, answers in result.histogram() if plot else ():
            bar = "█" * round(60 * answers / len(result.milliseconds))
            out.print(f"{low:9.2f} – {high:9.2f} ms {answers:8,} {bar}", highlight=False)
    raise typer.Exit(1 if result.failed else 0)
