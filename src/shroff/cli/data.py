"""From a raw log to a clean table: `shroff simulate` and `collect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shroff.cli.arguments import Data, Join, Labels, MaxBad, ProjectPath, parquet
from shroff.cli.terminal import (
    AsJson,
    out,
    print_currencies,
    print_dropped,
    print_notices,
    show,
    steps,
)
from shroff.settings import Settings


def simulate(
    file: Annotated[
        Path, typer.Argument(help=".csv, .csv.gz or .parquet; a folder with --two-tables.")
    ],
    payments: Annotated[
        int, typer.Option(help="Number of payments, within 1 %.", min=1_000)
    ] = 100_000,
    days: Annotated[int, typer.Option(help="Number of days.", min=1)] = 90,
    fraud_rate: Annotated[
        float, typer.Option(help="Share of fraud, approximately.", min=0.001, max=0.2)
    ] = 0.01,
    rings: Annotated[
        float,
        typer.Option(help="Share of the fraud by rings of cards that share hosts.", min=0, max=1),
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    two_tables: Annotated[
        bool, typer.Option("--two-tables", help="Write two tables, facts.csv and statistics.csv.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a labelled payment log with five fraud patterns and honest look-alikes."""
    from shroff.simulate import simulate as make
    from shroff.simulate import write

    with steps(quiet=as_json) as step:
        step(f"simulate {payments:,} payments")
        frame = make(payments, days=days, fraud_rate=fraud_rate, rings=rings, seed=seed)
        step(f"write {file}")
        if two_tables:
            from shroff.simulate.two_tables import write_two_tables

            write_two_tables(frame, file, seed=seed)
        else:
            write(frame, file)
    document = {"file": str(file), "payments": len(frame), "frauds": int(frame["is_fraud"].sum())}
    if as_json:
        show(document)
    else:
        out.print(f"{file}: {len(frame):,} payments, {document['frauds']:,} of them fraud.")


def collect(
    project: ProjectPath,
    data: Data,
    output: Annotated[Path, parquet("The clean table (.parquet).")],
    join: Join = None,
    labels: Labels = None,
    max_bad: MaxBad = 0.01,
    as_json: AsJson = False,
) -> None:
    """Clean a raw table and write it as Parquet."""
    from shroff.collect import write_clean
    from shroff.pipeline import collect_table
    from shroff.project import load_project

    loaded = load_project(project)
    with steps(quiet=as_json) as step:
        step(f"read and clean {data}")
        key = Settings.read().hmac_key()
        cleaned = collect_table(
            loaded, data, key=key, join=join, labels=labels, max_bad=max_bad, count=step.count
        )
        step(f"write {output}")
        write_clean(cleaned.frame, output)
    label = loaded.plan.schema.label
    unlabelled = None if label is None else cleaned.frame[label].null_count()
    document = {
        "file": str(output),
        "rows": cleaned.rows,
        "kept": len(cleaned.frame),
        "unlabelled": unlabelled,
        "dropped": cleaned.dropped,
        "dropped_first": cleaned.first,
        "currencies": cleaned.currencies,
        "base_currency": loaded.schema.base,
        "notices": cleaned.notices(loaded.schema),
    }
    if as_json:
        show(document)
    else:
        without = f", {unlabelled:,} of them without a label" if unlabelled else ""
        out.print(f"{output}: kept {len(cleaned.frame):,} of {cleaned.rows:,} rows{without}.")
        print_dropped(cleaned.dropped, cleaned.first)
        print_currencies(cleaned.currencies, loaded.schema.base)
        print_notices(cleaned.notices(loaded.schema))
