"""The whole path from a raw table to a bundle, as the command line and the demo walk it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import polars as pl

from shroff.collect import Cleaned, CleanFiles, Schema, clean, clean_large, parquet_rows, read, read_joined
from shroff.collect.cards import long_numbers
from shroff.collect.currencies import codes_of, payments_by_currency, require_one_currency
from shroff.collect.extent import extent
from shroff.collect.labels import read_labels, with_labels
from shroff.collect.wire import live_scales
from shroff.decide.policy import Policy
from shroff.errors import CheckFailed, ConfigurationError
from shroff.evaluate import Metrics, Thresholds, parse_split
from shroff.experiment import Dataset, Run, Trained, train
from shroff.experiment.doctor import accepted, examine_data
from shroff.experiment.stored import read_stored
from shroff.features.engines.batch.disk import Slice, compute_slices, fits, slice_rows
from shroff.package import Bundle, check_model, require_free, save, try_model
from shroff.project import Project
from shroff.store import FeatureStore, TrainingData, feature_table, payment_table, split_name

Progress = Callable[[str], None]


def silent(step: str) -> None:
    """Progress that nobody watches."""


def collect_table(
    project: Project,
    data: str | Path,
    *,
    key: bytes,
    join: str | Path | None = None,
    labels: str | Path | None = None,
    max_bad: float = 0.01,
) -> Cleaned:
    """Read and clean a project's table, joined with a second one where the project says so.

    Args:
        labels: a table of what was said of the payments, whose labels changed (`shroff.collect.labels`).

    Raises:
        ConfigurationError: a second table where the project joins none, or none where it does.
        DataError: the files are unusable.
    """
    if (join is None) != (project.join is None):
        wanted = f"a second table, joined on `{project.join}`" if project.join else "one table only: it has no `join=`"
        raise ConfigurationError(f"the project expects {wanted}; pass --join accordingly.")
    schema = project.plan.schema
    dialect = schema.csv_dialect
    raw = (
        read(data, dialect=dialect)
        if join is None
        else read_joined(data, join, on=str(project.join), max_bad=max_bad, dialect=dialect)
    )
    cleaned = clean(raw, schema, key=key, max_bad=max_bad, source=str(data))
    return cleaned if labels is None else _labelled(cleaned, labels, schema)


def _labelled(cleaned: Cleaned, labels: str | Path, schema: Schema) -> Cleaned:
    said = read_labels(read(labels, dialect=schema.csv_dialect), schema, source=str(labels))
    strange = int((~said[schema.id].is_in(cleaned.frame[schema.id].implode())).sum())
    dropped = {f"{labels}: expected the id of a payment in the table": strange} if strange else {}
    return replace(cleaned, frame=with_labels(cleaned.frame, said, schema), dropped=cleaned.dropped | dropped)


@dataclass(frozen=True)
class Payments:
    """Payments to learn from, and what is to be said of them.

    Attributes:
        frame: the clean table; `features` of it in its order, where they need not be computed.
        dropped: unusable rows by reason, with the first row of each in `first`.
        stored: the training dataset that they are of, if one.
    """

    frame: pl.DataFrame
    features: pl.DataFrame | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    first: Mapping[str, int] = field(default_factory=dict)
    notices: Sequence[str] = ()
    stored: TrainingData | None = None


def logged_payments(
    project: Project,
    data: str | Path,
    *,
    key: bytes,
    join: str | Path | None = None,
    labels: str | Path | None = None,
    max_bad: float = 0.01,
) -> Payments:
    """The payments of a raw log, as `collect_table` cleans them."""
    cleaned = collect_table(project, data, key=key, join=join, labels=labels, max_bad=max_bad)
    notices = cleaned.notices(project.schema)
    return Payments(frame=cleaned.frame, dropped=cleaned.dropped, first=cleaned.first, notices=notices)


def stored_payments(project: Project, dataset: str, root: str | Path) -> Payments:
    """The payments of a training dataset, `NAME` or `NAME@VERSION`, with the features that it holds.

    Raises:
        NotFound: the store has none of this name.
        ConfigurationError: it does not fit the project.
    """
    found = read_stored(FeatureStore(root).dataset(*split_name(dataset)), project.features, project.plan)
    return Payments(frame=found.frame, features=found.features, notices=found.notices, stored=found.data)


def store_features(
    project: Project, frame: pl.DataFrame, table: pl.DataFrame, root: str | Path, *, batch: str | None = None
) -> list[str]:
    """Write clean payments and their features to a feature store: a group each, keyed by the payment's id.

    Args:
        frame: the clean payments, and `table` their features in the same order.
        batch: appends them under this name, once however often it is called; without it they take the place of what the
            groups have, and where they are the same nothing is written.

    Returns:
        What was written, in words.

    Raises:
        BadFile: some of the payments to append are in the store already.
        BatchConflict: a batch of this name was written with other payments.
        ConfigurationError: a feature changed its meaning under the same version of its group.
    """
    store, plan = FeatureStore(root), project.plan
    times = frame.select(name for name in (plan.schema.time, plan.schema.arrived_at) if name is not None)
    whole = table.hstack(times)
    payments = store.fitting(payment_table(frame, plan.schema))
    groups = [(payments, frame.select(*payments.columns))]
    for one in project.features:
        group = feature_table(one, plan)
        groups.append((group, whole.select(*group.columns)))
    written: list[str] = []
    for group, rows in groups:
        target = store.group(group)
        version = target.replace(rows) if batch is None else target.write(rows, batch=batch)
        written.append(f"{target.place.uri}, table version {version.number}")
    return written


def is_large(project: Project, data: str | Path, *, memory: int) -> bool:
    """Whether a Parquet file's features need more than so many bytes when they are computed at once."""
    return str(data).lower().endswith(".parquet") and not fits(project.plan, parquet_rows(data), memory)


