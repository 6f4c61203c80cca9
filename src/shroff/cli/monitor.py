"""`shroff monitor`: whether the model in production still sees the payments it was made for."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from shroff.cli.alerts import deliver_due
from shroff.cli.arguments import (
    TABLE_FORMS,
    DataLabels,
    Every,
    LabelDelay,
    MaxBad,
    table,
)
from shroff.cli.lane import print_lane
from shroff.cli.terminal import AsJson, err, out, print_rows, show, steps, visible
from shroff.cli.watching import Followed, Look, Looked, look
from shroff.errors import Unavailable
from shroff.location import Location
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.monitor.drift import ColumnDrift
    from shroff.monitor.performance import Month

_SHOWN_COLUMNS: Final = 12
_MONTH_COLUMNS: Final = (
    "month",
    "payments",
    "with labels",
    "frauds",
    "precision",
    "recall",
    "lost",
    "stopped",
    "expected",
    "came",
    "saved",
)


def monitor(
    bundle: Annotated[
        Path | None,
        typer.Argument(help="A bundle; default: the one in production.", show_default=False),
    ] = None,
    data: Annotated[
        Location | None,
        table(
            "--data",
            f"A log to decide instead of the ledger, from where training ended on: {TABLE_FORMS}.",
        ),
    ] = None,
    labels: DataLabels = None,
    tolerance: Annotated[
        float,
        typer.Option(
            help="The difference of shares, in Cohen's h, up to which there is no alarm.", min=0.0
        ),
    ] = 0.1,
    label_delay: LabelDelay = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="An input of the model: also print what decisions came to for each of its values.",
            show_default=False,
        ),
    ] = None,
    least_precision: Annotated[
        float | None,
        typer.Option(help="Gate: the least precision of a month.", min=0, max=1),
    ] = None,
    least_recall: Annotated[
        float | None, typer.Option(help="Gate: the least recall of a month.", min=0, max=1)
    ] = None,
    parity: Annotated[
        int, typer.Option(help="Gate: payments whose features are computed again.", min=0)
    ] = 0,
    warm: Annotated[
        Location | None, table("--warm", "The history given to `serve --warm`, for --parity.")
    ] = None,
    warm_labels: Annotated[
        Location | None,
        table("--warm-labels", "The labels given to `serve --warm-labels`, for --parity."),
    ] = None,
    service: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The service whose latency is looked at; SHROFF_API_KEY has its key.",
            show_default=False,
        ),
    ] = None,
    p50: Annotated[
        float | None, typer.Option(help="Gate: milliseconds for one payment in two.", min=0)
    ] = None,
    p99: Annotated[
        float | None, typer.Option(help="Gate: milliseconds for 99 payments in 100.", min=0)
    ] = None,
    schemes: Annotated[
        Literal["merchant", "acquirer"] | None,
        typer.Option(
            help="Also look at the PSD2 fraud rate and the VAMP ratio, by the limits of this side.",
            show_default=False,
        ),
    ] = None,
    disputed_by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE",
            help="A source whose labels of fraud are disputes; may be given again.",
            show_default=False,
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the verdict as a page.", show_default=False),
    ] = None,
    prometheus: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write the figures for Prometheus' textfile collector, `….prom`.",
            show_default=False,
        ),
    ] = None,
    alerts: Annotated[
        bool,
        typer.Option(
            "--alerts",
            help="Keep what is found of the model in production as alarms, and send their events "
            "by the channels of the settings.",
        ),
    ] = False,
    every: Every = None,
    all_columns: Annotated[
        bool, typer.Option("--all", help="Print every column, not only those that moved most.")
    ] = False,
    max_bad: MaxBad = 0.01,
    as_json: AsJson = False,
) -> None:
    """Compare what a model decided with its training, and with the labels that came; exit code 1 on
    an alarm.

    Reads the ledger. However often it runs, at most 5 of 100 models ever get an alarm without a
    drift; gates are what you ask for.
    """
    asked = Look(
        bundle=bundle,
        data=data,
        labels=labels,
        tolerance=tolerance,
        label_delay=label_delay,
        max_bad=max_bad,
        by=by,
        least_precision=least_precision,
        least_recall=least_recall,
        parity=parity,
        warm=warm,
        warm_labels=warm_labels,
        service=service,
        latency_ms={share: most for share, most in ((0.5, p50), (0.99, p99)) if most is not None},
        schemes=schemes,
        disputed_by=tuple(disputed_by or ()),
        alerts=alerts,
    )
    from shroff.monitor.following import FollowedDecisions, FollowedSchemes

    followed = Followed(FollowedDecisions(), FollowedSchemes())
    while True:
        try:
            with steps(quiet=as_json) as step:
                found = look(asked, Settings.read(), step, followed)
            if as_json:
                segments = [one._asdict() for one in found.segments]
                show(found.verdict.to_dict() | {"segments": segments})
            else:
                _print(found, by, all_columns=all_columns)
            _write(found, by, html, prometheus)
            if alerts:
                _alert(found)
            holds = found.verdict.holds
        except Unavailable as error:
            if every is None:
                raise
            err.print(str(error), soft_wrap=True, markup=False)
        if every is None:
            raise typer.Exit(0 if holds else 1)
        time.sleep(every)


def _write(found: Looked, by: str | None, html: Path | None, prometheus: Path | None) -> None:
    """Write the page and the figures, each whole or not at all."""
    from shroff.collect.sources import written_whole
    from shroff.monitor.figures import figures
    from shroff.monitor.page import page
    from shroff.telemetry.registry import as_text

    if html is not None:
        made = page(found.verdict, by=by, segments=found.segments)
        with written_whole(html, private=True) as file:
            file.write(made.encode())
    if prometheus is not None:
        with written_whole(prometheus) as file:
            file.write(as_text(figures(found.verdict, found.gauges)))


def _alert(found: Looked) -> None:
    """Keep the alarms, and send what is due."""
    from shroff.monitor.alerts import Alarms, channels_of

    settings = Settings.read()
    alarms, names = Alarms(settings.control), [one.name for one in channels_of(settings)]
    alarms.record(found.model.version, found.verdict.findings, names)
    done = deliver_due(alarms, settings)
    if done.failure is not None:
        err.print(f"An alert waits: {done.failure}", soft_wrap=True, markup=False)


def _print(looked: Looked, by: str | None, *, all_columns: bool) -> None:
    found = looked.verdict
    for sentence in found.sentences:
        out.print(visible(sentence), soft_wrap=True, highlight=False, markup=False)
    columns = found.drift.all if all_columns else found.drift.columns[:_SHOWN_COLUMNS]
    if any(one.windows for one in columns):
        print_rows([_drift_row(one) for one in columns], "column", "windows", "PSI", "alarm")
    if any(one.mature for one in found.months):
        print_rows([_month_row(one) for one in found.months], *_MONTH_COLUMNS)
    if looked.segments:
        print_rows([_month_row(one) for one in looked.segments], str(by), *_MONTH_COLUMNS[1:])
    print_lane(found)


def _drift_row(one: ColumnDrift) -> dict[str, object]:
    index = one.stability_index
    return {
        "column": one.column,
        "windows": one.windows,
        "psi": "" if index is None else f"{index:.3f}",
        "alarm": "" if one.last is None else f"{one.last.since}: {one.last.drift:.2f}",
    }


def _month_row(one: Month) -> dict[str, object]:
    interval, recall = one.precision_interval, one.recall
    low, high = (0.0, 0.0) if recall is None else recall
    bounds = f"{low:.2f}" if low == high else f"{low:.2f}–{high:.2f}"
    return {
        "month": one.month,
        "payments": f"{one.payments:,}",
        "with labels": f"{one.mature:,}",
        "frauds": one.known_frauds,
        "precision": "" if interval is None else f"{interval[0]:.2f}–{interval[1]:.2f}",
        "recall": "" if recall is None else bounds,
        "lost": f"{one.lost:,.0f}",
        "stopped": f"{one.stopped:,.0f}",
        "expected": f"{one.expected:,.0f}",
        "came": f"{one.frauds_interval[0]:.0f}–{one.frauds_interval[1]:.0f}",
        "saved": "" if one.saved is None else f"{one.saved:,.0f}",
    }
