"""`shroff store`: what the feature store holds, how it came there, and what goes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from shroff.cli.datasets import create, print_dataset, release, verify
from shroff.cli.runs import recorded
from shroff.cli.terminal import AsJson, out, print_rows, show, visible
from shroff.errors import NotFound, did_you_mean
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.store import FeatureStore, GroupTable, TrainingData
    from shroff.store.erase import Erasure

app = typer.Typer(
    help="The feature store (SHROFF_STORE): groups and training datasets.", no_args_is_help=True
)

Name = Annotated[
    str,
    typer.Argument(
        help="NAME, or NAME@VERSION; by default the highest version.", show_default=False
    ),
]
Number = Annotated[
    int | None,
    typer.Option(
        "--table-version", help="Of this write; by default the newest.", show_default=False
    ),
]


@app.command(name="list")
def list_(as_json: AsJson = False) -> None:
    """List the groups and the training datasets."""
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
    datasets = [
        {
            "name": one.name,
            "version": one.version,
            "made": one.made.isoformat(timespec="seconds"),
            "rows": one.manifest.rows,
            "content": one.manifest.content,
            "description": one.manifest.definition.description,
        }
        for one in store.datasets()
    ]
    if as_json:
        show({"store": store.root, "groups": groups, "datasets": datasets})
        return
    print_rows(groups, "group", "version", "owner", "tags", "columns", "description")
    if datasets:
        rows = [one | {"content": str(one["content"])[:12]} for one in datasets]
        print_rows(rows, "training dataset", "version", "made", "rows", "content", "description")


@app.command(name="show")
def show_(name: Name, as_json: AsJson = False) -> None:
    """Show a group, or a training dataset with what it was made of and what was left out."""
    from shroff.store import open_store

    found = _named(open_store(), name)
    document = found.to_dict()
    if as_json:
        show(document)
        return
    group = document["group"]
    out.print(
        visible(f"{document['name']}, version {document['version']}"), soft_wrap=True, markup=False
    )
    times = (
        f"key {', '.join(group['key'])}, event time {group['time']}, arrival "
        f"{group.get('arrival') or group['time']}"
    )
    out.print(visible(times), soft_wrap=True, markup=False)
    for word in ("owner", "description"):
        if text := (document.get("definition") or group).get(word):
            out.print(visible(f"{word}: {text}"), soft_wrap=True, markup=False)
    if "lineage" in document:
        print_dataset(document)
    titles = ("column", "kind", "unit", "from", "description")
    origin = document.get("origin", {})
    rows = [
        (column, one["kind"], one.get("unit"), origin.get(column), one.get("description"))
        for column, one in group["columns"].items()
    ]
    print_rows([dict(zip(titles, row, strict=True)) for row in rows], *titles)
    if newest := document.get("newest"):
        out.print(
            f"version {newest['version']}, written {newest['written']}, {newest['rows']:,} rows in "
            "its batch."
        )


@app.command()
def history(name: Name, as_json: AsJson = False) -> None:
    """Show every write of a group, newest first."""
    from shroff.store import open_store
    from shroff.store.names import split_name

    versions = [one.to_dict() for one in open_store().table(*split_name(name)).versions()]
    if as_json:
        show({"versions": versions})
    else:
        rows = [
            one | {"batch": one["batch"] or "(all rows)", "content": one["content"][:12]}
            for one in versions
        ]
        columns = ("version", "delta", "written", "batch", "rows", "content")
        print_rows([{column: one[column] for column in columns} for one in rows], *columns)


@app.command()
def stats(name: Name, number: Number = None, as_json: AsJson = False) -> None:
    """Show the statistics of the rows that a write brought, or of a training dataset."""
    from shroff.store import GroupTable, open_store
    from shroff.store.statistics import documents

    found = _named(open_store(), name)
    version = (found if isinstance(found, GroupTable) else found.table).version(number)
    if as_json:
        show({**version.to_dict(), "statistics": documents(version.statistics)})
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


@app.command()
def diff(
    name: Name,
    before: Annotated[
        int, typer.Argument(help="Of a group a table version, of a dataset its version.")
    ],
    after: Annotated[int, typer.Argument(help="The same, of what it is compared with.")],
    as_json: AsJson = False,
) -> None:
    """Show how two versions differ: rows that came and went, values that changed."""
    import msgspec

    from shroff.store import open_store
    from shroff.store.names import split_name

    word, version = split_name(name)
    found = open_store().diff(word, before, after, version=version)
    if as_json:
        show(msgspec.to_builtins(found))
        return
    out.print(f"{found.added:,} rows came, {found.removed:,} went.")
    for column, count in found.changed.items():
        out.print(f"{visible(column)}: {count:,} values changed", markup=False, highlight=False)
    for what, columns in (("new", found.new_columns), ("gone", found.gone_columns)):
        for column in columns:
            out.print(visible(f"{column}: {what}"), markup=False, highlight=False)


app.command()(create)
app.command()(verify)


@app.command()
def vacuum(
    name: Name,
    hours: Annotated[
        int, typer.Option(help="Keep what is younger, for those who read or write now.", min=0)
    ] = 168,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many files would go.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove files that only old versions of a group need, unless a dataset was made of them."""
    from shroff.store import open_store
    from shroff.store.names import split_name

    gone = open_store().vacuum(*split_name(name), hours=hours, dry_run=dry_run)
    if as_json:
        show({"files": len(gone), "removed": not dry_run})
    else:
        out.print(f"{len(gone):,} files {'would go' if dry_run else 'are gone'}.")


