"""`shroff ledger` and `shroff replay`: what was decided, proved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from shroff.cli.terminal import WARMED, AsJson, err, out, show, steps
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.package import Bundle

app = typer.Typer(help="Prove what the ledger holds.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Prove what the ledger holds."""


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Recompute the chain of records; exit code 1 when one was changed, removed, added or moved."""
    from shroff.errors import DataError
    from shroff.serve.ledger import Ledger

    ledger = Ledger(Settings.read().ledger)
    try:
        with steps(quiet=as_json) as step:
            step("recompute the chain")
            end = ledger.verify()
    except DataError as error:
        if as_json:
            show({"holds": False, "problem": str(error)})
        else:
            err.print(str(error), soft_wrap=True, markup=False)
        raise typer.Exit(1) from None
    if as_json:
        show({"holds": True, "records": end.seq, "chain": end.chain.hex()})
    else:
        out.print(f"{end.seq:,} records, each follows from the one before it.")
        out.print(f"Keep the last chain value elsewhere: {end.chain.hex()}", soft_wrap=True)


def replay(
    payment: Annotated[str, typer.Argument(help="A payment id.", show_default=False)],
    bundle: Annotated[
        Path | None,
        typer.Option(help="The bundle that decided; default: the published one of that version.", show_default=False),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="The history that `serve --warm` was given.", show_default=False)
    ] = None,
    max_bad: Annotated[float, typer.Option("--max-bad", help="As it was given to `serve`.", min=0, max=1)] = 0.01,
    as_json: AsJson = False,
) -> None:
    """Make a decision again from the ledger and compare it to the bit; exit code 1 on a difference."""
    from dataclasses import asdict

    from shroff.decide.models import Models
    from shroff.monitor import replay_decision
    from shroff.package import load
    from shroff.serve.control import Lists, StoredRates
    from shroff.serve.ledger import Ledger
    from shroff.serve.server import history_of

    settings = Settings.read()
    models = Models(settings.models)

    def decided_by(version: str) -> Bundle:
        return models.load(version) if bundle is None else load(bundle)

    with steps(quiet=as_json) as step:
        step(f"replay {payment}")
        found = replay_decision(
            payment,
            Ledger(settings.ledger),
            decided_by,
            policies=models.policy,
            edits=Lists(settings.control).edits,
            replacements=StoredRates(settings.control).replacements,
            history=lambda used: None if data is None else history_of(used, data, settings.hmac_key(), max_bad),
        )
    if as_json:
        show(asdict(found) | {"holds": found.holds})
    else:
        table = Table(
            "", "as decided", "replayed", title=f"Payment {payment}, decided by {found.model}, policy {found.policy}"
        )
        for line in found.lines:
            mark = "" if line.equal else "  ← differs"
            table.add_row(line.name, _cell(line.decided), _cell(line.replayed) + mark)
        out.print(table)
        out.print("Equal to the bit." if found.holds else "Not equal.")
        if not found.holds and data is None:
            out.print(WARMED)
    raise typer.Exit(0 if found.holds else 1)


def _cell(value: object) -> str:
    if isinstance(value, tuple):
        return "; ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
