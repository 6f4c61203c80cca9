"""`shroff store`: what the feature store holds, and how it came there."""

from __future__ import annotations

from typing import Annotated

import typer

from shroff.cli.terminal import AsJson, out, print_rows, show, visible

app = typer.Typer(help="Look into the feature store (SHROFF_STORE).", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="NAME, or NAME@VERSION; by default the highest version.", show_default=False)]
Number = Annotated[
    int | None, typer.Option("--table-version", help="Of this write; by default the newest.", show_default=False)
]


@app.command(name="list")
def list_(as_json: AsJson = False) -> None:
    """List the groups."""
    from shroff.store import open_store

    store = open_store()
    groups = [
        {
            "name": one.name,
            "version": one.version,
            "owner": one.owner,
            "tags": list(one.tags),
            "columns": len(one.columns),
            "description": one.description,
        }
        for one in store.groups()
    ]
    if as_json:
        show({"store": store.root, "groups": groups})
    else:
        print_rows(groups, "group", "version", "owner", "tags", "columns", "description")


@app.command(name="show")
def show_(name: Name, as_json: AsJson = False) -> None:
    """Show a group: its columns with units, its newest version."""
    import msgspec

    from shroff.store import open_store
    from shroff.store.feature_store import split_name

    table = open_store().table(*split_name(name))
    versions = table.versions()
    newest = versions[0].to_dict() if versions else None
    if as_json:
        fingerprint = table.group.fingerprint()
        show({**msgspec.to_builtins(table.group), "fingerprint": fingerprint, "newest": newest})
        return
    group = table.group
    about = f"group {group.label}; key {', '.join(group.key)}, event time {group.time}, known at {group.known_at}"
    out.print(visible(about), soft_wrap=True, markup=False)
    for title, text in (("owner", group.owner), ("tags", ", ".join(group.tags)), ("", group.description)):
        if text:
            out.print(visible(f"{title}: {text}" if title else text), soft_wrap=True, markup=False)
    titles = ("column", "kind", "unit", "description")
    rows = [(column, one.kind, one.unit, one.description) for column, one in group.columns.items()]
    print_rows([dict(zip(titles, row, strict=True)) for row in rows], *titles)
    if newest is not None:
        out.print(f"version {newest['version']}, written {newest['written']}, {newest['rows']:,} rows in its batch.")


@app.command()
def history(name: Name, as_json: AsJson = False) -> None:
    """Show every write of a group, newest first."""
    from shroff.store import open_store
    from shroff.store.feature_store import split_name

    versions = [one.to_dict() for one in open_store().table(*split_name(name)).versions()]
    if as_json:
        show({"versions": versions})
    else:
        told = [one | {"batch": one["batch"] or "(all rows)", "content": one["content"][:12]} for one in versions]
        columns = ("version", "written", "batch", "rows", "content")
        print_rows([{column: one[column] for column in columns} for one in told], *columns)


@app.command()
def stats(name: Name, number: Number = None, as_json: AsJson = False) -> None:
    """Show the statistics of the rows that a write brought."""
    from shroff.store import open_store
    from shroff.store.feature_store import split_name
    from shroff.store.statistics import documents

    version = open_store().table(*split_name(name)).version(number)
    found = documents(version.statistics)
    if as_json:
        show({**version.to_dict(), "statistics": found})
        return
    out.print(f"version {version.number}: {version.rows:,} rows")
    quantiles = ("0.05", "0.5", "0.95")
    rows = []
    for column, one in version.statistics.items():
        shares = [one.quantiles.get(share) for share in quantiles]
        top = [f"{value} × {count:,}" for value, count in one.top[:3]]
        rows.append((column, one.nulls, one.distinct, one.min, *shares, one.max, top))
    titles = ("column", "nulls", "distinct", "min", "5 %", "median", "95 %", "max", "commonest")
    print_rows([dict(zip(titles, row, strict=True)) for row in rows], *titles)
