"""One run: every detector trained, calibrated and measured on the same split."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from shroff.detect import Detector
from shroff.detect.checks import Finding
from shroff.errors import ConfigurationError
from shroff.evaluate import (
    AnySplit,
    Cost,
    Split,
    fit_split,
    outlook,
)
from shroff.experiment.dataset import Dataset
from shroff.experiment.training import Trained, TrainingJob

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class SplitPart:
    """Payments that a run learned from, judged by or left out, and how many of them are frauds (None: unknown)."""

    name: str
    payments: int
    frauds: int | None


@dataclass(frozen=True)
class Run:
    """All detectors of one run on one split.

    Thresholds were chosen by `cost`; `outlook` says what the log and the split allow; `findings` are the doctor's
    about the data and the split.
    """

    dataset: Dataset
    split: str
    rows: Split
    trained: tuple[Trained, ...]
    cost: Cost = field(default_factory=Cost)
    outlook: str = ""
    findings: tuple[Finding, ...] = ()

    def failures(self, trained: Trained, *, accept: Collection[str] = ()) -> list[Finding]:
        """What keeps a detector of this run from being packaged, but for the checks named in `accept`."""
        found = (*self.findings, *trained.findings)
        return [finding for finding in found if finding.severity == "failure" and finding.check not in accept]

    @property
    def parts(self) -> tuple[SplitPart, ...]:
        """Every labelled and unlabelled payment once: `train`, `test`, then those left out, by the split's reasons."""
        y, rows = self.dataset.y, {"train": self.rows.train, "test": self.rows.test} | dict(self.rows.left_out)
        parts = [SplitPart(name, len(part), int(y[part].sum())) for name, part in rows.items()]
        if self.dataset.unlabelled:
            parts.append(SplitPart("unlabelled", self.dataset.unlabelled, None))
        return tuple(parts)

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
    reviews_per_day: int | None = None,
    lists: Mapping[str, Collection[str]] | None = None,
    k: int = 100,
    tune: int = 0,
    storage: Path | None = None,
    thorough: bool = False,
    progress: Callable[[str], None] = lambda step: None,
    say: Callable[[str], None] = lambda sentence: None,
) -> Run:
    """Train, calibrate and measure each detector on the same rows.

    Args:
        cost, reviews_per_day: what the policy's thresholds are chosen by, on out-of-fold probabilities.
        lists: named lists that detectors' SQL conditions may read.
        k: cards looked at per day in Card Precision@k.
        tune: how many parameters to try per detector that declares a search space; 0 trains them as they are. They
            are judged on folds inside the training part only.
        storage: SQLite file in which a search goes on where it stopped.
        thorough: whether the doctor also fits each detector with another seed.
        progress: called with a few words before each step.
        say: called before the first fit with a sentence about what the log and its split allow.

    Raises:
        ConfigurationError: no detectors.
        UnsuitableSplit: a split that the log does not allow; it names one that the log allows, if there is one.
    """
    if not detectors:
        raise ConfigurationError("expected at least one detector to train, got none.")
    y = dataset.y
    least = 1 + max(detector.least_frauds for detector in detectors)  # each learns from all folds but one
    within, rows = fit_split(split, dataset.time, y, dataset.cards, least=least)
    said = outlook(within, rows, dataset.time, y)
    say(said)
    trained: list[Trained] = []
    for name, detector in zip(_names(detectors), detectors, strict=True):
        one = TrainingJob(dataset, rows, detector, lists or {}, cost, reviews_per_day, k, thorough)
        if tune and detector.search_space:
            one = one.tuned(within, trials=tune, storage=storage, progress=progress)
        progress(f"train {name}")
        trained.append(one.run(name))
    return Run(dataset, str(within), rows, tuple(trained), cost, said)


def _names(detectors: Sequence[Detector]) -> list[str]:
    names: list[str] = []
    for detector in detectors:
        same = sum(name.split("-")[0] == detector.name for name in names)
        names.append(f"{detector.name}-{same + 1}" if same else detector.name)
    return names
