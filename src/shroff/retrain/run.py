"""A retraining: the dataset, the fits, the bundle, and its way into the shadow or to production.

The same records and definitions make one model, however often it is asked for: a run is known by
the digest of what it follows from. Killed before its bundle is whole, it leaves a run that the next
call goes on with; killed behind that, the next call registers the bundle that there is.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec
import polars as pl

from shroff.collect.times import iso_time
from shroff.control.history import GateResult
from shroff.control.models import Models
from shroff.errors import CheckFailed, ConfigurationError, UnsuitableSplit
from shroff.experiment import Runs
from shroff.experiment.fits import Fits
from shroff.experiment.judgement import evaluations, importances
from shroff.experiment.record import RunRecord
from shroff.experiment.runs import FITS_FOLDER, RunRecorder
from shroff.ledger import Records, StoredEntry
from shroff.lineage import inputs, parameters
from shroff.location import Location
from shroff.package import Bundle, read
from shroff.pipeline import package, summary, train_models
from shroff.pipeline.progress import Progress, silent
from shroff.private import private_file, private_folder
from shroff.project import Project
from shroff.promotion import Budget, Contender, Evidence, from_ledger, promote
from shroff.promotion.gates import USUAL_BUDGET
from shroff.retrain.dataset import UNLABELLED, LedgerDataset, ledger_dataset
from shroff.retrain.outcomes import IMMATURE
from shroff.retrain.schedule import RetrainingTerms

_LOCK: Final = "retrain.lock"
_BUNDLE: Final = "bundle"
_DATA: Final = ("payment", "result", "label", "forgotten")
"""Kinds of records that training depends on."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is retrained.

    Attributes:
        project, path: the definitions, and the file or folder that they are in.
        terms: the days, and how labels count.
        now: microseconds since the epoch; later records are not read.
        history: the log from before the ledger, and its clean table.
        labels: the table of labels that is in it, if one.
        to: the stage that a new model is moved to if the gates let it pass.
        by: who asks for it; `budget` and `card` are those of the gates.
        missing: what the model card of a bundle lacks, a sentence each, for the gate.
    """

    project: Project
    path: Path
    terms: RetrainingTerms
    now: int
    missing: Callable[[Bundle], Sequence[str]]
    history: tuple[Location, pl.DataFrame] | None = None
    labels: Location | None = None
    to: Literal["candidate", "production"] = "candidate"
    by: str | None = None
    budget: Budget = USUAL_BUDGET
    card: str | None = None


class Retrained(NamedTuple):
    """What became of a retraining.

    Attributes:
        run: its record.
        version: the model's, None where it was not packaged.
        new: whether it was registered, or refused, now; else that was done before.
        stage: the stage of the model now; None where it was not packaged.
        gates: what the gates found, if they were asked.
        refusal: why it was not packaged.
    """

    run: RunRecord
    version: str | None
    new: bool
    stage: str | None
    gates: tuple[GateResult, ...] = ()
    refusal: str | None = None


def retrain(
    order: Order,
    entries: Records | Sequence[StoredEntry],
    models: Models,
    runs: Runs,
    *,
    progress: Progress = silent,
    say: Progress = silent,
) -> Retrained:
    """Learn anew from the ledger, and register what came of it, once for the same records.

    Args:
        entries: of the ledger, in their order.

    Raises:
        ConfigurationError: another retraining is running, no model is in production, or the
            definitions do not allow it.
        UnsuitableSplit: the ledger has too few days, or no frauds in a part of them.
        BundleError: the model in production does not compute what the new one reads.
    """
    with _alone(runs.folder.parent):
        known = Records(lambda: iter(entries)).until(order.now)
        extent = LedgerExtent.of(known)
        state = state_of(order, extent)
        found = [
            one for one in runs.all() if one.parameters.get("retrain", {}).get("state") == state
        ]
        done = next((one for one in found if runs.status(one) == "finished"), None)
        new = done is None
        if done is None:
            left = next((one for one in reversed(found) if runs.status(one) != "running"), None)
            done = _made(order, known, extent, state, runs, left, progress, say)
        if done.bundle is None:
            return Retrained(done, None, new=new, stage=None, refusal=done.refusal)
        version = done.bundle["version"]
        if version in models:
            stage = models.pointers.stage(version)
            return Retrained(done, version, new=False, stage=stage)
        return _registered(order, known, models, done, progress)


class LedgerExtent(NamedTuple):
    """The time of the first payment (µs), the last record, and the last that a model learns from;
    None where there is none.
    """

    first: int | None = None
    last: StoredEntry | None = None
    last_data: StoredEntry | None = None

    @classmethod
    def of(cls, entries: Iterable[StoredEntry]) -> LedgerExtent:
        first: int | None = None
        last = data = None
        for last in entries:
            if last.kind in _DATA:
                data = last
            if last.kind == "payment" and (first is None or last.time < first):
                first = last.time
        return cls(first, last, data)


def state_of(order: Order, extent: LedgerExtent) -> str:
    """The digest of all that a retraining follows from: records, days and definitions."""
    last = extent.last_data
    asked = {
        "record": None if last is None else [last.seq, last.chain.hex()],
        "mature": order.terms.mature(order.now),
        "definitions": _definitions(order),
    }
    return sha256(msgspec.json.encode(asked, enc_hook=str, order="sorted")).hexdigest()


def _definitions(order: Order) -> dict[str, Any]:
    tables = _tables(order)
    terms = msgspec.to_builtins(order.terms)
    found = inputs(order.project, order.path, tables)
    found["project"].pop("folder")
    return {"terms": terms, "parameters": parameters(order.project, {}), "inputs": found}


def _tables(order: Order) -> dict[str, Location | None]:
    """The tables that are read besides the ledger, by their roles."""
    return {"data": None if order.history is None else order.history[0], "labels": order.labels}


def _made(
    order: Order,
    entries: Records,
    extent: LedgerExtent,
    state: str,
    runs: Runs,
    left: RunRecord | None,
    progress: Progress,
    say: Progress,
) -> RunRecord:
    """The record of the run that trained and packaged the model; `left` is one to go on with."""
    terms, project = order.terms, order.project
    asked = {"retrain": {"state": state, **msgspec.to_builtins(terms)}}
    begun = runs.begin({**asked, "project": str(order.path)}, {})
    with begun if left is None else runs.resume(left.run) as recording:
        step = recording.timing(progress)
        first = order.now if extent.first is None else extent.first
        if order.history is not None:
            earliest = order.history[1][project.plan.schema.time].min()
            first = min(first, int(pl.Series([earliest]).dt.epoch("us").item() or first))
        split = terms.split(first, order.now, early=project.plan.schema.labelled_at is not None)
        tables = _tables(order)
        recording.describe(
            parameters(project, {**asked, "split": str(split)}),
            inputs(project, order.path, tables),
        )
        data = ledger_dataset(
            project,
            entries,
            mature=terms.mature(order.now),
            feedback=terms.feedback,
            repeats=terms.repeats,
            history=None if order.history is None else order.history[1],
            progress=step,
        )
        try:
            _train(order, data, str(split), recording, step, say)
        except UnsuitableSplit as error:
            raise _unripe(error, data, terms.delay_days) from None
        recording.inputs["ledger"] = _lineage(extent.last, order)
        recording.figures |= {"ledger": _counts(data)}
    return recording.record


def _unripe(error: UnsuitableSplit, data: LedgerDataset, delay_days: int) -> UnsuitableSplit:
    """The error of a split with what a retraining can do: another split is not asked of it."""
    found = str(error).partition("; this log")[0]
    young, _ = data.left_out.get(IMMATURE, (0, None))
    since = f"less than {delay_days} whole days (UTC) ago" if delay_days else "today (UTC)"
    left_out = (
        f" In the ledger {young:,} payments without a label arrived {since}, too young to be "
        "genuine."
    )
    shorter = "say a shorter delay (--label-delay), " if delay_days else ""
    return UnsuitableSplit(
        f"{found}.{left_out if young else ''} Wait, {shorter}or judge on another number of days "
        "(--test-days)."
    )


def _train(
    order: Order,
    data: LedgerDataset,
    split: str,
    recording: RunRecorder,
    step: Callable[[str], None],
    say: Progress,
) -> None:
    run = train_models(
        order.project,
        data.frame,
        features=data.features,
        left_out={why: count for why, count in data.left_out.items() if why != UNLABELLED},
        stands=data.stands,
        repeats=data.repeats,
        split=split,
        fits=Fits(recording.folder / FITS_FOLDER),
        progress=step,
        say=say,
    )
    step("evaluate")
    recording.evaluation, recording.importance = evaluations(run), importances(run, run.best)
    recording.figures = summary(run)
    recording.inputs = {"table": run.dataset.fingerprint()}
    step(f"package {run.best.name}")
    try:
        packaged = package(
            order.project,
            run,
            recording.folder / _BUNDLE,
            accept=order.terms.accept,
            overwrite=True,
        )
    except CheckFailed as error:
        recording.refusal = str(error)
        return
    recording.bundle = {
        "folder": str(packaged.folder.absolute()),
        "version": packaged.bundle.version,
        "content": read(packaged.folder).content_digest,
    }


def _lineage(last: StoredEntry | None, order: Order) -> dict[str, Any]:
    return {
        "records": 0 if last is None else last.seq,
        "head": "" if last is None else f"{last.seq}:{last.chain.hex()}",
        "known_at": iso_time(order.now, "seconds"),
    }


def _counts(data: LedgerDataset) -> dict[str, Any]:
    return {
        "payments": data.known,
        "labelled_by_investigators": data.feedback,
        "of_the_control_lane": data.lane,
        "stand_for": int(data.stands.sum()) - (len(data.frame) - data.known),
        "left_out": {why: many for why, (many, _) in data.left_out.items()},
    }


def _registered(
    order: Order,
    entries: Records,
    models: Models,
    record: RunRecord,
    progress: Progress,
) -> Retrained:
    """The packaged model on its way through the gates; not what was put in its place since."""
    bundle = record.bundle or {}
    folder = Path(bundle["folder"])
    if read(folder).content_digest != bundle["content"]:
        raise ConfigurationError(
            f"{folder}: expected the bundle that the run {record.run} packaged, got another: put "
            "it back, or remove the folder of the run, to learn again."
        )
    progress("decide the same payments by both models")

    def evidence(candidate: Contender, incumbent: Contender | None) -> Evidence:
        if incumbent is None:
            raise ConfigurationError(
                "expected a model in production to compare with, got none: publish the first one "
                f"with `shroff publish {bundle['folder']}`."
            )
        return from_ledger(
            candidate,
            incumbent,
            entries,
            now=order.now,
            card=order.card,
            delay_days=order.terms.delay_days,
        )

    done = promote(
        models,
        folder,
        order.to,
        evidence,
        by=order.by,
        why=f"retrained on what the ledger knew at {iso_time(order.now, 'seconds')}, run "
        f"{record.run}",
        missing=order.missing,
        budget=order.budget,
    )
    return Retrained(record, bundle["version"], new=True, stage=done.stage, gates=done.gates)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Refuse to work where another process retrains; the lock ends with its process."""
    private_folder(folder)
    private_file(folder / _LOCK)
    with (folder / _LOCK).open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"{folder}: another retraining is running: wait for its end."
            ) from None
        yield
