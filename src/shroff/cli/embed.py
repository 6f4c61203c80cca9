"""`shroff embed`: vectors of tokens, learned from the histories of cards, and their neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shroff.cli.arguments import Data, Join, MaxBad, ProjectPath
from shroff.cli.terminal import (
    AsJson,
    moment,
    out,
    print_dropped,
    print_notices,
    print_rows,
    show,
    steps,
)
from shroff.errors import ConfigurationError, did_you_mean
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.embed import Vectors

app = typer.Typer(
    help="Vectors of tokens, learned from the histories of cards.", no_args_is_help=True
)


@app.command()
def train(
    project: ProjectPath,
    data: Data,
    output: Annotated[
        Path, typer.Option("--out", help="The file of vectors (.arrow).", show_default=False)
    ],
    before: Annotated[
        str | None,
        typer.Option(
            help="Learn only from payments before this time: the first day to be judged.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Which vectors of the project; by default its only ones.", show_default=False
        ),
    ] = None,
    engine: Annotated[
        Literal["batch", "spark"],
        typer.Option(
            help="spark: --data is a clean table that `shroff collect` wrote, and Spark counts."
        ),
    ] = "batch",
    master: Annotated[
        str | None, typer.Option(help="The Spark master, such as local[2] or yarn.")
    ] = None,
    join: Join = None,
    max_bad: MaxBad = 0.01,
    as_json: AsJson = False,
) -> None:
    """Learn a project's vectors of tokens; the same payments give the same file, to the byte."""
    from shroff.embed import learn, learn_spark
    from shroff.pipeline import collect_table
    from shroff.project import load_project

    loaded = load_project(project)
    schema = loaded.plan.schema
    vectors, until = _named(loaded.vectors, name), None if before is None else _micros(before)
    with steps(quiet=as_json) as step:
        if engine == "spark":
            from shroff.features.engines.spark.frames import read_clean, require_alike, session

            step("count on Spark, and learn vectors")
            with session("shroff embed", master) as spark:
                table = read_clean(spark, data.clean_file())
                require_alike(table, schema)
                there, cleaned = table.count(), None
                found = learn_spark(vectors, schema, table, before=until)
        else:
            step(f"read and clean {data}")
            key = Settings.read().hmac_key()
            cleaned = collect_table(
                loaded,
                data,
                key=key,
                join=join,
                max_bad=max_bad,
                may_lack_later=True,
                count=step.count,
            )
            there = len(cleaned.frame)
            step("learn vectors")
            found = learn(vectors, schema, cleaned.frame, before=until)
        step(f"write {output}")
        found.write(output)
    notices = cleaned.notices(loaded.schema) if cleaned else []
    dropped = cleaned.dropped if cleaned else {}
    document = {
        "file": str(output),
        "name": vectors.name,
        "digest": found.digest,
        "tokens": len(found.tokens),
        "dimensions": vectors.dimensions,
        "reproducible": vectors.method == "ppmi",
        "payments": found.lesson.payments,
        "left_out": there - found.lesson.payments,
        "pairs": found.lesson.pairs,
        "latest": moment(found.lesson.latest),
        "before": moment(until),
        "dropped": dropped,
        "notices": notices,
    }
    if as_json:
        show(document)
        return
    out.print(
        f"{output}: {len(found.tokens):,} tokens in {vectors.dimensions} dimensions, learned from "
        f"{found.lesson.payments:,} payments up to {document['latest']}; {document['left_out']:,} "
        "later ones left out.",
        soft_wrap=True,
    )
    if vectors.method == "sgns":
        out.print('Not reproducible: method="sgns" learns another file each time.')
    print_dropped(dropped, cleaned.first if cleaned else {})
    print_notices(notices)


@app.command()
def neighbours(
    file: Annotated[Path, typer.Argument(help="A file of vectors.", show_default=False)],
    token: Annotated[
        str, typer.Argument(help="COLUMN=VALUE, such as mcc=5411.", show_default=False)
    ],
    most: Annotated[int, typer.Option(help="How many.", min=1)] = 5,
    as_json: AsJson = False,
) -> None:
    """Show which tokens of the same column stand nearest to one."""
    from shroff.embed import read_vectors

    column, equals, value = token.partition("=")
    if not equals:
        raise ConfigurationError("expected a token as COLUMN=VALUE, such as mcc=5411; got no `=`.")
    found = [one._asdict() for one in read_vectors(file).neighbours(column, value, most)]
    if as_json:
        show({"file": str(file), "token": token, "neighbours": found})
        return
    told = [one | {"cosine": f"{one['cosine']:.3f}"} for one in found]
    print_rows(told, "column", "token", "occurrences", "cosine")


@app.command()
def plot(
    file: Annotated[Path, typer.Argument(help="A file of vectors.", show_default=False)],
    column: Annotated[str, typer.Argument(help="Whose tokens, such as mcc.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--out", help="The map (.html or .png).", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Draw a column's tokens in the plane, those alike near each other: one HTML file without a
    script, or a PNG.
    """
    from shroff.collect.sources import written_whole
    from shroff.embed import picture, read_vectors
    from shroff.embed import plot as drawn

    if output.suffix not in (".html", ".png"):
        raise ConfigurationError("--out: expected a file that ends in .html or .png.")
    learned = read_vectors(file)
    content = (
        picture(learned, column) if output.suffix == ".png" else drawn(learned, column).encode()
    )
    with written_whole(output) as target:
        target.write(content)
    count = sum(name == column for name, _ in learned.tokens)
    if as_json:
        show({"file": str(output), "column": column, "tokens": count})
    else:
        out.print(f"{output}: {count:,} tokens of {column}.", markup=False, soft_wrap=True)


def _named(there: Sequence[Vectors], name: str | None) -> Vectors:
    names = [one.name for one in there]
    if not names:
        raise ConfigurationError(
            "the project defines no vectors; give it `vectors=[Vectors(…)]` of `shroff.embed`."
        )
    if name is None and len(names) > 1:
        raise ConfigurationError(
            f"the project defines {len(names)} vectors: pass --name with one of their names."
        )
    if name is not None and name not in names:
        raise ConfigurationError(
            f"the project has no vectors `{name}`{did_you_mean(name, names) or '.'}"
        )
    return there[0 if name is None else names.index(name)]


def _micros(text: str) -> int:
    from zoneinfo import ZoneInfo

    from shroff.collect.times import parse_time

    try:
        return parse_time(text if ":" in text else f"{text}T00:00:00", ZoneInfo("UTC"))
    except ValueError:
        raise ConfigurationError(
            "--before: expected a time such as 2024-03-01 or 2024-03-01T00:00:00Z."
        ) from None