def features_by_disk(
    project: Project,
    data: str | Path,
    target: Path,
    *,
    key: bytes,
    memory: int,
    max_bad: float = 0.01,
    progress: Progress = silent,
) -> CleanFiles:
    """Clean a raw Parquet file and compute its features within so many bytes, into one Parquet file.

    What it writes is what `collect_table`, `compute_plan` and `write_parquet` write. What is in between goes to a
    folder beside the target, which needs room for about the clean table and the features together, uncompressed.

    Returns:
        What cleaning found and how many payments it kept; the clean files are gone.

    Raises:
        ConfigurationError: the project joins a second table.
        DataError: the file is unusable.
    """
    if project.join is not None:
        raise ConfigurationError("the project joins a second table; that needs memory for both: raise SHROFF_MEMORY.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".shroff-", dir=target.parent) as folder:
        progress(f"read and clean {data} in slices")
        rows = slice_rows(project.plan, memory)
        cleaned = clean_large(data, project.plan.schema, Path(folder), key=key, rows=rows, max_bad=max_bad)
        slices, first = [], 0
        for path, many in cleaned.files:
            slices.append(Slice(pl.scan_parquet(path, glob=False), first, many))
            first += many
        progress("compute features by disk")
        compute_slices(project.plan, slices, target, memory=memory)
        return cleaned


def train_models(
    project: Project,
    frame: pl.DataFrame,
    *,
    features: pl.DataFrame | None = None,
    split: str | None = None,
    tune: int = 0,
    storage: Path | None = None,
    thorough: bool = False,
    progress: Progress = silent,
    say: Progress = silent,
) -> Run:
    """Compute features over a clean table, then train and compare the project's detectors.

    Args:
        features: of the table in its order, where they are stored already.
        tune: parameters to try per detector, on validation folds inside the training part.
        storage: SQLite file in which a search goes on where it stopped.
        thorough: whether the doctor also fits each detector with another seed.
        say: called before the first fit with a sentence about what the log and its split allow.

    Raises:
        ConfigurationError: no detectors, or no label.
        UnsuitableSplit: a split that the log does not allow; it names one that the log allows, if there is one.
        MixedCurrencies: something reads amounts that are in several currencies.
    """
    asked = split or project.split
    chosen = parse_split(asked) if isinstance(asked, str) else asked
    schema = project.plan.schema
    require_one_currency(partial(codes_of, frame, schema), schema, _reader_of_amounts(project))
    if features is None:
        progress("compute features")
    dataset = Dataset.build(frame, project.plan, features=features, inputs=project.inputs, card=project.card_column)
    run = train(
        dataset,
        project.detectors,
        chosen,
        cost=project.policy.cost,
        reviews_per_day=project.policy.reviews_per_day,
        lists=project.policy.lists,
        tune=tune,
        storage=storage,
        thorough=thorough,
        progress=progress,
        say=say,
    )
    progress("examine the data")
    found = tuple(examine_data(dataset, frame, project.plan, parse_split(run.split), run.rows))
    trained = tuple(replace(one, thresholds=_in_force(one, project.policy)) for one in run.trained)
    return replace(run, trained=trained, findings=found)


def _in_force(trained: Trained, policy: Policy) -> Thresholds:
    """The thresholds that a detector would be served with: the policy's own where it gives them."""
    found = policy.with_thresholds(trained.thresholds.review_at, trained.thresholds.decline_at)
    if found.review_at is None or found.decline_at is None:
        return trained.thresholds
    return trained.kept.at(found.review_at, found.decline_at, policy.cost)


def _reader_of_amounts(project: Project) -> str | None:
    """What reads amounts besides features and inputs, in words."""
    amount, policy = project.schema.amount, project.policy
    for rule in policy.rules:
        if amount in project.columns_of(rule.condition):
            return f"the rule `{rule.name}`"
    for detector in project.detectors:
        if any(amount in project.columns_of(condition) for condition in detector.conditions):
            return f"the detector `{detector.name}`"
    return 'the cost of a missed fraud (`missed="amount"`)' if policy.cost.missed == "amount" else None


@dataclass(frozen=True)
class Packaged:
    """A bundle and where it was written."""

    bundle: Bundle
    folder: Path


def package(
    project: Project,
    run: Run,
    folder: str | Path,
    *,
    trained: Trained | None = None,
    stored: TrainingData | None = None,
    accept: Iterable[str] = (),
    overwrite: bool = False,
) -> Packaged:
    """Write the best detector of a run (or the one given) as a bundle, after checking its ONNX model.

    Args:
        stored: the training dataset of the store that the run learned from; the bundle names it.
        accept: the doctor's checks by name whose failures are known and accepted.
        overwrite: whether a bundle that is there already is replaced.

    Raises:
        CheckFailed: the doctor found a failure that is not accepted.
        BundleError: the ONNX model does not pass its trial or does not score as the detector does, or the folder is
            taken.
        ConfigurationError: the policy holds a card number.
    """
    chosen = trained or run.best
    accept = accepted(accept)
    require_free(folder, overwrite=overwrite)
    failures = run.failures(chosen, accept=accept)
    if failures:
        sentences = "; ".join(one.sentence for one in failures)
        options = " ".join(f"--accept {name}" for name in dict.fromkeys(one.check for one in failures))
        raise CheckFailed(f"{chosen.name} is not packaged: {sentences}. To package it nevertheless, pass {options}.")
    numbers = long_numbers(run.dataset.table, _open_columns(project.plan.schema))
    project.policy.require_no_cards(numbers)
    model = chosen.detector.to_onnx().SerializeToString()
    try_model(model, chosen.preparation)
    table = (
        run.dataset.table
        if not chosen.detector.conditions
        else run.dataset.conditions(chosen.detector.conditions, project.policy.lists)
    )
    X = chosen.preparation.matrix(table[run.rows.test[:2_000]])
    check_model(model, X, chosen.detector.score(X))
    given = project.policy
    policy = given.with_thresholds(chosen.thresholds.review_at, chosen.thresholds.decline_at)
    bundle = Bundle(
        name=chosen.name,
        schema=project.plan.schema,
        groups=tuple(project.features),
        preparation=chosen.preparation,
        calibration=chosen.calibration,
        conditions=tuple(chosen.detector.conditions),
        policy=msgspec.to_builtins(policy),
        metrics=summary(run) | {"accepted": accept, "dataset": None if stored is None else _named(stored)},
        fingerprint=run.dataset.fingerprint(),
        currency=run.dataset.currency,
        numbers=numbers,
        history=extent(run.dataset.table, run.dataset.schema),
        model=model,
        held_out=chosen.kept,
        chosen=given.open,
        vectors=tuple(project.token_vectors[name] for name in project.plan.vectors),
    )
    return Packaged(save(bundle, folder), Path(folder))


def _named(stored: TrainingData) -> dict[str, Any]:
    lineage = [msgspec.to_builtins(one) for one in stored.manifest.lineage]
    return {"name": stored.name, "version": stored.version, "content": stored.manifest.content, "lineage": lineage}


def _open_columns(schema: Schema) -> list[str]:
    """The columns of a live payment whose texts anybody can read."""
    return [name for name, scale in live_scales(schema).items() if scale in ("id", "nominal", "key")]


def summary(run: Run) -> dict[str, Any]:
    """A run as plain JSON: the split, its sizes, and every detector's figures."""
    return {
        "split": run.split,
        "outlook": run.outlook,
        "parts": {part.name: {"payments": part.payments, "frauds": part.frauds} for part in run.parts},
        "inputs": [*run.dataset.numeric, *run.dataset.nominal],
        "currencies": payments_by_currency(run.dataset.table, run.dataset.schema),
        "base_currency": run.dataset.schema.base,
        "best": run.best.name,
        "findings": [finding.to_dict() for finding in run.findings],
        "detectors": {
            trained.name: {
                "held_out_average_precision": trained.held_out,
                "train": trained.train.to_dict(),
                "test": trained.test.to_dict(),
                "test_with_known_cards": _figures(trained.test_with_known_cards),
                "thresholds": {
                    "review_at": trained.thresholds.review_at,
                    "decline_at": trained.thresholds.decline_at,
                    "review_band": trained.thresholds.review_band,
                    **trained.kept.a_day(trained.thresholds, run.cost),
                },
                "seconds": round(trained.seconds, 3),
                "tuning": None if trained.tuning is None else trained.tuning.to_dict(),
                "findings": [finding.to_dict() for finding in trained.findings],
            }
            for trained in run.trained
        },
    }


def _figures(metrics: Metrics | None) -> dict[str, int | float | None] | None:
    return None if metrics is None else metrics.to_dict()
