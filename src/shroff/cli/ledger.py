"""`shroff ledger` and `shroff replay`: prove the ledger, copy it, replay its decisions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.table import Table

from shroff.cli.arguments import require_payments, table
from shroff.cli.terminal import (
    OTHER_HISTORY_ADVICE,
    WARMED_ADVICE,
    AsJson,
    broken_chain,
    err,
    out,
    print_rows,
    show,
    steps,
    visible,
)
from shroff.location import Location
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.ledger import Head, Ledger

DecidingBundle = Annotated[
    Path | None,
    typer.Option(
        help="The bundle that decided; default: the published one of that version.",
        show_default=False,
    ),
]
WarmedLabels = Annotated[
    Location | None, table("--labels", "The labels given to `serve --warm-labels`.")
]
WarmedHistory = Annotated[Location | None, table("--data", "The history given to `serve --warm`.")]
WarmedMaxBad = Annotated[
    float, typer.Option("--max-bad", help="The same as for `serve`.", min=0, max=1)
]

app = typer.Typer(help="Prove that the ledger was not changed, and copy it.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Prove that the ledger was not changed, and copy it."""


@app.command()
def verify(
    since: Annotated[
        str | None,
        typer.Option(
            help="A head noted earlier: the ledger must still have that record and continue from "
            "it.",
            metavar="HEAD",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute the chain of records; exit code 1 if one was changed, removed, added or moved."""
    from shroff.errors import DataError
    from shroff.ledger import Ledger, Noted

    noted = None if since is None else Noted.read(since)
    ledger = Ledger(Settings.read().ledger)
    try:
        with steps(quiet=as_json) as step:
            step("recompute the chain")
            end = ledger.verify(since=noted)
    except DataError as error:
        raise broken_chain(error, as_json=as_json) from None
    if as_json:
        show({"holds": True, **_document(end)})
    else:
        out.print(f"{end.seq:,} records, each follows from the one before it.")
        out.print(
            f"Note its head elsewhere, for `--since` later: {end}", soft_wrap=True, highlight=False
        )


@app.command()
def head(as_json: AsJson = False) -> None:
    """Print the last record's number and chain value, to note for `verify --since`."""
    from shroff.ledger import Ledger

    end = Ledger(Settings.read().ledger).head()
    if as_json:
        show(_document(end))
    else:
        out.print(str(end), soft_wrap=True, highlight=False)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The file of the copy.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Copy a ledger in SQLite, also while a service writes it, and prove the copy."""
    from shroff.ledger import Ledger

    with steps(quiet=as_json) as step:
        step("copy the ledger and recompute the chain of the copy")
        end = Ledger(Settings.read().ledger).back_up(file)
    if as_json:
        show({"file": str(file), **_document(end)})
    else:
        out.print(
            f"{end.seq:,} records in {file}, each follows from the one before it.",
            soft_wrap=True,
            markup=False,
        )
        out.print(f"Its head: {end}", soft_wrap=True, highlight=False)


@app.command()
def subject(
    value: Annotated[
        str,
        typer.Argument(
            metavar="SUBJECT",
            help="The value of the schema's subject, raw; `-` reads it from standard input.",
            show_default=False,
        ),
    ],
    out_file: Annotated[
        Path, typer.Option("--out", help="The file to write, JSON Lines.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Write all that is held of a person: payments as they were decided, results, labels, cases
    with their notes, entries of lists and tables, rows of the store.
    """
    from shroff.cli.models import published
    from shroff.cli.store import named
    from shroff.collect.sources import written_whole
    from shroff.control import SubjectKeys
    from shroff.errors import ConfigurationError, NotFound
    from shroff.ledger import Keyring, Ledger
    from shroff.scoring.holdings import UNSEARCHED, Holdings
    from shroff.store import open_store

    if out_file.exists():
        raise ConfigurationError(
            f"expected the name of a new file for `--out`, got {out_file}, which is there already."
        )
    settings = Settings.read()
    keyring = Keyring(settings.hmac_key(), SubjectKeys(settings.control).periods())
    if not keyring.periods:
        raise ConfigurationError(
            "expected a ledger whose schema says whose a payment is (`Schema(subject=…)`), got one "
            "that has sealed nothing."
        )
    holdings = Holdings(
        Ledger(settings.ledger, keyring=keyring),
        settings.control,
        published(),
        open_store(),
        secret=settings.hmac_key(),
    )
    records, held = Counter[str](), Counter[str]()
    with steps(quiet=as_json) as step, written_whole(out_file, private=True) as file:
        step("look through ledger, cases, lists and store")
        for room, content in holdings.of(named(value)):
            if room == "ledger":
                records[content["kind"]] += 1
            held[room] += 1
            file.write(msgspec.json.encode({"held_in": room} | content) + b"\n")
        if not held:
            raise NotFound(
                "nothing of anybody with this value is held in ledger, cases, lists or store: "
                "nobody had it, or they were forgotten."
            )
    if as_json:
        show(
            {
                "file": str(out_file),
                "records": dict(records),
                "held_in": dict(held),
                "not_searched": UNSEARCHED,
            }
        )
        return
    kinds = ", ".join(f"{count:,} of the kind {kind}" for kind, count in records.items())
    rooms = ", ".join(f"{count:,} in {room}" for room, count in held.items() if room != "ledger")
    out.print(
        visible(
            f"{out_file}: records of this person in the ledger, {kinds or 'none'}; "
            f"elsewhere, {rooms or 'nothing'}."
        ),
        soft_wrap=True,
        markup=False,
    )
    out.print(f"Not searched: {'; '.join(UNSEARCHED)}.", soft_wrap=True, highlight=False)


@app.command()
def forgettings(as_json: AsJson = False) -> None:
    """List when records were forgotten, who asked for it, and how many; none says whose."""
    from shroff.ledger import Ledger
    from shroff.ledger.forgettings import forgettings as recorded

    rows: list[dict[str, Any]] = [
        {
            "record": one.seq,
            "at": one.of.at,
            "by": one.of.by,
            "records": one.of.records,
            "traces": one.of.traces,
            "chain": one.chain.hex(),
        }
        for one in recorded(Ledger(Settings.read().ledger))
    ]
    if as_json:
        show({"forgettings": rows})
    elif rows:
        print_rows(
            [
                row | {"records": [f"{count:,} {kind}" for kind, count in row["records"].items()]}
                for row in rows
            ],
            *rows[0],
        )
    else:
        out.print("The ledger has no record of a forgetting.")


def _document(end: Head) -> dict[str, Any]:
    return {"records": end.seq, "chain": end.chain.hex(), "head": str(end)}


def replay(
    payment: Annotated[str, typer.Argument(help="A payment id.", show_default=False)],
    bundle: DecidingBundle = None,
    data: WarmedHistory = None,
    labels: WarmedLabels = None,
    max_bad: WarmedMaxBad = 0.01,
    as_json: AsJson = False,
) -> None:
    """Replay a decision from the ledger and compare it to the bit; exit code 1 if it differs."""
    from dataclasses import asdict

    from shroff.control import reading_keyring
    from shroff.ledger import Ledger
    from shroff.monitor import replayer

    settings = Settings.read()
    require_payments(data, labels)
    ledger = Ledger(settings.ledger, keyring=reading_keyring(settings.control))
    say_lacking_history(ledger, data)
    with steps(quiet=as_json) as step:
        step(f"replay {payment}")
        found = replayer(settings, ledger, bundle, data, max_bad, labels=labels)(payment)
    if as_json:
        show(asdict(found) | {"holds": found.holds})
    else:
        table = Table(
            "",
            "as decided",
            "replayed",
            title=f"Payment {payment}, decided by {found.model}, policy {found.policy}",
        )
        for line in found.lines:
            mark = "" if line.equal else "  ← differs"
            table.add_row(line.name, _cell(line.decided), _cell(line.replayed) + mark)
        out.print(table)
        out.print("Equal to the bit." if found.holds else "Not equal.")
        if not found.holds:
            out.print(WARMED_ADVICE if data is None else OTHER_HISTORY_ADVICE)
        if found.lacking:
            out.print(
                f"{found.lacking:,} earlier payments were forgotten without a trace: features that "
                "counted them differ."
            )
    raise typer.Exit(0 if found.holds else 1)


def say_lacking_history(ledger: Ledger, data: Location | None) -> None:
    """Say that replays differ where a service knew a history that they are not given."""
    from shroff.scoring.start import stored_start

    start = stored_start(ledger.last_start())
    past = None if start is None else start.history or start.lost
    if data is None and past is not None:
        err.print(
            f"The service knew {past.rows:,} payments of history (`serve --warm`), and this replay "
            "does not: pass them with `--data`, or features that reach back to them differ.",
            soft_wrap=True,
        )


def _cell(value: object) -> str:
    if isinstance(value, tuple):
        return "; ".join(map(str, value)) or "none"
    if isinstance(value, msgspec.Struct):  # expected costs
        parts = msgspec.structs.asdict(value).items()
        return "\n".join(f"{name} {part}" for name, part in parts if part is not None)
    return "none" if value is None else str(value)
