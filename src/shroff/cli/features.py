"""`shroff features`: on Spark, by disk or in memory, into one table or the feature store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from shroff.cli.arguments import Data, Engine, Join, Labels, Master, MaxBad, ProjectPath, parquet
from shroff.cli.terminal import AsJson, Steps, out, print_dropped, print_notices, show, steps
from shroff.errors import ConfigurationError
from shroff.location import Location, address
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.collect import Cleaned
    from shroff.collect.clean import RowCounts
    from shroff.collect.remote import Findings
    from shroff.project import Project


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What the command was given; `output` is None where features go to the store."""

    data: Location
    output: Path | None
    join: Location | None
    labels: Location | None
    append: str | None
    max_bad: float
    settings: Settings


class _Cleaning(NamedTuple):
    """What cleaning left out by reason, the first row of each, and what the user should check."""

    dropped: Mapping[str, int] = {}
    first: Mapping[str, int] = {}
    notices: Sequence[str] = ()

    @classmethod
    def of(cls, counts: RowCounts, project: Project) -> _Cleaning:
        return cls(counts.dropped, counts.first, counts.notices(project.schema))


_UNCLEANED: Final = _Cleaning()


@dataclass(frozen=True, kw_only=True)
class _Computed:
    """What was written, and what is reported about it.

    `earlier`: payments of the store that the features saw, where a batch was added to it.
    """

    written: Sequence[str]
    payments: int
    seconds: float
    earlier: int | None = None
    cleaning: _Cleaning = _UNCLEANED


def features(
    project: ProjectPath,
    data: Data,
    output: Annotated[
        Path | None,
        parquet("Write one table (.parquet) instead of to the feature store."),
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
    from shroff.project import load_project

    if append is not None and (output is not None or engine == "spark"):
        raise ConfigurationError(
            "--append adds to the feature store: leave out --out and --engine spark."
        )
    settings = Settings.read() if memory is None else replace(Settings.read(), memory=memory)
    asked = _Asked(
        data=data,
        output=output,
        join=join,
        labels=labels,
        append=append,
        max_bad=max_bad,
        settings=settings,
    )
    with steps(quiet=as_json) as step:
        loaded = load_project(project)
        computed = (
            _on_spark(loaded, asked, master, step)
            if engine == "spark"
            else _on_this_machine(loaded, asked, step)
        )
    _show(loaded, computed, as_json=as_json)


def _on_spark(project: Project, asked: _Asked, master: str | None, step: Steps) -> _Computed:
    from shroff.features.engines.spark import features_job

    if asked.output is None:
        raise ConfigurationError("expected a folder to write to with --engine spark: pass --out.")
    if asked.labels is not None:
        raise ConfigurationError(
            "expected the labels in the clean table: pass --labels to `shroff collect`."
        )
    step("compute features on Spark")
    started = perf_counter()
    payments = features_job(project.plan, asked.data.clean_file(), str(asked.output), master=master)
    return _Computed(
        written=[str(asked.output)], payments=payments, seconds=perf_counter() - started
    )


def _on_this_machine(project: Project, asked: _Asked, step: Steps) -> _Computed:
    from shroff.collect import local_copies
    from shroff.pipeline import is_large

    key, memory = asked.settings.hmac_key(), asked.settings.memory_bytes()
    with local_copies(project.plan.schema, key=key, join=project.join, count=step.count) as local:
        if asked.data.scheme is not None:
            step(f"read {asked.data}")
            asked = replace(asked, data=local(asked.data, alone=asked.join is None))
        large = asked.labels is None and is_large(project, asked.data, memory=memory)
        if asked.output is not None and large:
            return _by_disk(project, asked, asked.output, local.findings, step)
        return _in_memory(project, asked, local.findings, step)


def _by_disk(
    project: Project, asked: _Asked, output: Path, findings: Findings, step: Steps
) -> _Computed:
    from shroff.pipeline import features_by_disk

    started = perf_counter()
    kept = features_by_disk(
        project,
        asked.data,
        output,
        key=asked.settings.hmac_key(),
        memory=asked.settings.memory_bytes(),
        max_bad=asked.max_bad,
        progress=step,
    )
    return _Computed(
        written=[str(output)],
        payments=kept.payments,
        seconds=perf_counter() - started,
        cleaning=_Cleaning.of(kept.with_findings(findings), project),
    )


def _in_memory(project: Project, asked: _Asked, findings: Findings, step: Steps) -> _Computed:
    from shroff.collect import write_parquet
    from shroff.features.engines.batch import compute_plan
    from shroff.pipeline import store_features

    store = asked.settings.store
    cleaned, earlier = _cleaned(project, asked, findings, step)
    step("compute features")
    started = perf_counter()
    table = compute_plan(project.plan, cleaned.frame)[earlier or 0 :]
    seconds = perf_counter() - started
    step(f"write {asked.output or address(store)}")
    if asked.output is not None:
        write_parquet(table, asked.output)
        written = [str(asked.output)]
    else:
        frame = cleaned.frame[earlier or 0 :]
        written = store_features(project, frame, table, store, batch=asked.append)
    return _Computed(
        written=written,
        payments=len(table),
        seconds=seconds,
        earlier=earlier,
        cleaning=_Cleaning.of(cleaned, project),
    )


def _cleaned(
    project: Project, asked: _Asked, findings: Findings, step: Steps
) -> tuple[Cleaned, int | None]:
    """The clean payments; with --append behind those of the store that they see, and how many these
    are.
    """
    from shroff.pipeline import after_stored, collect_table, label_table

    key, store = asked.settings.hmac_key(), asked.settings.store
    step(f"read and clean {asked.data}")
    cleaned = collect_table(
        project,
        asked.data,
        key=key,
        join=asked.join,
        labels=asked.labels if asked.append is None else None,
        max_bad=asked.max_bad,
        count=step.count,
    ).with_findings(findings)
    if asked.append is None:
        return cleaned, None
    step(f"read earlier payments of {address(store)}")
    whole, earlier = after_stored(project, cleaned.frame, store, batch=asked.append)
    cleaned = replace(cleaned, frame=whole)
    if asked.labels is not None:  # labels of earlier payments may have come since
        cleaned = label_table(cleaned, asked.labels, project.plan.schema, key=key, count=step.count)
    return cleaned, earlier


def _show(project: Project, computed: _Computed, *, as_json: bool) -> None:
    names, cleaning = project.plan.names, computed.cleaning
    if as_json:
        show(
            {
                "written": computed.written,
                "payments": computed.payments,
                "earlier_payments": computed.earlier,
                "features": names,
                "seconds": computed.seconds,
                "dropped": cleaning.dropped,
                "dropped_first": cleaning.first,
                "notices": cleaning.notices,
            }
        )
        return
    out.print(
        f"{len(names)} features of {computed.payments:,} payments in {computed.seconds:.1f} s."
    )
    if computed.earlier is not None:
        out.print(
            f"They saw {computed.earlier:,} earlier payments of the store, within the windows."
        )
    for place in computed.written:
        out.print(f"written: {place}")
    print_dropped(cleaning.dropped, cleaning.first)
    print_notices(cleaning.notices)
