"""`shroff publish`, `rollback`, `models`: the model in production."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shroff.cli.arguments import Note, Source
from shroff.cli.runs import recorded
from shroff.cli.terminal import (
    AsJson,
    broken_chain,
    operator,
    out,
    print_rows,
    show,
    typed_moment,
    visible,
)
from shroff.cli.tracking import To, mirrored_models
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.control.history import GateResult
    from shroff.control.models import Models
    from shroff.control.pointers import PointerMove, Role

app = typer.Typer(
    help="List models by stage; `history` shows every change with its author and reason."
)

_COLUMNS: Final = ("version", "model", "stage")

AcceptSchema = Annotated[
    bool,
    typer.Option(
        "--accept-schema",
        help="Publish although its schema differs from that of the model in production.",
    ),
]

OwnPolicy = Annotated[
    bool,
    typer.Option(
        "--own-policy", help="Use the policy it was packaged with, not the published one."
    ),
]


def publish(
    source: Source,
    shadow: Annotated[
        bool,
        typer.Option("--shadow", help="Compare it with the model in production, without deciding."),
    ] = False,
    own_policy: OwnPolicy = False,
    accept_schema: AcceptSchema = False,
    note: Note = None,
    as_json: AsJson = False,
) -> None:
    """Put a bundle into production; services that follow the models use it within seconds, without
    a restart.

    A published policy stays in force beside it: thresholds that it left open are chosen again.
    """
    from shroff.promotion import find_bundle  # imports Polars

    role: Role = "shadow" if shadow else "production"
    models = published()
    with mirrored_models():
        kept = models.publish(
            find_bundle(models, recorded(), source),
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
    with mirrored_models():
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
    """List models by stage: runs whose bundle was not published yet (research), the candidate in
    the shadow, the one in production, and those before; and every change.
    """
    if context.invoked_subcommand is not None:
        return
    kept = published()
    pointers, versions = kept.pointers, kept.versions
    rows = [
        *_researched(versions),
        *((one, kept.load(one).name, pointers.stage(one)) for one in versions),
    ]
    if as_json:
        show(
            {
                "production": pointers.production,
                "shadow": pointers.shadow,
                "policy": pointers.policy,
                "versions": versions,
                "stages": [dict(zip(_COLUMNS, row, strict=True)) for row in rows],
                "changes": _changes(kept),
            }
        )
        return
    print_rows([dict(zip(_COLUMNS, row, strict=True)) for row in rows], *_COLUMNS)
    _print_changes(pointers.changes)


@app.command()
def history(as_json: AsJson = False) -> None:
    """Show every change of the model in production: time, author, reason, and what gates found."""
    kept = published()
    if as_json:
        show({"changes": _changes(kept)})
    else:
        _print_changes(kept.pointers.changes)


@app.command()
def at(
    moment: Annotated[
        str,
        typer.Argument(
            help="A day (UTC), or a time such as 2026-03-01T12:00:00Z.", show_default=False
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Show what was in production at a moment, by which policy it decided, and the shadow."""
    from datetime import UTC, datetime

    when = datetime.fromtimestamp(typed_moment(moment) / 1e6, UTC)
    found = published().pointers.as_of(when)
    if as_json:
        show(found._asdict())
    elif found.production is None:
        out.print("No model was in production.")
    else:
        shadow = "" if found.shadow is None else f"; in the shadow: {found.shadow}"
        policy = "its own policy" if found.policy is None else f"the policy {found.policy}"
        out.print(
            f"Version {found.production} with {policy}, in production since {found.since}{shadow}.",
            soft_wrap=True,
            highlight=False,
        )


@app.command()
def verify(
    since: Annotated[
        str | None,
        typer.Option(
            help="A head noted earlier: the history must still have that change.",
            metavar="HEAD",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute the chain of the history; exit code 1 if a change was altered, removed or added."""
    from shroff.errors import BrokenChain
    from shroff.ledger import Noted

    noted = None if since is None else Noted.read(since)
    try:
        pointers = published().pointers
        if noted is not None:
            pointers.require_noted(*noted)
    except BrokenChain as error:
        raise broken_chain(error, as_json=as_json) from None
    if as_json:
        show({"holds": True, "changes": len(pointers.changes), "head": pointers.head})
    else:
        out.print(f"{len(pointers.changes):,} changes, each follows from the one before it.")
        out.print(
            f"Note its head elsewhere, for `--since` later: {pointers.head}",
            soft_wrap=True,
            highlight=False,
        )


@app.command()
def track(to: To = None, as_json: AsJson = False) -> None:
    """Send all published models to MLflow, as versions of one registered model, with its aliases
    `production` and `candidate`; what is there is not sent twice.
    """
    from shroff.tracking import Mirror

    mirror = Mirror.required(to)
    sent = mirror.send_models(everything=True)
    if as_json:
        show({"server": str(mirror), "versions": sent})
    else:
        many = f"{sent:,} version{'' if sent == 1 else 's'}"
        out.print(f"{mirror} has {many}, with their stages.", soft_wrap=True, highlight=False)


def _researched(versions: Sequence[str]) -> list[tuple[str, str, str]]:
    """Bundles that runs packaged and nobody published: version, detector and run."""
    from shroff.experiment import Runs

    records = Runs(Settings.read().home / "runs").scan()[0]
    packaged = {one.bundle["version"]: one for one in records if one.bundle}
    return [
        (version, f"{one.figures.get('best', '')}, run {one.run}", "research")
        for version, one in packaged.items()
        if version not in versions
    ]


def _print_changes(changes: Sequence[PointerMove]) -> None:
    for change in changes:
        none = "the model's own" if change.role == "policy" else "none"
        what = f"{change.action} {change.role} {change.version or none}"
        beside = (
            f" with policy {change.policy}" if change.role == "production" and change.policy else ""
        )
        forced = ", forced" if change.forced else ""
        why = "" if change.note is None else f": {visible(change.note)}"
        out.print(
            f"{change.at}  {what}{beside}, by {change.by or 'unknown'}{forced}{why}",
            soft_wrap=True,
            markup=False,
        )
        print_gates(change.gates, indent="    ")


def print_gates(gates: Sequence[GateResult], *, indent: str = "") -> None:
    """Print what gates found, one sentence each."""
    for one in gates:
        mark = "passed" if one.passed else "refused"
        out.print(
            visible(f"{indent}{one.gate}: {mark}: {one.sentence}"), soft_wrap=True, markup=False
        )


def _changes(kept: Models) -> list[dict[str, object]]:
    from msgspec.structs import asdict

    return [
        asdict(change) | {"gates": [asdict(gate) for gate in change.gates]}
        for change in kept.pointers.changes
    ]


def published() -> Models:
    """The published models, in the folder that the settings name."""
    from shroff.control.models import Models

    settings = Settings.read()
    return Models(settings.models, consent=settings.needs_consent("policy"))
