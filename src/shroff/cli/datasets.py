"""`shroff store create`, `verify` and `release`: training datasets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer

from shroff.cli.arguments import ProjectPath
from shroff.cli.terminal import AsJson, out, print_notices, show, steps, visible
from shroff.errors import CheckFailed, NotFound

Dataset = Annotated[
    str, typer.Argument(help="NAME, or NAME@VERSION; by default the latest.", show_default=False)
]


def create(
    project: ProjectPath,
    name: Annotated[
        str, typer.Argument(help="What the training dataset is called.", show_default=False)
    ],
    known_by: Annotated[
        str | None,
        typer.Option(
            help="Labels as they were known by this day or time, UTC, by the schema's labelled_at; "
            "by default what the log says."
        ),
    ] = None,
    maturity: Annotated[
        str, typer.Option(help="How long after a payment its fraud may be reported.")
    ] = "30d",
    parts: Annotated[
        str | None,
        typer.Option(help="Parts with their shares, such as train=70,test=30.", show_default=False),
    ] = None,
    by: Annotated[
        Literal["time", "random"], typer.Option(help="How payments are spread over parts.")
    ] = "time",
    gap: Annotated[
        str,
        typer.Option(
            help="By time: how much before each later part belongs to no part, such as 7d; "
            "default: nothing.",
            show_default=False,
        ),
    ] = "",
    seed: Annotated[int, typer.Option(help="The seed of random parts.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Make a training dataset of a project's payments and features, as `shroff features` stored
    them.

    Where it was made already of the same versions of the groups, it is given again.
    """
    from shroff.experiment.stored import uneven_labels
    from shroff.project import load_project
    from shroff.store import Split, open_store
    from shroff.store.features import project_set
    from shroff.store.names import moment, split_parts

    loaded = load_project(project)
    split = Split(parts=split_parts(parts), by=by, gap=gap, seed=seed) if parts else None
    when = moment(known_by) if known_by else None
    wanted = project_set(
        name, loaded.plan, loaded.features, known_by=when, maturity=maturity, split=split
    )
    with steps(quiet=as_json) as step:
        step(f"make {name}")
        store = open_store()
        try:
            data = store.create(wanted)
        except NotFound as error:
            raise NotFound(
                f"{error} `shroff features PROJECT --data LOG` (without --out) stores the groups "
                "of a project."
            ) from None
    print_notices(uneven_labels(data, store))
    if as_json:
        show(data.to_dict())
    else:
        out.print(f"training dataset {data.label}")
        print_dataset(data.to_dict())


def verify(name: Dataset, as_json: AsJson = False) -> None:
    """Check that a training dataset is as it was made, and that its groups still give the same.
    Exit code 1 if not.
    """
    from shroff.store import open_store
    from shroff.store.names import split_name

    found = open_store().verify(*split_name(name))
    if as_json:
        show({"kept": found.kept, "rebuilt": found.rebuilt})
    elif found.kept and found.rebuilt:
        out.print("It is as it was made, and its groups give the same again.")
    if not found.kept:
        raise CheckFailed(
            "expected the rows that were made, found others: the dataset was changed since."
        )
    if not found.rebuilt:
        raise CheckFailed("expected the same rows from the versions it was made of, got others.")


def release(
    name: Dataset,
    bundle: Annotated[str, typer.Argument(help="The version of the bundle.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Let go of a training dataset that a bundle was trained on, so that it can be deleted."""
    from shroff.store import open_store
    from shroff.store.names import split_name

    store = open_store()
    data = store.dataset(*split_name(name))
    store.release(data, bundle)
    held = store.pins(data)
    if as_json:
        show({"dataset": data.name, "version": data.version, "bundles": held})
    else:
        out.print(f"{len(held)} bundles hold it now.")


def print_dataset(document: Mapping[str, Any]) -> None:
    """Print what a training dataset was made of, its parts, and what was left out."""
    out.print(
        f"{document['rows']:,} payments, content {document['content']}",
        soft_wrap=True,
        highlight=False,
    )
    for one in document["lineage"]:
        out.print(
            f"made of {one['group']}@{one['version']}, table version {one['number']} (Delta "
            f"{one['delta']})",
            highlight=False,
        )
    for status, counts in document["statuses"].items():
        told = ", ".join(f"{count:,} {word.replace('_', ' ')}" for word, count in counts.items())
        out.print(f"{visible(status)}: {told}", markup=False, highlight=False)
    for part, counts in document["parts"].items():
        frauds = f", {counts['frauds']:,} of them fraud" if "frauds" in counts else ""
        out.print(
            f"part {visible(part)}: {counts['payments']:,} payments{frauds}",
            markup=False,
            highlight=False,
        )
    between = document["rows"] - sum(one["payments"] for one in document["parts"].values())
    if document["parts"] and between:
        out.print(f"in no part {between:,}: in the gap before a later part", highlight=False)
    for reason, count in document["left_out"].items():
        out.print(f"left out {count:,}: {reason}", highlight=False)
