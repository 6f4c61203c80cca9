"""What a job sends: a recorded run with its files, or the models of an installation with stages."""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shroff.control.models import Models
from shroff.control.pointers import Pointers
from shroff.errors import BadFile, BundleError
from shroff.experiment import RunRecord, Runs
from shroff.experiment.runs import RECORD_FILE
from shroff.package import Bundle, load
from shroff.package.files import MANIFEST
from shroff.package.pyfunc import write_pyfunc
from shroff.report import render
from shroff.tracking.document import TrackedRun, experiment_of, tracked
from shroff.tracking.job import Job

if TYPE_CHECKING:
    from shroff.tracking.store import Store

_LOCK_SECONDS: Final = 5.0
"""How long the lock of a killed process may take to go."""
_BUNDLE_FILES: Final = (MANIFEST, "schema.json", "features.json", "metrics.json")
"""What is shown of a bundle; its policy has lists, which may name people."""


def send_run(job: Job, store: Store, *, ended: bool) -> int:
    """Send a run as its record says it is; returns how many runs MLflow has of it.

    Args:
        ended: whether the process that trained has ended.
    """
    runs = Runs(Path(job.home, "runs"))
    record = runs.find(str(job.run))
    give_up = time.monotonic() + _LOCK_SECONDS
    while ended and runs.status(record) == "running" and time.monotonic() < give_up:
        time.sleep(0.05)
    record = runs.find(record.run)
    run = tracked(record, runs.status(record))
    one = store.send(run, store.experiment(job.name or experiment_of(record)))
    if record.ended is not None:
        with tempfile.TemporaryDirectory() as folder:
            _keep_files(runs.folder / record.run / RECORD_FILE, record, Path(folder))
            store.upload(one, Path(folder))
    return 1 + len(run.nested)


def _keep_files(written: Path, record: RunRecord, folder: Path) -> None:
    shutil.copyfile(written, folder / "record.json")
    if record.failure is None and record.evaluation:
        (folder / "report.html").write_text(render(record), encoding="utf-8")
    if record.bundle is not None:
        place = Path(record.bundle["folder"])
        # it may be elsewhere by now, or another one may be there
        with suppress(BundleError, BadFile):
            if load(place).version == record.bundle["version"]:
                (folder / "bundle").mkdir()
                for name in _BUNDLE_FILES:
                    shutil.copyfile(place / name, folder / "bundle" / name)


def send_models(job: Job, store: Store) -> int:
    """Register published models as versions, and let aliases point to their stages; returns how
    many versions there are.
    """
    models, name = Models(job.models), job.name or "shroff"
    pointers = models.pointers
    there = store.versions(name)
    staged = (pointers.production, pointers.shadow)
    for version in models.versions:
        if version not in there and (job.everything or version in staged):
            run = _with_model(store, models.load(version), name)
            there[version] = store.register(name, version, run)
    for version, one in there.items():
        if version in models:
            store.describe(name, one, *_standing(pointers, version))
    roles = {"production": pointers.production, "candidate": pointers.shadow}
    store.point(
        name,
        {
            role: None if version is None else str(there[version].version)
            for role, version in roles.items()
        },
    )
    return len(there)


def _with_model(store: Store, bundle: Bundle, name: str) -> str:
    """The run of a bundle, which has its model as an artefact; one is made where none of ours made
    the bundle.
    """
    run = store.run_with_bundle(bundle.version)
    if run is None:
        moment = datetime.strptime(bundle.created, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        began = int(moment.timestamp() * 1000)
        run = store.send(
            TrackedRun(
                key=f"bundle-{bundle.version}",
                name=f"{bundle.name} {moment:%Y-%m-%d %H:%M}",
                status="FINISHED",
                began=began,
                ended=began,
                tags={"shroff.bundle": bundle.version, "mlflow.source.name": "shroff publish"},
            ),
            store.experiment(name),
        )
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "model"
        try:
            write_pyfunc(bundle, place)
        except (
            BundleError
        ):  # a model of rules runs in Shroff only; what it is can be seen all the same
            place.mkdir()
            (place / "bundle.txt").write_text(f"{bundle.version}\n")
        store.upload(run, place, "model")
    return run


def _standing(pointers: Pointers, version: str) -> tuple[dict[str, str], str]:
    """The tags of a version, and in words who put it where it is, and why."""
    moves = [one for one in pointers.changes if one.version == version and one.moved]
    tags: dict[str, str] = {"shroff.stage": pointers.stage(version)}
    if not moves:
        return tags, ""
    last = moves[-1]
    tags |= {"shroff.by": last.by or "", "shroff.at": last.at, "shroff.forced": str(last.forced)}
    return tags, f"{last.action} {last.role}, {last.at}: {last.note or ''}"
