"""`shroff keys`: the API keys of the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from shroff.cli.access import print_access
from shroff.cli.terminal import AsJson, err, moment, operator, out, print_rows, show
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.control import Keys

app = typer.Typer(help="Make, list and revoke the API keys of the service.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[
        str,
        typer.Argument(help="The name of its holder; shown in lists and logs.", show_default=False),
    ],
    scope: Annotated[
        list[str],
        typer.Option(
            help="decide, label, read, review, forget or admin; repeatable.", show_default=False
        ),
    ],
    expires: Annotated[
        str | None,
        typer.Option(help="Its lifetime, such as 90d; default: no end.", show_default=False),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            help="The most requests a second; each payment of a batch counts as one; default: no "
            "limit.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="The source recorded with its labels, such as chargeback or analyst; default: its "
            "name.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it once: only its hash is stored."""
    from shroff.features.window import micros

    lifetime = None if expires is None else micros(expires)
    token = _keys().create(
        name,
        scope,  # type: ignore[arg-type]  # checked there
        lifetime=lifetime,
        rate=rate,
        source=source,
        by=operator(),
    )
    if as_json:
        show({"key": token})
    else:
        err.print("Keep this key: it is not shown again.")
        out.print(token, soft_wrap=True, highlight=False)


@app.command("list")
def show_all(as_json: AsJson = False) -> None:
    """List all keys with their scopes and states."""
    from shroff.clock import system_time

    now = system_time()
    rows = [
        {
            "id": key.id,
            "name": key.name,
            "scopes": sorted(key.scopes),
            "state": key.state(now),
            "created": moment(key.created),
            "expires": moment(key.expires),
            "rate": key.rate,
            "source": key.label_source,
        }
        for key in _keys().all()
    ]
    if as_json:
        show({"keys": rows})
        return
    print_rows(rows, "id", "name", "scopes", "state", "created", "expires", "rate", "source")


@app.command()
def revoke(
    key: Annotated[
        str, typer.Argument(help="The id that `shroff keys list` shows.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Revoke a key for good; running services notice within seconds."""
    _keys().revoke(key, by=operator())
    if as_json:
        show({"revoked": key})
    else:
        out.print(f"{key} is revoked.")


@app.command()
def history(as_json: AsJson = False) -> None:
    """Show who made and revoked keys, and when; fails if the history was changed."""
    print_access("keys", as_json)


def _keys() -> Keys:
    from shroff.control import Keys

    return Keys(Settings.read().control)
