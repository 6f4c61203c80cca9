"""`shroff monitor`: whether the model in production still sees the payments it was made for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shroff.cli.arguments import TABLE_FORMS, LabelDelay, MaxBad, table
from shroff.cli.lane import print_lane
from shroff.cli.terminal import AsJson, out, print_rows, show, steps
from shroff.location import Location
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.monitor.drift import ColumnDrift
    from shroff.monitor.performance import Month
    from shroff.monitor.verdict import ModelVerdict
    from shroff.package import Bundle

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
    tolerance: Annotated[
        float,
        typer.Option(
            help="The difference of shares, in Cohen's h, up to which there is no alarm.", min=0.0
        ),
    ] = 0.1,
    label_delay: LabelDelay = None,
    all_columns: Annotated[
        bool, typer.Option("--all", help="Print every column, not only those that moved most.")
    ] = False,
    max_bad: MaxBad = 0.01,
    as_json: AsJson = False,
) -> None:
    """Compare what a model decided with its training, and with the labels that came; exit code 1 if
    its payments have drifted.

    Reads the ledger. However often it runs, at most 5 of 100 models ever get an alarm without a
    drift.
    """
    from shroff.clock import system_time
    from shroff.control import reading_keyring
    from shroff.ledger import Ledger
    from shroff.monitor import from_ledger, from_log, judge
    from shroff.monitor.observed import reference_of
    from shroff.package import load
    from shroff.promotion.evidence import judged_from, usual_delay
    from shroff.scoring.history import history_of

    settings = Settings.read()
    with steps(quiet=as_json) as step:
        step("read the bundle")
        loaded = in_production() if bundle is None else load(bundle)
        reference_of(loaded)  # before the ledger is read
        if data is None:
            step("read the ledger")
            kept = Ledger(settings.ledger, keyring=reading_keyring(settings.control))
            observed, now = from_ledger(loaded, kept.entries()), system_time()
        else:
            step(f"decide the payments of {data}")
            frame = history_of(loaded, data, settings.hmac_key(), max_bad)
            observed = from_log(loaded, frame, since=judged_from(loaded))
            now = max(observed.decisions["arrived"], default=0)
        found = judge(
            loaded,
            observed,
            now=now,
            tolerance=tolerance,
            delay_days=usual_delay(loaded) if label_delay is None else label_delay,
        )
    if as_json:
        show(found.to_dict())
    else:
        _print(found, all_columns=all_columns)
    raise typer.Exit(0 if found.holds else 1)


def in_production() -> Bundle:
    """The model in production.

    Raises:
        ConfigurationError: there is none.
    """
    from shroff.cli.models import published
    from shroff.errors import ConfigurationError

    models = published()
    version = models.pointers.production
    if version is None:
        raise ConfigurationError(
            "expected a bundle, or a model in production: none is published (`shroff publish`)."
        )
    return models.load(version)


def _print(found: ModelVerdict, *, all_columns: bool) -> None:
    for sentence in found.sentences:
        out.print(sentence, soft_wrap=True, highlight=False, markup=False)
    columns = found.drift.columns if all_columns else found.drift.columns[:_SHOWN_COLUMNS]
    if any(one.windows for one in columns):
        print_rows([_drift_row(one) for one in columns], "column", "windows", "PSI", "alarm")
    if any(one.mature for one in found.months):
        print_rows([_month_row(one) for one in found.months], *_MONTH_COLUMNS)
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
    }
