"""`shroff runs`: the records of `shroff train`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from shroff.cli.terminal import AsJson, as_written, out, print_rows, seen, show, visible
from shroff.cli.tracking import To
from shroff.errors import BadFile
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.experiment import RunRecord, Runs

app = typer.Typer(
    help="List, show and compare the recorded runs of `shroff train`; send one to MLflow.",
    no_args_is_help=True,
)

RunName = Annotated[str, typer.Argument(help="A run, or how its name begins.", show_default=False)]

_COLUMNS: Final = ("run", "status", "data", "best", "average_precision")


def recorded() -> Runs:
    """The runs in the folder that the settings name."""
    from shroff.experiment import runs

    return runs.recorded()


def find_run(name: str | None) -> RunRecord:
    """The run of a name, or that made a bundle or a published version; by default the latest
    finished one.
    """
    from shroff.control.models import Models
    from shroff.package import load

    runs = recorded()
    if name is None:
        return runs.latest()
    if Path(name).is_dir() or "/" in name:
        return runs.maker(load(name).version)
    return runs.maker(name) if name in Models(Settings.read().models) else runs.find(name)


@app.command("list")
def list_runs(as_json: AsJson = False) -> None:
    """List all runs, the oldest first, with their status, best detector and its average precision
    on the test part; last those whose records cannot be read.
    """
    runs = recorded()
    records, unreadable = runs.scan()
    rows = []
    for record in records:
        try:
            with as_written(record.run, BadFile):
                rows.append(_row(record, runs.status(record)))
        except BadFile:
            unreadable.append(record.run)
    nothing = dict.fromkeys(("data", "split", "best", "average_precision", "bundle"))
    rows += [{"run": name, "status": "unreadable"} | nothing for name in unreadable]
    if as_json:
        show({"runs": rows})
    elif rows:
        print_rows([{name: row[name] for name in _COLUMNS} for row in rows], *_COLUMNS)
    else:
        out.print("No run is recorded; `shroff train` records each of its own.", highlight=False)


@app.command("show")
def show_run(
    run: Annotated[
        str | None,
        typer.Argument(
            help="A run, or how its name begins; default: the latest finished one.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show one run: what went in, how long each step took, and its figures."""
    runs = recorded()
    record = runs.latest() if run is None else runs.find(run)
    show_record(record, runs.status(record), as_json=as_json)


@app.command()
def compare(a: RunName, b: RunName, as_json: AsJson = False) -> None:
    """Print what differs between two runs, and nothing else."""
    from shroff.experiment import differences

    runs = recorded()
    one, other = runs.find(a), runs.find(b)
    found = differences(one, other)
    if as_json:
        show({"runs": [one.run, other.run], "differences": found})
    elif not found:
        out.print("The two runs differ in nothing but when they ran.")
    else:
        rows = [{"": name, "a": a, "b": b} for name, (a, b) in map(_pair, found.items())]
        print_rows(rows, "", one.run, other.run)


@app.command()
def track(run: RunName, to: To = None, as_json: AsJson = False) -> None:
    """Send a run to MLflow, with one nested run per detector; what is there is not sent twice."""
    from shroff.tracking import Mirror

    mirror, name = Mirror.required(to), recorded().find(run).run
    sent = mirror.send_run(name)
    if as_json:
        show({"run": name, "server": str(mirror), "runs": sent})
    else:
        with_detectors = f", with {sent - 1} nested runs of detectors" if sent > 1 else ""
        out.print(f"{mirror} has the run {name}{with_detectors}.", soft_wrap=True, highlight=False)


def _row(record: RunRecord, status: str) -> dict[str, Any]:
    best = record.figures.get("best")
    asked = record.parameters.get("dataset") or record.parameters.get("data")
    data = record.inputs.get("data") or {"file": asked}
    return {
        "run": record.run,
        "status": status,
        "data": data.get("source") or data["file"],
        "split": record.figures.get("split", record.parameters.get("split")),
        "best": best,
        "average_precision": best
        and round(record.figures["detectors"][best]["test"]["average_precision"], 4),
        "bundle": None if record.bundle is None else record.bundle["version"],
    }


