"""`shroff train` and `report`: detectors compared, the best packaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from shroff.cli.arguments import TABLE_FORMS, Join, Labels, MaxBad, ProjectPath, table
from shroff.cli.runs import find_run, print_figures, recorded, show_record
from shroff.cli.terminal import (
    AsJson,
    as_written,
    err,
    out,
    print_currencies,
    print_dropped,
    print_notices,
    seen,
    show,
    steps,
)
from shroff.cli.tracking import Track, mirrored_run
from shroff.errors import BadFile, BundleError, CheckFailed, ConfigurationError
from shroff.location import Location
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.package import Bundle

_LABELLED: Final = "labelled payments"
"""What the figures of a run count; a log has others besides."""


def train(
    project: ProjectPath,
    data: Annotated[Location | None, table("--data", f"Payments: {TABLE_FORMS}.")] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[@VERSION]",
            help="A training dataset of the feature store instead of --data; a bundle holds it.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="time:70/30[,delay=DAYS], time:START/TRAIN/DELAY/TEST in days, or random:70/30; "
            "the first two take"
            " ,known_cards=drop, which leaves cards with an earlier known fraud out of the test, "
            "and ,folds=N, which also judges N stretches of it, learned anew for each; the second "
            ",early_labels=learn, which learns from what was labelled early in the delay.",
            show_default=False,
        ),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Package the best detector here.", show_default=False)
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a bundle that is there already.")
    ] = False,
    tune: Annotated[
        int,
        typer.Option(
            help="Parameters to try per detector, each on 50,000 rows and for 60 s at most; a "
            "stopped search goes on.",
            min=0,
        ),
    ] = 0,
    doctor: Annotated[
        Literal["quick", "full"],
        typer.Option(help="full: fit each detector once more, with another seed."),
    ] = "quick",
    accept: Annotated[
        list[str] | None,
        typer.Option(help="Package despite what this check of the doctor found; repeatable."),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Go on with this run, which was killed or failed: what it had trained is not "
            "trained again.",
            show_default=False,
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            help="The most memory to use, such as 8GB (SHROFF_MEMORY): what would take more is "
            "refused before it begins. By default what the machine has."
        ),
    ] = None,
    join: Join = None,
    labels: Labels = None,
    max_bad: MaxBad = 0.01,
    track: Track = None,
    as_json: AsJson = False,
) -> None:
    """Train, compare and examine a project's detectors; with --bundle, package the best one if it
    is sound.

    Exit code 1 when the doctor's findings kept it from being packaged.
    """
    from shroff.evaluate.report import findings
    from shroff.experiment import Runs
    from shroff.experiment.doctor import accepted
    from shroff.experiment.fits import Fits
    from shroff.experiment.judgement import evaluations, importances
    from shroff.experiment.runs import FITS_FOLDER
    from shroff.lineage import inputs, parameters
    from shroff.machine import available_bytes
    from shroff.package import read, require_free
    from shroff.pipeline import (
        declared_figures,
        history_notices,
        logged_payments,
        package,
        silent,
        stored_dataset,
        stored_payments,
        summary,
        train_models,
    )
    from shroff.pipeline.memory import require_memory
    from shroff.project import load_project
    from shroff.store import open_store

    if (data is None) == (dataset is None) or (dataset is not None and (join or labels)):
        raise ConfigurationError(
            "expected --data with its options, or --dataset of the feature store alone."
        )
    refused: CheckFailed | None = None
    allowed = accepted(accept or ())
    if bundle is not None:
        require_free(bundle, overwrite=overwrite)
    settings = Settings.read() if memory is None else replace(Settings.read(), memory=memory)
    # before it is read: the payments themselves must not count as memory that is missing
    most = settings.memory_bytes() if settings.memory else available_bytes()
    files = {"data": data, "join": join, "labels": labels}
    asked = {
        "split": split,
        "tune": tune,
        "doctor": doctor,
        "accept": allowed,
        "max_bad": max_bad,
        "dataset": dataset,
    }
    runs = Runs(settings.home / "runs")
    with (
        steps(quiet=as_json) as shown,
        mirrored_run(track, shown) as mirror,
        (
            runs.begin({**asked, "project": str(project), "data": data and str(data)}, {})
            if resume is None
            else runs.resume(resume)
        ) as recording,
    ):
        step = recording.timing(shown)
        step(f"read {dataset or data}")
        loaded = load_project(project)
        recording.describe(parameters(loaded, asked), inputs(loaded, project, files))
        mirror.follow(recording.record.run)
        if dataset is not None:
            payments = stored_payments(loaded, dataset, settings.store)
        elif data is not None:

            def counted(done: int, total: int | None) -> None:
                require_memory(loaded, total or done, most)
                shown.count(done, total)

            key = settings.hmac_key()
            payments = logged_payments(
                loaded, data, key=key, join=join, labels=labels, max_bad=max_bad, count=counted
            )
        require_memory(loaded, payments.frame.height, most)
        storage = settings.home / "tuning.db" if tune else None
        run = train_models(
            loaded,
            payments.frame,
            features=payments.features,
            left_out=payments.left_out,
            split=split,
            tune=tune,
            storage=storage,
            thorough=doctor == "full",
            fits=Fits(recording.folder / FITS_FOLDER),
            progress=step,
            say=silent if as_json else _say,
        )
        step("evaluate")
        recording.evaluation, recording.importance = evaluations(run), importances(run, run.best)
        packaged = None
        if bundle is not None:
            step(f"package {run.best.name}")
            try:
                stored = payments.stored
                packaged = package(
                    loaded, run, bundle, stored=stored, accept=allowed, overwrite=overwrite
                )
                recording.bundle = {
                    "folder": str(packaged.folder.absolute()),
                    "version": packaged.bundle.version,
                    "content": read(packaged.folder).content_digest,
                }
                if stored is not None:
                    open_store(settings.store).pin(stored, packaged.bundle.version)
            except CheckFailed as error:
                refused, recording.refusal = error, str(error)
        recording.inputs = {"table": run.dataset.fingerprint()}
        if payments.stored is not None:
            recording.inputs["dataset"] = stored_dataset(payments.stored)
        recording.figures = summary(run) | {
            "dropped": payments.dropped,
            "dropped_first": payments.first,
            "notices": [
                *payments.notices,
                *(history_notices(run, loaded.plan.horizon) if data is not None else ()),
            ],
        }
        if data is not None and (rated := declared_figures(loaded, payments.frame)):
            recording.figures["schemes"] = rated
    document = recording.figures | {
        "run": recording.record.run,
        "seconds": recording.record.seconds,
        **mirror.document,
    }
    if packaged is not None:
        document["bundle"] = {"folder": str(packaged.folder), "version": packaged.bundle.version}
    if as_json:
        show(document)
    else:
        print_dropped(payments.dropped, payments.first)
        print_currencies(document["currencies"], document["base_currency"], _LABELLED)
        print_notices(document["notices"])
        print_figures(document)
        for trained in run.trained:
            if (found := trained.tuning) is not None:
                out.print(
                    f"Tuned {trained.name} on {found.judged}: {found.parameters}", soft_wrap=True
                )
        out.print(
            findings({"data": run.findings} | {one.name: one.findings for one in run.trained})
        )
        out.print(f"Best on held-out training rows: {run.best.name}.")
        out.print(f"Recorded as run {recording.record.run}.", highlight=False)
        if packaged is not None:
            out.print(f"Packaged as {packaged.folder}, version {packaged.bundle.version}.")
    if refused is not None:
        raise refused


def report(
    run: Annotated[
        str | None,
        typer.Argument(
            help="A run, how its name begins, a bundle or a published version; by default the "
            "latest finished run."
        ),
    ] = None,
    out_file: Annotated[
        Path | None,
        typer.Option("--out", help="Write one HTML file, with charts, here.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Report a run as text, or with --out as one HTML file; of a bundle, what it holds."""
    from shroff.package import load

    if run is not None and out_file is None and (Path(run).is_dir() or "/" in run):
        _report_bundle(load(run), run, as_json=as_json)
        return
    runs, record = recorded(), find_run(run)
    if out_file is None:
        show_record(record, runs.status(record), as_json=as_json)
        return
    from shroff.collect.sources import written_whole
    from shroff.report import render

    with as_written(record.run, BadFile):
        text = render(record).encode()
    with written_whole(out_file, private=True) as file:
        file.write(text)
    if as_json:
        show({"run": record.run, "report": str(out_file), "bytes": len(text)})
    else:
        out.print(
            f"{out_file}: the report of run {record.run}, {len(text):,} bytes.",
            soft_wrap=True,
            highlight=False,
        )


