"""From clean payments to trained detectors, and from the best of them to a bundle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import polars as pl

from shroff.arrays import Ints
from shroff.collect import Schema
from shroff.collect.card_columns import long_numbers
from shroff.collect.currencies import codes_of, payments_by_currency, require_one_currency
from shroff.collect.extent import extent
from shroff.collect.wire import live_scales
from shroff.decide.choice import (
    choose,
    chosen_fields,
    count_at,
    figures,
    guarantee_of,
    priced,
)
from shroff.decide.policy import Policy
from shroff.decide.weighing import amounts_read
from shroff.errors import CheckFailed, ConfigurationError
from shroff.evaluate import Metrics, parse_split
from shroff.evaluate.guarantee import first_declines
from shroff.experiment import Dataset, Run, Trained, train
from shroff.experiment.doctor import accepted, examine_data
from shroff.experiment.fits import Fits
from shroff.experiment.prequential import told
from shroff.package import Bundle, check_model, require_free, save, try_model
from shroff.pipeline.progress import Progress, silent
from shroff.pipeline.references import training_reference
from shroff.project import Project
from shroff.store import TrainingData


def train_models(
    project: Project,
    frame: pl.DataFrame,
    *,
    features: pl.DataFrame | None = None,
    left_out: Mapping[str, tuple[int, int | None]] = MappingProxyType({}),
    stands: Ints | None = None,
    repeats: Ints | None = None,
    split: str | None = None,
    tune: int = 0,
    storage: Path | None = None,
    thorough: bool = False,
    fits: Fits | None = None,
    progress: Progress = silent,
    say: Progress = silent,
) -> Run:
    """Compute features over a clean table, then train and compare the project's detectors.

    Args:
        features: of the table in its order, where they are stored already.
        left_out: payments, and frauds where known, that the table lacks, by reason.
        stands, repeats: how many payments each row stands for, and how often detectors learn from
            it; by default one and once (`Dataset`).
        tune: parameters to try per detector, on validation folds inside the training part.
        storage: SQLite file from which a stopped search resumes.
        thorough: whether the doctor also fits each detector with another seed.
        fits: where finished fits are kept; existing ones are not repeated.
        say: called before the first fit with a sentence about the log and its split.

    Raises:
        ConfigurationError: no detectors, or no label.
        UnsuitableSplit: the log does not allow the split; the message names one that it allows, if
            any.
        MixedCurrencies: something reads amounts that are in several currencies.
    """
    asked = split or project.split
    chosen = parse_split(asked) if isinstance(asked, str) else asked
    schema = project.plan.schema
    if schema.label is None:
        raise ConfigurationError(
            "expected a schema that names its label column: Schema(label=…). Detectors that learn "
            "without labels are calibrated, compared and given thresholds by them too "
            "(docs/detectors.md says how to begin without any)."
        )
    require_one_currency(partial(codes_of, frame, schema), schema, _reader_of_amounts(project))
    if features is None:
        progress("compute features")
    dataset = Dataset.build(
        frame,
        project.plan,
        features=features,
        inputs=project.inputs,
        card=project.card_column,
        left_out=left_out,
        stands=stands,
        repeats=repeats,
    )
    run = train(
        dataset,
        project.detectors,
        chosen,
        cost=project.policy.cost,
        capacity=project.policy.capacity,
        max_genuine_declines=project.policy.max_genuine_declines,
        lists=project.policy.lists,
        tune=tune,
        storage=storage,
        thorough=thorough,
        fits=fits,
        progress=progress,
        say=say,
    )
    progress("examine the data")
    rows = run.rows.once
    found = tuple(examine_data(dataset, frame, project.plan, parse_split(run.split), rows))
    trained = tuple(_governed(one, project.policy) for one in run.trained)
    return replace(run, trained=trained, findings=found)


def _governed(trained: Trained, policy: Policy) -> Trained:
    """A detector with the thresholds and the price of a review that it would be served with."""
    served = choose(policy, trained.kept, trained.daily)
    return replace(
        trained,
        thresholds=count_at(served, trained.kept, trained.daily),
        declines_from=served.declines_from or 0.0,
        guarantee=guarantee_of(policy, trained.kept) if policy.unguarded else None,
        review_price=served.review_price if served.decide_by == "cost" else None,
        by_cost=figures(served, trained.daily),
    )


def _reader_of_amounts(project: Project) -> str | None:
    """What reads amounts besides features and inputs, for the message."""
    amount, policy = project.schema.amount, project.policy
    for rule in policy.rules:
        if amount in project.columns_of(rule.condition):
            return f"the rule `{rule.name}`"
    for detector in project.detectors:
        if any(amount in project.columns_of(condition) for condition in detector.conditions):
            return f"the detector `{detector.name}`"
    return next(iter(amounts_read(policy.cost, amount, project.known)), None)


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
    """Write the best detector of a run, or a given one, as a bundle; checks its ONNX model.

    Args:
        stored: the training dataset of the store that the run learned from; the bundle names it.
        accept: names of the doctor's checks whose failures are accepted.
        overwrite: whether an existing bundle is replaced.

    Raises:
        CheckFailed: the doctor found a failure that is not accepted.
        BundleError: the ONNX model does not pass its trial or does not score as the detector does,
            or the folder is taken.
        ConfigurationError: the policy holds a card number.
    """
    best = trained or run.best
    accept = accepted(accept)
    require_free(folder, overwrite=overwrite)
    failures = run.failures(best, accept=accept)
    if failures:
        sentences = "; ".join(one.sentence for one in failures)
        options = " ".join(
            f"--accept {name}" for name in dict.fromkeys(one.check for one in failures)
        )
        raise CheckFailed(
            f"{best.name} is not packaged: {sentences}. To package it nevertheless, pass {options}."
        )
    numbers = long_numbers(run.dataset.table, _open_columns(project.plan.schema))
    project.policy.require_no_cards(numbers)
    model = best.detector.to_onnx().SerializeToString()
    try_model(model, best.preparation)
    table = (
        run.dataset.table
        if not best.detector.conditions
        else run.dataset.conditions(best.detector.conditions, project.policy.lists)
    )
    X = best.preparation.matrix(table[run.rows.test[:2_000]])
    check_model(model, X, best.detector.score(X))
    given = project.policy
    policy = choose(given, best.kept, best.daily)
    bundle = Bundle(
        name=best.name,
        schema=project.plan.schema,
        groups=tuple(project.features),
        preparation=best.preparation,
        calibration=best.calibration,
        conditions=tuple(best.detector.conditions),
        policy=msgspec.to_builtins(policy),
        metrics=summary(run)
        | {"accepted": accept, "dataset": None if stored is None else stored_dataset(stored)}
        | ({} if project.join is None else {"join": project.join})
        | ({} if project.card is None else {"card": project.card}),
        fingerprint=run.dataset.fingerprint(),
        currency=run.dataset.currency,
        numbers=numbers,
        history=extent(run.dataset.table, run.dataset.schema),
        model=model,
        # bundles without a guarantee are as those of earlier releases
        held_out=best.kept
        if given.max_genuine_declines is not None
        else msgspec.structs.replace(best.kept, declines=None),
        daily=best.daily,
        chosen=chosen_fields(given, policy),
        vectors=tuple(project.token_vectors[name] for name in project.plan.vectors),
    )
    usual = training_reference(bundle, run, best.judged, project.plan.horizon)
    return Packaged(save(replace(bundle, reference=usual), folder), Path(folder))


def stored_dataset(stored: TrainingData) -> dict[str, Any]:
    """A training dataset of the store: its name, version, content hash and lineage."""
    lineage = [msgspec.to_builtins(one) for one in stored.manifest.lineage]
    return {
        "name": stored.name,
        "version": stored.version,
        "content": stored.manifest.content,
        "lineage": lineage,
    }


def _open_columns(schema: Schema) -> list[str]:
    """The columns of a live payment that are not hashed and may hold long numbers."""
    return [
        name
        for name, scale in live_scales(schema).items()
        if scale in ("id", "nominal", "key", "numeric")
    ]


def summary(run: Run) -> dict[str, Any]:
    """A run as plain JSON: the split, its sizes, and the figures of every detector."""
    return {
        "split": run.split,
        "outlook": run.outlook,
        "parts": {
            part.name: {"payments": part.payments, "frauds": part.frauds} for part in run.parts
        },
        "inputs": [*run.dataset.numeric, *run.dataset.nominal],
        "currencies": payments_by_currency(run.dataset.table, run.dataset.schema),
        "base_currency": run.dataset.schema.base,
        "currency": run.dataset.currency,
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
                    **priced(run.cost, trained.kept, trained.daily).a_day(
                        trained.thresholds, run.cost
                    ),
                },
                "by_cost": trained.by_cost,
                **_guaranteed(run, trained),
                **({"prequential": told(trained.prequential)} if trained.prequential else {}),
                "tuning": None if trained.tuning is None else trained.tuning.to_dict(),
                "findings": [finding.to_dict() for finding in trained.findings],
            }
            for trained in run.trained
        },
    }


def _guaranteed(run: Run, trained: Trained) -> dict[str, Any]:
    """The guarantee on declines, if the policy asks for one, and what became of it on test
    payments.
    """
    if trained.guarantee is None:
        return {}
    data, rows = run.dataset, run.rows.test
    cards, genuine = first_declines(
        data.y[rows],
        trained.judged,
        None if data.cards is None else data.cards[rows],
        data.time[rows],
        trained.guarantee.declines_from,
    )
    test = {"cards": cards, "genuine": genuine}
    return {"guarantee": msgspec.to_builtins(trained.guarantee) | {"test": test}}


def _figures(metrics: Metrics | None) -> dict[str, int | float | None] | None:
    return None if metrics is None else metrics.to_dict()
