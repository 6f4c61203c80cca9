"""`shroff card`: the model card of a run or a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from shroff.cli.models import published
from shroff.cli.runs import find_run
from shroff.cli.terminal import AsJson, as_written, err, out, show, visible
from shroff.errors import BadFile, ConfigurationError


def card(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN|BUNDLE",
            help="A run, a bundle or a published version; by default the latest finished run.",
        ),
    ] = None,
    out_file: Annotated[
        Path | None,
        typer.Option("--out", help="The card: .html or .md; default: text.", show_default=False),
    ] = None,
    project: Annotated[
        Path | None,
        typer.Option(
            help="Take what people declare from this project, as it is now; default: as it was.",
            show_default=False,
        ),
    ] = None,
    draft: Annotated[
        bool, typer.Option("--draft", help="Write an incomplete card too, its gaps marked.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the model card of a run: what people declared, and what the records know.

    Exit code 1, and nothing written, if something is missing.
    """
    from shroff.collect.sources import written_whole
    from shroff.project import load_project
    from shroff.promotion import card_records
    from shroff.report import gaps, render_card

    form = _form(out_file)
    record = find_run(run)
    found = card_records(published(), record, None if project is None else load_project(project))
    missing = gaps(found)
    with as_written(record.run, BadFile):
        text = render_card(found, form)
    writes = not missing or draft
    if writes and out_file is not None:
        with written_whole(out_file, private=True) as file:
            file.write(text.encode())
    if as_json:
        show(
            {
                "run": record.run,
                "complete": not missing,
                "missing": missing,
                "card": str(out_file) if writes and out_file is not None else None,
            }
        )
    else:
        for sentence in missing:
            err.print(f"missing: {visible(sentence)}", soft_wrap=True, markup=False)
        if writes and out_file is None:
            out.print(visible(text), soft_wrap=True, markup=False, highlight=False)
        elif writes:
            out.print(
                f"{out_file}: the model card of run {record.run}, {len(text.encode()):,} bytes.",
                soft_wrap=True,
                markup=False,
                highlight=False,
            )
    raise typer.Exit(0 if writes else 1)


def _form(out_file: Path | None) -> Literal["html", "markdown"]:
    suffix = ".md" if out_file is None else out_file.suffix.lower()
    if suffix not in (".html", ".md"):
        raise ConfigurationError(
            f"expected a file .html or .md for the card, got `{suffix or 'no suffix'}`."
        )
    return "html" if suffix == ".html" else "markdown"
