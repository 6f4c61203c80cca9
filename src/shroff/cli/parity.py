"""`shroff parity`: the same features from every engine, compared to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table

from shroff.cli.arguments import TABLE_FORMS, Join, Labels, MaxBad, require_payments, table
from shroff.cli.terminal import WARMED_ADVICE, AsJson, out, show, steps
from shroff.location import Location
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.monitor import Parity

_MAX_SHOWN: Final = 50
"""The latest payments of a window, so many of which are printed."""


def parity(
    project: Annotated[
        Path, typer.Argument(help="A project, or with --ledger a bundle.", show_default=False)
    ],
    data: Annotated[Location | None, table("--data", f"Payments: {TABLE_FORMS}.")] = None,
    payments: Annotated[
        int | None, typer.Option(help="Use only the first payments to arrive, this many.", min=1)
    ] = None,
    spark: Annotated[
        str | None,
        typer.Option(
            help="Compare Spark too, at this master, such as local[2].", show_default=False
        ),
    ] = None,
    ledger: Annotated[
        bool,
        typer.Option(
            "--ledger", help="Recompute the ledger's decisions; --data is the --warm history."
        ),
    ] = False,
    join: Join = None,
    labels: Labels = None,
    max_bad: MaxBad = 0.01,
    as_json: AsJson = False,
) -> None:
    """Compute features by batch and by the other engines, compare to the bit; exit code 1 on a
    difference.

    Payments one at a time in memory, in Redis where SHROFF_STATE names a server, and on Spark where
    asked.
    """
    from dataclasses import asdict

    from shroff.control import reading_keyring
    from shroff.errors import ConfigurationError
    from shroff.ledger import Ledger
    from shroff.monitor import engine_parity, ledger_parity
    from shroff.package import load
    from shroff.pipeline import collect_table
    from shroff.project import load_project
    from shroff.scoring.history import history_of

    settings = Settings.read()
    if data is None and not ledger:
        raise ConfigurationError("expected payments with --data FILE, or --ledger with a bundle.")
    require_payments(data, labels)
    with steps(quiet=as_json) as step:
        if ledger:
            bundle = load(project)
            step("recompute the decisions of the ledger")
            history = (
                None
                if data is None
                else history_of(bundle, data, settings.hmac_key(), max_bad, labels=labels)
            )
            kept = Ledger(settings.ledger, keyring=reading_keyring(settings.control))
            found = [ledger_parity(bundle, kept.records(), history=history)]
        elif data is not None:
            loaded = load_project(project)
            step(f"read and clean {data}")
            key = settings.hmac_key()
            frame = collect_table(
                loaded, data, key=key, join=join, labels=labels, max_bad=max_bad, count=step.count
            ).frame
            step("compute features by every engine")
            redis = None if settings.state == "memory" else settings.state
            found = engine_parity(
                loaded.features, frame[:payments], loaded.plan, redis=redis, spark=spark
            )
    holds = all(one.holds for one in found)
    if as_json:
        show({"holds": holds, "comparisons": [asdict(one) for one in found]})
    else:
        for one in found:
            _print_parity(one)
            if one.lacking:
                out.print(
                    f"{one.lacking:,} payments were forgotten without a trace: features that "
                    "counted them differ."
                )
        if ledger and not holds and data is None:
            out.print(WARMED_ADVICE)
    raise typer.Exit(0 if holds else 1)


def _print_parity(found: Parity) -> None:
    table = Table(
        "Feature", "equal", "different", title=f"{found.left} against {found.right}, to the bit"
    )
    for name, different in found.different.items():
        table.add_row(name, f"{found.payments - different:,}", f"{different:,}")
    out.print(table)
    first = found.first
    if first is None:
        return
    out.print(
        f"First difference: payment {first.payment}, {first.feature} is {first.left} in "
        f"{found.left} and {first.right} in {found.right}.",
        soft_wrap=True,
    )
    if first.events is not None:
        shown = ", ".join(first.events[-_MAX_SHOWN:]) or "nothing"
        rest = len(first.events) - _MAX_SHOWN
        more = f" and {rest:,} before them" if rest > 0 else ""
        out.print(f"In its window by the law: {shown}{more}.", soft_wrap=True)
