"""`shroff tables`: the reference tables of payments, replaced while the service runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shroff.cli.arguments import Note
from shroff.cli.models import published
from shroff.cli.terminal import AsJson, moment, operator, out, print_rows, show
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff import ReferenceTable
    from shroff.control import Replacement, ReplacementRecord, StoredTables

app = typer.Typer(
    help="Show and replace the reference tables that payments are looked up in; services follow "
    "within seconds.",
    no_args_is_help=True,
)

OfBundle = Annotated[
    Path | None,
    typer.Option(
        "--bundle",
        help="The bundle with the tables; default: the model in production.",
        show_default=False,
    ),
]
Name = Annotated[str, typer.Argument(help="The name of a table.", show_default=False)]


@app.command("show")
def show_tables(bundle: OfBundle = None, as_json: AsJson = False) -> None:
    """Show the tables that payments are looked up in now."""
    from shroff.control import in_force

    own, stored = _own(bundle), _stored()
    tables = in_force({one.name: stored.table(one) for one in stored.latest()}, own)
    rows = [
        {
            "name": table.name,
            "mark": table.mark,
            "rows": table.rows,
            "key": table.key,
            "columns": ", ".join(table.values),
            "replaced": table not in own,
        }
        for table in tables
    ]
    if as_json:
        show({"tables": rows})
        return
    print_rows(rows, "name", "mark", "rows", "key", "columns", "replaced")


@app.command()
def replace(
    name: Name,
    file: Annotated[
        Path, typer.Argument(help="CSV or Parquet, with the columns it had.", show_default=False)
    ],
    note: Note = None,
    bundle: OfBundle = None,
    as_json: AsJson = False,
) -> None:
    """Look payments up in a file in place of a table from now on; past decisions stay."""
    from shroff import ReferenceTable
    from shroff.collect.tables import fits
    from shroff.errors import BadFile

    own = _named(name, _own(bundle))
    table = ReferenceTable.read(file, key=own.key, numeric=own.numeric, name=own.name)
    if not fits(table, own):
        wanted = ", ".join(f"`{column}`" for column in own.values)
        raise BadFile(
            f"{file}: expected the columns that the table `{name}` has, {wanted}, found not all of "
            "them."
        )
    _print(_stored().replace(table, by=operator(), note=note, name=name), as_json)


@app.command()
def reset(name: Name, note: Note = None, bundle: OfBundle = None, as_json: AsJson = False) -> None:
    """Look payments up in the bundle's own table again."""
    own = _named(name, _own(bundle))
    _print(_stored().replace(None, by=operator(), note=note, name=own.name), as_json)


@app.command()
def history(as_json: AsJson = False) -> None:
    """Show every replacement of a table with its author."""
    rows = [_told(one) for one in _stored().records()]
    if as_json:
        show({"replacements": rows})
        return
    print_rows(rows, "id", "name", "mark", "rows", "note", "by", "at")


def _own(folder: Path | None) -> tuple[ReferenceTable, ...]:
    from shroff.errors import ConfigurationError
    from shroff.package import load

    bundle = published().production() if folder is None else load(folder)
    if not bundle.schema.tables:
        raise ConfigurationError(
            f"the model {bundle.version} looks nothing up: declare tables with Schema(tables=[…]) "
            "and train again."
        )
    return tuple(bundle.schema.tables)


def _named(name: str, tables: tuple[ReferenceTable, ...]) -> ReferenceTable:
    from shroff.errors import NotFound, did_you_mean

    for table in tables:
        if table.name == name:
            return table
    names = [table.name for table in tables]
    raise NotFound(
        f"there is no table `{name}`"
        f"{did_you_mean(name, names) or '; there are ' + ', '.join(names) + '.'}"
    )


def _stored() -> StoredTables:
    from shroff.control import StoredTables

    return StoredTables(Settings.read().control)


def _print(made: Replacement[ReferenceTable], as_json: bool) -> None:
    if as_json:
        show(_told(made.record))
        return
    what = (
        f"the bundle's own table `{made.name}` again"
        if made.table is None
        else f"table marked {made.table.mark}"
    )
    out.print(f"{what}, replacement {made.id}.", soft_wrap=True)


def _told(made: ReplacementRecord) -> dict[str, object]:
    return {
        "id": made.id,
        "name": made.name,
        "mark": made.mark,
        "rows": made.rows or 0,
        "note": made.note,
        "by": made.made_by,
        "at": moment(made.made_at),
    }
