"""`shroff publish`, `rollback`, `models`: the model in production."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shroff.cli.arguments import Note
from shroff.cli.terminal import AsJson, operator, out, print_rows, show, visible
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.control.models import Models
    from shroff.control.pointers import PointerMove, Role

app = typer.Typer(
    help="List the published models; `history` shows every change with its author and reason."
)

_COLUMNS: Final = ("version", "model", "role")

AcceptSchema = Annotated[
    bool,
    typer.Option(
        "--accept-schema",
        help="Publish although its schema differs from that of the model in production.",
    ),
]


def publish(
    bundle: Annotated[Path, typer.Argument(help="A bundle.", show_default=False)],
    shadow: Annotated[
        bool,
        typer.Option("--shadow", help="Compare it with the model in production, without deciding."),
    ] = False,
    own_policy: Annotated[
        bool,
        typer.Option(
            "--own-policy", help="Use the policy it was packaged with, not the published one."
        ),
    ] = False,
    accept_schema: AcceptSchema = False,
    note: Note = None,
    as_json: AsJson = False,
) -> None:
    """Put a bundle into production; services that follow the models use it within seconds, without
    a restart.

    A published policy stays in force beside it: thresholds that it left open are chosen again.
    """
    role: Role = "shadow" if shadow else "production"
    models = published()
    kept = models.publish(
        bundle,
        role=role,
        by=operator(),
        note=note,
        accept_schema=accept_schema,
        own_policy=own_policy,
    )
    policy = models.pointers.policy
    if as_json:
        show({"version": kept.version, "name": kept.name, "role": role, "policy": policy})
    else:
        where = "the shadow" if shadow else role
        out.print(
            f"{kept.name}, version {kept.version}, is in {where}.", soft_wrap=True, markup=False
        )
        if policy is not None and not shadow:
            out.print(f"The published policy {policy} decides beside it.", soft_wrap=True)


def rollback(
    shadow: Annotated[bool, typer.Option("--shadow", help="Remove the shadow instead.")] = False,
    accept_schema: AcceptSchema = False,
    note: Note = None,
    as_json: AsJson = False,
) -> None:
    """Put the previous model back into production.

    A published policy stays in force if it fits; otherwise the one by which that model decided last
    is back.
    """
    models = published()
    if shadow:
        models.withdraw(by=operator(), note=note)
    else:
        models.rollback(by=operator(), note=note, accept_schema=accept_schema)
    now = models.pointers
    if as_json:
        show({"production": now.production, "shadow": now.shadow, "policy": now.policy})
    elif shadow:
        out.print("There is no shadow now.")
    else:
        beside = "its own policy" if now.policy is None else f"the published policy {now.policy}"
        out.print(
            f"Version {now.production} is in production again, with {beside}.", soft_wrap=True
        )


@app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: AsJson = False) -> None:
    """List the published models, and every change of the model in production."""
    if context.invoked_subcommand is not None:
        return
    kept = published()
    pointers = kept.pointers
    if as_json:
        show(
            {
                "production": pointers.production,
                "shadow": pointers.shadow,
                "policy": pointers.policy,
                "versions": kept.versions,
                "changes": _changes(kept),
            }
        )
        return
    roles = {pointers.production: "production", pointers.shadow: "shadow"}
    rows = [(version, kept.load(version).name, roles.get(version, "")) for version in kept.versions]
    print_rows([dict(zip(_COLUMNS, row, strict=True)) for row in rows], *_COLUMNS)
    _print_changes(pointers.changes)


@app.command()
def history(as_json: AsJson = False) -> None:
    """Show every change of the model in production: time, author and reason."""
    kept = published()
    if as_json:
        show({"changes": _changes(kept)})
    else:
        _print_changes(kept.pointers.changes)


def _print_changes(changes: Sequence[PointerMove]) -> None:
    for change in changes:
        what = f"{change.action} {change.role} {change.version or 'none'}"
        beside = (
            f" with policy {change.policy}" if change.role == "production" and change.policy else ""
        )
        why = "" if change.note is None else f": {visible(change.note)}"
        out.print(
            f"{change.at}  {what}{beside}, by {change.by or 'unknown'}{why}",
            soft_wrap=True,
            markup=False,
        )


def _changes(kept: Models) -> list[dict[str, object]]:
    from msgspec.structs import asdict

    return [asdict(change) for change in kept.pointers.changes]


def published() -> Models:
    """The published models, in the folder that the settings name."""
    from shroff.control.models import Models

    return Models(Settings.read().models)