def _facts(record: RunRecord) -> dict[str, str]:
    files = [
        f"{role} {one['file']} ({one['sha256'][:12]})"
        for role, one in record.inputs.items()
        if "file" in one
    ]
    files += [f"{role} {one['source']}" for role, one in record.inputs.items() if "source" in one]
    took = [f"{name} {seconds:.1f} s" for name, seconds in record.seconds.items()]
    facts = {
        "read": ", ".join(files),
        "table": str(record.inputs.get("table", ""))[:12],
        "took": ", ".join(took),
        "code": ", ".join(f"{name} {version}" for name, version in record.code.items()),
        "resumed": _times(record.resumed),
        "machine": f"{record.machine['system']}, {record.machine['cores']} cores",
        "bundle": record.refusal or ""
        if record.bundle is None
        else f"{record.bundle['folder']}, version {record.bundle['version']}",
    }
    return {name: value for name, value in facts.items() if value}


def _times(count: int) -> str:
    """How often, where it happened at all."""
    return {0: "", 1: "once"}.get(count, f"{count} times")


def _pair(named: tuple[str, tuple[object, object]]) -> tuple[str, tuple[str, str]]:
    """A difference as texts: what only one list has, the digits that tell numbers apart."""
    name, (left, right) = named
    if isinstance(left, list) and isinstance(right, list):
        mine = [one for one in left if one not in right]
        theirs = [one for one in right if one not in left]
        if mine or theirs:
            left, right = ", ".join(map(str, mine)), ", ".join(map(str, theirs))
    short = [f"{one:.6g}" if isinstance(one, float) else str(one) for one in (left, right)]
    a, b = short if short[0] != short[1] else (repr(left), repr(right))
    return name, (a, b)


def show_record(record: RunRecord, status: str, *, as_json: bool) -> None:
    """Print what went into a run, how long each step took, and its figures."""
    from msgspec import to_builtins

    if as_json:
        show({"status": status} | to_builtins(record))
        return
    why = "" if record.failure is None else f": {record.failure}"
    head = visible(f"{record.run}, begun {record.began}, {status}{why}")
    out.print(head, soft_wrap=True, markup=False)
    with as_written(record.run, BadFile):
        for name, value in _facts(record).items():
            out.print(f"{name}: {visible(value)}", soft_wrap=True, markup=False, highlight=False)
        if record.figures:
            print_figures(record.figures)
            best = visible(record.figures["best"])
            out.print(f"Best on held-out training rows: {best}.", markup=False)


def print_figures(summary: Mapping[str, Any]) -> None:
    """Print which payments a run learned from and was judged by, and its figures."""
    from shroff.evaluate.metrics import Metrics
    from shroff.evaluate.report import (
        by_cost,
        comparison,
        decisions,
        guaranteed,
        no_review_band,
        payment_parts,
        prequential,
    )

    summary = seen(summary)
    out.print(
        payment_parts(
            {name: (part["payments"], part["frauds"]) for name, part in summary["parts"].items()}
        )
    )
    detectors = summary["detectors"]
    for title, test in (
        ("Training and test payments", "test"),
        ("The same with the test payments of known cards", "test_with_known_cards"),
    ):
        runs = {
            name: (Metrics(**one["train"]), Metrics(**one[test]))
            for name, one in detectors.items()
            if one.get(test)
        }
        if runs:
            out.print(comparison(runs, title=title))
    folded = {name: one["prequential"] for name, one in detectors.items() if "prequential" in one}
    if folded:
        out.print(prequential(folded))
    currency = summary.get("currency")
    thresholds = {name: one["thresholds"] for name, one in detectors.items()}
    out.print(decisions(thresholds, currency=currency))
    priced = {name: one["by_cost"] for name, one in detectors.items() if one.get("by_cost")}
    if priced:
        out.print(by_cost(priced, currency=currency))
    for name, one in detectors.items():
        if one.get("guarantee"):
            out.print(guaranteed(name, one["guarantee"]), soft_wrap=True, highlight=False)
        if said := no_review_band(name, one["thresholds"], one.get("by_cost")):
            out.print(said, soft_wrap=True)
