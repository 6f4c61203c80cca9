"""`shroff publish`, `rollback`, `models`: which model decides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from shroff.cli.terminal import AsJson, out, show
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.package import Models
    from shroff.package.models import Role


def publish(
    bundle: Annotated[Path, typer.Argument(help="A bundle.", show_default=False)],
    shadow: Annotated[bool, typer.Option("--shadow", help="Only compare it with the model in production.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put a bundle into production; services that follow the models use it within seconds, without a restart."""
    role: Role = "shadow" if shadow else "production"
    kept = _models().publish(bundle, role=role)
    if as_json:
        show({"version": kept.version, "name": kept.name, "role": role})
    else:
        where = "the shadow" if shadow else role
        out.print(f"{kept.name}, version {kept.version}, is in {where}.", soft_wrap=True)


def rollback(
    shadow: Annotated[bool, typer.Option("--shadow", help="Take the shadow away instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put the model into production that was there before."""
    models = _models()
    if shadow:
        models.withdraw()
    version = None if shadow else models.rollback()
    if as_json:
        show({"production": models.pointers.production, "shadow": models.pointers.shadow})
    else:
        out.print("There is no shadow now." if version is None else f"Version {version} is in production again.")


def models(as_json: AsJson = False) -> None:
    """List the published models, and every change of what decides."""
    kept = _models()
    pointers = kept.pointers
    roles = {pointers.production: "production", pointers.shadow: "shadow"}
    if as_json:
        changes = [
            {"at": change.at, "role": change.role, "action": change.action, "version": change.version}
            for change in pointers.changes
        ]
        show(
            {
                "production": pointers.production,
                "shadow": pointers.shadow,
                "versions": kept.versions,
                "changes": changes,
            }
        )
        return
    table = Table("version", "model", "role")
    for version in kept.versions:
        table.add_row(version, kept.load(version).name, roles.get(version, ""))
    out.print(table)
    for change in pointers.changes:
        out.print(f"{change.at}  {change.action} {change.role}: {change.version or 'none'}", soft_wrap=True)


def _models() -> Models:
    from shroff.package import Models

    return Models(Settings.read().models)
