"""From a raw log to features: `shroff simulate`, `collect`, `features`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shroff.cli.arguments import Data, Engine, Join, Labels, Master, MaxBad, ProjectPath
from shroff.cli.terminal import (
    AsJson,
    out,
    print_currencies,
    print_dropped,
    print_notices,
    show,
    steps,
)
from shroff.location import address
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
    output: Annotated[
        Path, typer.Option("--out", help="The clean table (.parquet).", show_default=False)
    ],
    join: Join = None,
    labels: Labels = None,
    max_bad: MaxBad = 0.01,
    as_json: AsJson = False,
) -> None:
    """Clean a raw table and write it as Parquet."""
    from shroff.collect import write_parquet
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
        write_parquet(cleaned.frame, output)
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


def features(
    project: ProjectPath,
    data: Data,
    output: Annotated[
        Path | None,
        typer.Option("--out", help="Write one table (.parquet) instead of to the feature store."),
    ] = None,
    engine: Engine = "batch",
    master: Master = None,
    memory: Annotated[
        str | None,
        typer.Option(
            help="The most memory to use, such as 8GB (SHROFF_MEMORY); a larger .parquet goes by "
            "disk, with --out."
        ),
    ] = None,
    append: Annotated[
        str | None,
        typer.Option(
            metavar="BATCH",
            help="Add to what the feature store has, under this name, once; features see that "
            "too. By default what it has is replaced.",
            show_default=False,
        ),
    ] = None,
    join: Join = None,
    labels: Labels = None,
    max_bad: MaxBad = 0.01,
    as_json: AsJson = False,
) -> None:
    """Compute a project's features over a raw table, and store them and the payments."""
    from contextlib import ExitStack
    from dataclasses import replace
    from time import perf_counter

    from shroff.collect import local_copies, write_parquet
    from shroff.collect.remote import Findings
    from shroff.errors import ConfigurationError
    from shroff.features.engines.batch import compute_plan
    from shroff.pipeline import (
        after_stored,
        collect_table,
        features_by_disk,
        is_large,
        label_table,
        store_features,
    )
    from shroff.project import load_project

    earlier: int | None = None
    dropped: dict[str, int] = {}
    first: dict[str, int] = {}
    notices: list[str] = []
    findings = Findings()
    settings = Settings.read() if memory is None else replace(Settings.read(), memory=memory)
    if append is not None and (output is not None or engine == "spark"):
        raise ConfigurationError(
            "--append adds to the feature store: leave out --out and --engine spark."
        )
    with steps(quiet=as_json) as step, ExitStack() as copies:
        plan = (loaded := load_project(project)).plan
        if data.scheme is not None and engine == "batch":
            step(f"read {data}")
            key = settings.hmac_key()
            local = copies.enter_context(
                local_copies(plan.schema, key=key, join=loaded.join, count=step.count)
            )
            data = local(data, alone=join is None)
            findings = local.findings
        if engine == "spark":
            from shroff.features.engines.spark import features_job

            if output is None:
                raise ConfigurationError(
                    "expected a folder to write to with --engine spark: pass --out."
                )
            if labels is not None:
                raise ConfigurationError(
                    "expected the labels in the clean table: pass --labels to `shroff collect`."
                )
            step("compute features on Spark")
            started = perf_counter()
            payments = features_job(plan, data.clean_file(), str(output), master=master)
            seconds, places = perf_counter() - started, [str(output)]
        elif (
            output is not None
            and labels is None
            and is_large(loaded, data, memory=settings.memory_bytes())
        ):
            started, key, room = perf_counter(), settings.hmac_key(), settings.memory_bytes()
            large = features_by_disk(
                loaded, data, output, key=key, memory=room, max_bad=max_bad, progress=step
            )
            counts = large.with_findings(findings)
            payments, notices = large.payments, counts.notices(loaded.schema)
            dropped, first = counts.dropped, counts.first
            seconds, places = perf_counter() - started, [str(output)]
        else:
            step(f"read and clean {data}")
            key = settings.hmac_key()
            before = labels if append is None else None
            cleaned = collect_table(
                loaded, data, key=key, join=join, labels=before, max_bad=max_bad, count=step.count
            )
            cleaned = cleaned.with_findings(findings)
            if append is not None:
                step(f"read earlier payments of {address(settings.store)}")
                whole, earlier = after_stored(loaded, cleaned.frame, settings.store, batch=append)
                cleaned = replace(cleaned, frame=whole)
                if labels is not None:
                    cleaned = label_table(cleaned, labels, plan.schema, key=key, count=step.count)
            dropped, first, notices = cleaned.dropped, cleaned.first, cleaned.notices(loaded.schema)
            step("compute features")
            started = perf_counter()
            table = compute_plan(plan, cleaned.frame)[earlier or 0 :]
            payments, seconds = len(table), perf_counter() - started
            step(f"write {output or address(settings.store)}")
            if output is not None:
                write_parquet(table, output)
                places = [str(output)]
            else:
                places = store_features(
                    loaded, cleaned.frame[earlier or 0 :], table, settings.store, batch=append
                )
    document = {
        "written": places,
        "payments": payments,
        "earlier_payments": earlier,
        "features": plan.names,
        "seconds": seconds,
        "dropped": dropped,
        "dropped_first": first,
        "notices": notices,
    }
    if as_json:
        show(document)
    else:
        out.print(f"{len(plan.names)} features of {payments:,} payments in {seconds:.1f} s.")
        if earlier is not None:
            out.print(f"They saw {earlier:,} earlier payments of the store, within the windows.")
        for place in places:
            out.print(f"written: {place}")
        print_dropped(dropped, first)
        print_notices(notices)