@app.command()
def delete(
    name: Annotated[
        str,
        typer.Argument(help="NAME@VERSION of a group or a training dataset.", show_default=False),
    ],
    as_json: AsJson = False,
) -> None:
    """Delete a version of a group or a training dataset with all its rows; refused where another
    was made of it.
    """
    from shroff.errors import ConfigurationError
    from shroff.store import open_store
    from shroff.store.names import split_name

    word, version = split_name(name)
    if version is None:
        raise ConfigurationError("expected NAME@VERSION, so that it is clear which one is deleted.")
    open_store().delete(word, version)
    if as_json:
        show({"deleted": name})
    else:
        out.print(visible(f"{name} is deleted."), markup=False)


app.command()(release)


@app.command()
def forget(
    subject: Annotated[
        str,
        typer.Argument(
            help="The value, raw; `-` reads it from standard input.", show_default=False
        ),
    ],
    column: Annotated[
        str, typer.Option(help="The column that it is in, such as card_id.", show_default=False)
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget a person: gone from all versions of all groups, from datasets and statistics. What
    stays names nobody.

    Also rows of groups keyed as one of theirs, such as the features of their payments. A personal
    column is looked through for the value's token.
    """
    import msgspec

    from shroff.collect.personal import forms
    from shroff.store import open_store

    values = forms(named(subject), Settings.read().hmac_key())
    found = open_store().forget(column, values, dry_run=dry_run)
    if as_json:
        show(msgspec.to_builtins(found) | {"bundles_of_logs": bundles_of_logs()})
    else:
        print_erasure(found, dry_run=dry_run)


def named(subject: str) -> str:
    """The value that an argument gives; `-` is the first line of standard input."""
    return sys.stdin.readline().rstrip("\r\n") if subject == "-" else subject


def bundles_of_logs() -> list[str]:
    """The bundles that learned from a log: whose payments it had, nobody knows any more."""
    return [
        one.bundle["version"]
        for one in recorded().all()
        if one.bundle is not None and "dataset" not in one.inputs
    ]


def print_erasure(found: Erasure, *, dry_run: bool) -> None:
    """Print what went from the store, and what learned from it."""
    would = "would go" if dry_run else "are gone"
    for what, counts in (
        ("rows of group", found.groups),
        ("payments of training dataset", found.datasets),
    ):
        for name, count in counts.items():
            out.print(f"{count:,} {what} {name} {would}.", highlight=False)
    if not found.groups:
        out.print("Nobody with this value is in the store.")
    for bundle in found.bundles:
        out.print(f"Bundle {bundle} learned from them: train it again.", highlight=False)
    for bundle in bundles_of_logs():
        out.print(
            f"Bundle {bundle} learned from a log, and so perhaps from them: take them out of the "
            "log and train it again.",
            soft_wrap=True,
            highlight=False,
        )


def _named(store: FeatureStore, text: str) -> GroupTable | TrainingData:
    """The dataset of a name, or the group."""
    from shroff.store.names import split_name

    name, version = split_name(text)
    datasets, groups = {one.name for one in store.datasets()}, {one.name for one in store.groups()}
    if name in datasets:
        return store.dataset(name, version)
    if name not in groups:
        hint = did_you_mean(name, datasets | groups) or "."
        raise NotFound(
            f"{store.root}: expected a group or a training dataset, found no `{name}`{hint}"
        )
    return store.table(name, version)