def _report_bundle(loaded: Bundle, name: str, *, as_json: bool) -> None:
    document = {
        "name": loaded.name,
        "version": loaded.version,
        "fingerprint": loaded.fingerprint,
        **loaded.metrics,
    }
    if as_json:
        show(document)
        return
    head = f"{loaded.name}, version {loaded.version}, trained on data {loaded.fingerprint[:12]}"
    out.print(head, markup=False)
    with as_written(name, BundleError):
        _print_report(seen(loaded.name), seen(loaded.metrics))


def _print_report(name: str, metrics: Mapping[str, Any]) -> None:
    from shroff.detect.checks import Finding
    from shroff.evaluate.metrics import Metrics
    from shroff.evaluate.report import confusion, findings

    print_figures(metrics)
    out.print(confusion(Metrics(**metrics["detectors"][name]["test"])))
    subjects = {"data": metrics} | metrics["detectors"]
    out.print(
        findings(
            {
                one: [Finding(**each) for each in it.get("findings", ())]
                for one, it in subjects.items()
            }
        )
    )
    print_currencies(metrics.get("currencies", {}), metrics.get("base_currency"), _LABELLED)
    for check in metrics.get("accepted", ()):
        out.print(f"Packaged despite the check {check}.", markup=False)


def _say(sentence: str) -> None:
    err.print(sentence, soft_wrap=True, markup=False)
