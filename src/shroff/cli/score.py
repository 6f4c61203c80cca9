"""`shroff score`: a whole log decided by a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shroff.cli.arguments import (
    TABLE_FORMS,
    Data,
    Engine,
    Join,
    Master,
    MaxBad,
    Source,
    parquet,
    table,
)
from shroff.cli.models import published
from shroff.cli.runs import recorded
from shroff.cli.terminal import AsJson, out, print_dropped, print_notices, show, steps
from shroff.errors import ConfigurationError
from shroff.location import Location
from shroff.settings import Settings


def score(
    source: Source,
    data: Data,
    output: Annotated[
        Path,
        parquet("The decisions (.parquet), one a row."),
    ],
    history: Annotated[
        Location | None,
        table("--history", f"Payments before those of --data, for features: {TABLE_FORMS}."),
    ] = None,
    join: Join = None,
    labels: Annotated[
        Location | None,
        table(
            "--labels",
            "The history of labels of --data and --history, in a table of its own: id, label, its "
            "arrival, source.",
        ),
    ] = None,
    engine: Engine = "batch",
    master: Master = None,
    memory: Annotated[
        str | None,
        typer.Option(help="The most memory to use, such as 8GB (SHROFF_MEMORY)."),
    ] = None,
    max_bad: MaxBad = 0.01,
    as_json: AsJson = False,
) -> None:
    """Decide every payment of a log by a bundle, as a service would have.

    Writes a row per payment: its id, time, action, probability, rules and reasons, and the versions
    of model and policy.
    """
    from dataclasses import asdict, replace
    from time import perf_counter

    from shroff.package import load, read
    from shroff.pipeline import score_log
    from shroff.promotion import find_bundle

    settings = Settings.read() if memory is None else replace(Settings.read(), memory=memory)
    if engine == "spark" and (history or join or labels):
        raise ConfigurationError(
            "expected one clean table with --engine spark, history in it: leave out --history, and "
            "give --join and --labels to `shroff collect`."
        )
    with steps(quiet=as_json) as step:
        step("read the bundle")
        folder, started = find_bundle(published(), recorded(), source), perf_counter()
        bundle = load(folder)
        if engine == "spark":
            from shroff.pipeline.spark_scores import score_job

            step("decide on Spark")
            done = score_job(read(folder), data.clean_file(), str(output), master=master)
        else:
            done = score_log(
                bundle,
                data,
                output,
                key=settings.hmac_key(),
                memory=settings.memory_bytes(),
                history=history,
                join=join,
                labels=labels,
                max_bad=max_bad,
                progress=step,
                count=step.count,
            )
        seconds = perf_counter() - started
    if as_json:
        show({"file": str(output), "version": bundle.version, "seconds": seconds} | asdict(done))
        return
    print_dropped(done.dropped, done.first)
    print_notices(done.notices)
    if done.known:
        print_notices([f"{done.known:,} payments of the history are in the log too: counted once."])
    if done.unscored:
        print_notices(
            [f"the model gave no number for {done.unscored:,} payments: the policy decided them."]
        )
    told = ", ".join(f"{action} {many:,}" for action, many in done.actions.items())
    out.print(
        f"{output}: {done.payments:,} payments decided in {seconds:.1f} s: {told or 'none'}.",
        soft_wrap=True,
        highlight=False,
    )
