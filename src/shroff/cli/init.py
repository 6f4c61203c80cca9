"""`shroff init`: a first project for a log of one's own."""

from __future__ import annotations

import os
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shroff.cli.arguments import Data
from shroff.cli.terminal import AsJson, out, print_dropped, print_notices, print_rows, show, steps
from shroff.errors import ConfigurationError
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.collect.roles import Role


def _given(role: str) -> Any:
    text = f"The column that is the {role}, where the guess would be another."
    return typer.Option(f"--{role}", help=text, metavar="COLUMN", show_default=False)


def init(
    data: Data,
    output: Annotated[Path, typer.Option("--out", help="The file to write.")] = Path("project.py"),
    id_: Annotated[str | None, _given("id")] = None,
    time: Annotated[str | None, _given("time")] = None,
    amount: Annotated[str | None, _given("amount")] = None,
    label: Annotated[str | None, _given("label")] = None,
    currency: Annotated[str, typer.Option(help="The currency of amounts that name none.")] = "EUR",
    as_json: AsJson = False,
) -> None:
    """Write a project for a log from the log's own columns, each guess with its reason."""
    from shroff.pipeline.starter import start_project

    if os.path.lexists(output):
        raise ConfigurationError(
            f"{output}: expected a file that is not there yet; choose another with --out."
        )
    with steps(quiet=as_json) as step:
        step(f"look at {data}")
        key = Settings.read().hmac_key()
        given: dict[Role, str | None] = {"id": id_, "time": time, "amount": amount, "label": label}
        start = start_project(data, output, key=key, given=given, currency=currency)
    cleaned, roles = start.cleaned, start.roles
    columns = [guess._asdict() for guess in roles.guesses]
    notices = cleaned.notices(start.project.schema)
    if as_json:
        show(
            {
                "file": str(output),
                "columns": columns,
                "rows": cleaned.rows,
                "kept": len(cleaned.frame),
                "dropped": cleaned.dropped,
                "notices": notices,
            }
        )
        return
    print_rows(columns, "column", "role", "because of")
    out.print(
        f"{output}: of the first {cleaned.rows:,} rows {len(cleaned.frame):,} can be used.",
        soft_wrap=True,
    )
    print_dropped(cleaned.dropped, cleaned.first)
    print_notices(notices)
    labels = ""
    if not roles.of("label") and data.messages is None:
        out.print(
            "No column says which payments were fraud, which `shroff train` needs: name one with "
            "--label, or join the file that says it first (docs/howto/own-data.md shows how).",
            soft_wrap=True,
        )
    elif data.messages is not None:
        labels = " --labels labels.csv"
        out.print(
            "Messages do not say what was fraud: name label= and labelled_at=, pass --labels."
        )
    if cleaned.dropped and cleaned.frame.is_empty():
        # the reasons stand above among much else, and nothing can be trained before
        why = max(cleaned.dropped, key=lambda reason: cleaned.dropped[reason])
        out.print(f"No row can be used: {why}.", soft_wrap=True, markup=False)
        out.print(f"Correct this in {output} or in the log first, then run:", soft_wrap=True)
    else:
        out.print(f"Read and correct {output}, then run:")
    command = f"shroff train {output} --data {quote(str(data))}{labels} --bundle bundle"
    out.print(f"  {command}", soft_wrap=True, markup=False)
