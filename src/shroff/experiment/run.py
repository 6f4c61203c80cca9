"""One run: every detector trained, calibrated and measured on the same split."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from shroff.arrays import Bools, Ints
from shroff.detect import Detector
from shroff.detect.checks import Finding
from shroff.errors import ConfigurationError
from shroff.evaluate import AnySplit, Cost, Split, TemporalSplit, describe_split, fit_split
from shroff.evaluate.guarantee import require_enough
from shroff.evaluate.survey import count_frauds
from shroff.experiment.costs import require_known_costs
from shroff.experiment.dataset import Dataset
from shroff.experiment.fits import Fits, fit_digest, table_digest
from shroff.experiment.folds import Folds, choose_folds
from shroff.experiment.prequential import judge, successive_rows
from shroff.experiment.training import Trained, TrainingJob


@dataclass(frozen=True)
class SplitPart:
    """One part of a split, or of what it left out: payments, and frauds (None: unknown)."""

    name: str
    payments: int
    frauds: int | None


@dataclass(frozen=True)
class Run:
    """All detectors of one run on one split.

    Thresholds were chosen by `cost` and `capacity`; `outlook` describes the split, how uncertain
    its figures are, and what was held out of the training part; `findings` are the doctor's, about
    the data and the split.
    """

    dataset: Dataset
    split: str
    rows: Split
    trained: tuple[Trained, ...]
    cost: Cost = field(default_factory=Cost)
    capacity: float | None = None
    outlook: str = ""
    findings: tuple[Finding, ...] = ()

    def failures(self, trained: Trained, *, accept: Collection[str] = ()) -> list[Finding]:
        """The findings that prevent packaging, except those of the checks in `accept`."""
        found = (*self.findings, *trained.findings)
        return [
            finding
            for finding in found
            if finding.severity == "failure" and finding.check not in accept
        ]

    @property
    def parts(self) -> tuple[SplitPart, ...]:
        """Every labelled and unlabelled payment once: `train`, `test`, then those left out, by the
        reasons of the split and of a dataset of the store.
        """
        y, rows = (
            self.dataset.y,
            {"train": self.rows.train, "test": self.rows.test} | dict(self.rows.left_out),
        )
        parts = [SplitPart(name, len(part), int(y[part].sum())) for name, part in rows.items()]
        if self.dataset.unlabelled:
            parts.append(SplitPart("unlabelled", self.dataset.unlabelled, None))
        gone = self.dataset.left_out.items()
        return (*parts, *(SplitPart(reason, *counts) for reason, counts in gone))

    @property
    def best(self) -> Trained:
        """The detector with the best average precision on held-out scores."""
        return max(self.trained, key=lambda trained: trained.held_out)


def train(
    dataset: Dataset,
    detectors: Sequence[Detector],
    split: AnySplit,
    *,
    cost: Cost,
    capacity: float | None = None,
    max_genuine_declines: float | None = None,
    lists: Mapping[str, Collection[str]] | None = None,
    k: int = 100,
    tune: int = 0,
    storage: Path | None = None,
    thorough: bool = False,
    fits: Fits | None = None,
    progress: Callable[[str], None] = lambda step: None,
    say: Callable[[str], None] = lambda sentence: None,
) -> Run:
    """Train, calibrate and measure each detector on the same rows.

    Args:
        cost, capacity: cost and capacity a day by which thresholds are chosen, on held-out
            probabilities; it is in minutes where the cost says how many a review takes.
        max_genuine_declines: the share of declines that may be genuine, by the policy.
        lists: named lists that detectors' SQL conditions may read.
        k: cards that people can check per day, for card precision.
        tune: trials per detector that declares a search space, judged on folds inside the training
            part; 0: no tuning.
        storage: SQLite file that keeps trials, so that an interrupted search resumes.
        thorough: whether the doctor also fits each detector with another seed.
        fits: where finished fits are kept; those that are there already are not made again.
        progress: called with a few words before each step.
        say: called before the first fit with a sentence that describes the split.

    Raises:
        ConfigurationError: no detectors, too few held-out frauds to guarantee declines by, or a
            cost by SQL that is known of no payment.
        UnsuitableSplit: the log does not allow the split; the message names one that it allows, if
            any.
    """
    if not detectors:
        raise ConfigurationError("expected at least one detector to train, got none.")
    y = dataset.y
    least = 1 + max(
        detector.least_frauds for detector in detectors
    )  # each learns from all folds but one
    within, rows = fit_split(
        split, dataset.time, y, dataset.cards, labelled=dataset.labelled, least=least
    )
    require_known_costs(cost, dataset, rows.train)
    folded = successive_rows(within, dataset) if isinstance(within, TemporalSplit) else {}
    if dataset.stands is not None:
        rows = rows.standing_for(dataset.stands)
    learned_cards = None if dataset.cards is None else dataset.cards[rows.train]
    folds = choose_folds(
        within,
        dataset.time[rows.train],
        y[rows.train],
        learned_cards,
        labelled=None if dataset.labelled is None else dataset.labelled[rows.train],
        least=least - 1,
    )
    if max_genuine_declines is not None:
        _require_guarantee(max_genuine_declines, folds, y[rows.train], learned_cards)
    said = (
        f"{describe_split(within, rows, dataset.time, y)} {_describe_folds(folds, y[rows.train])}"
    )
    say(said)
    table = "" if fits is None else table_digest(dataset)
    trained: list[Trained] = []
    for name, detector in zip(_names(detectors), detectors, strict=True):
        one = TrainingJob(dataset, rows, folds, detector, lists or {}, cost, capacity, k, thorough)
        key = "" if fits is None else fit_digest(one, table, tune=tune, successive=folded.values())
        if fits is not None and (before := fits.find(key)) is not None:
            progress(f"read {name}, which was trained before")
            trained.append(replace(before, name=name))
            continue
        if tune and detector.search_space:
            one = one.tuned(trials=tune, storage=storage, progress=progress)
        made = one.run(name, progress)
        if folded:
            progress(f"train {name} anew for each of {len(folded)} folds")
            figures = (
                judge(dataset, one.detector, each, lists=one.lists, k=k, fold=text)
                for text, each in folded.items()
            )
            made = replace(made, prequential=tuple(figures))
        trained.append(made if fits is None else fits.keep(key, made))
    return Run(dataset, str(within), rows, tuple(trained), cost, capacity, said)


def _require_guarantee(most: float, folds: Folds, y: Bools, cards: Ints | None) -> None:
    """Raise `ConfigurationError` where no detector could show the share of its genuine declines."""
    if not folds.in_time:
        raise ConfigurationError(
            f"Policy(max_genuine_declines={most:g}): expected held-out payments later than those "
            f"learned from, got {folds.how}: split in time, with more days to learn from."
        )
    held = np.concatenate([judged for _, judged in folds])
    frauds = held[y[held]]
    known = np.empty(0) if cards is None else cards[frauds][cards[frauds] >= 0]
    require_enough(most, len(frauds) - len(known) + len(np.unique(known)))


def _describe_folds(folds: Folds, y: Bools) -> str:
    frauds = sum(int(y[judged].sum()) for _, judged in folds)
    return (
        "Detectors are calibrated, compared and given thresholds on payments held out of the "
        f"training part: {folds.how}, with {count_frauds(frauds)}."
    )


def _names(detectors: Sequence[Detector]) -> list[str]:
    names: list[str] = []
    for detector in detectors:
        same = sum(name.split("-")[0] == detector.name for name in names)
        names.append(f"{detector.name}-{same + 1}" if same else detector.name)
    return names
