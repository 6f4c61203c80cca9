"""One detector in a run: tuned, fitted, calibrated, measured, examined."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from shroff.arrays import Bools, Floats, Ints, Times
from shroff.detect import Calibration, Detector, Preparation
from shroff.detect.base import quiet_caps
from shroff.detect.checks import Finding
from shroff.detect.concurrency import score_at_once
from shroff.detect.crossfit import fit_and_hold_out
from shroff.evaluate import (
    Cost,
    DailyCosts,
    DeclineCounts,
    Guarantee,
    HeldOut,
    Metrics,
    Split,
    Thresholds,
    average_precision,
    best_f1_threshold,
    measure,
)
from shroff.evaluate.doctor import check_flagged, check_recall
from shroff.experiment.costs import cost_columns
from shroff.experiment.dataset import Dataset
from shroff.experiment.doctor import examine
from shroff.experiment.folds import Folds
from shroff.experiment.prequential import FoldFigures

if TYPE_CHECKING:
    from shroff.experiment.tune import Tuning


@dataclass(frozen=True)
class Trained:
    """One detector after its run.

    Attributes:
        held_out: average precision on the held-out scores of the training part's folds; the best
            detector has the highest.
        kept: those scores in bins, from which `thresholds` were chosen.
        daily: the same payments by day, from which the price of a review is found.
        review_price: that price, where each payment gets its cheapest action; None where
            thresholds decide.
        declines_from: the probability below which no payment is declined.
        guarantee: why it is that one, where the policy guarantees its declines.
        by_cost: what deciding by cost comes to per day on them; None where it is not known.
        train, test: figures on each part, at the threshold with the best F1 on held-out scores.
        judged: calibrated probabilities of the test part [test rows].
        prequential: figures on each successive stretch of the test part, learned anew for it.
        test_with_known_cards: figures on the test part with the known cards that the split dropped;
            None where it dropped none.
        findings: the doctor's.
    """

    name: str
    detector: Detector
    preparation: Preparation
    calibration: Calibration
    thresholds: Thresholds
    kept: HeldOut
    daily: DailyCosts
    held_out: float
    train: Metrics
    test: Metrics
    judged: Floats
    seconds: float
    review_price: float | None = None
    declines_from: float = 0.0
    guarantee: Guarantee | None = None
    by_cost: dict[str, Any] | None = None
    test_with_known_cards: Metrics | None = None
    tuning: Tuning | None = None
    findings: tuple[Finding, ...] = ()
    prequential: tuple[FoldFigures, ...] = ()


@dataclass(frozen=True)
class TrainingJob:
    """The training of one detector in a run: its rows, folds, cost and checks."""

    dataset: Dataset
    rows: Split
    folds: Folds
    detector: Detector
    lists: Mapping[str, Collection[str]]
    cost: Cost
    capacity: float | None
    k: int
    thorough: bool
    tuning: Tuning | None = None

    def tuned(
        self, *, trials: int, storage: Path | None, progress: Callable[[str], None]
    ) -> TrainingJob:
        """The same job with the best parameters found on the validation folds."""
        from shroff.experiment.tune import tune  # Optuna is slow to import

        learn = self.rows.train
        table = rows_of(self._inputs(), learn)
        preparation = self._prepare(table)
        best, found = tune(
            self.detector,
            preparation.matrix(table),
            self.dataset.y[learn],
            self.folds.parts,
            nominal=preparation.nominal_codes,
            trials=trials,
            storage=storage,
            progress=progress,
        )
        return replace(self, detector=best, tuning=replace(found, in_time=self.folds.in_time))

    def run(self, name: str, progress: Callable[[str], None] = lambda step: None) -> Trained:
        """Fit, calibrate, measure and examine the detector."""
        progress(f"train {name}")
        started = time.perf_counter()
        table = self._inputs()
        learn, judge = self.rows.train, self.rows.test
        learned = rows_of(table, learn)
        preparation = self._prepare(learned)
        X, y = preparation.matrix(learned), self.dataset.y[learn]
        nominal = preparation.nominal_codes
        with quiet_caps():
            fitted, held, scores = fit_and_hold_out(
                self.detector, X, y, self.folds, nominal=nominal, repeats=self._repeats(learn)
            )
        fraud, later = y[held], learn[held]
        calibration = Calibration.fit(scores, fraud)
        seconds = time.perf_counter() - started
        progress(f"judge {name}")
        unseen = calibration.probability(scores)
        threshold = best_f1_threshold(fraud, unseen)
        share = self._share(later)
        kept = self._kept(later, fraud, unseen, share)
        daily = self._daily(later, fraud, unseen, share)
        priced = daily if self.cost.expressions else kept
        judged = preparation.matrix(rows_of(table, judge))
        scores = score_at_once(fitted, judged)
        found = examine(
            fitted,
            calibration,
            (X, y),
            (judged, self.dataset.y[judge]),
            scores,
            amount=None if self.dataset.currency is None else self.dataset.amount[judge],
            nominal=nominal,
            thorough=self.thorough,
        )
        probability = calibration.probability(scores)
        learned_probability = calibration.probability(score_at_once(fitted, X))
        # what follows sorts all payments, and would be the most memory of a run beside these
        del X, judged, scores
        test = self._measure(judge, probability, threshold)
        return Trained(
            name=name,
            detector=fitted,
            preparation=preparation,
            calibration=calibration,
            thresholds=priced.thresholds(self.cost, self.capacity),
            kept=kept,
            daily=daily,
            held_out=average_precision(fraud, unseen),
            train=self._measure(learn, learned_probability, threshold),
            test=test,
            judged=probability,
            test_with_known_cards=self._with_known_cards(
                lambda rows: calibration.probability(
                    fitted.score(preparation.matrix(rows_of(table, rows)))
                ),
                threshold,
            ),
            seconds=seconds,
            tuning=self.tuning,
            findings=(
                *found,
                *check_recall(self.detector.name, test),
                *check_flagged(self.detector.name, test),
            ),
        )

    def _repeats(self, rows: Ints) -> Ints | None:
        repeats = self.dataset.repeats
        return None if repeats is None else repeats[rows]

    def _inputs(self) -> pl.DataFrame:
        if self.detector.conditions:
            return self.dataset.conditions(self.detector.conditions, self.lists)
        return self.dataset.table.select(*self.dataset.numeric, *self.dataset.nominal)

    def _prepare(self, table: pl.DataFrame) -> Preparation:
        if self.detector.conditions:
            return Preparation.plain(self.detector.conditions, table)
        return Preparation.learn(table, numeric=self.dataset.numeric, nominal=self.dataset.nominal)

    def _kept(self, rows: Ints, y: Bools, probability: Floats, share: float) -> HeldOut:
        time = self.dataset.time[rows]
        days = max(float((time.max() - time.min()) / np.timedelta64(1, "D")), 1.0)
        kept = HeldOut.of(y, probability, self._amount(rows), days=share * days)
        if not self.folds.in_time:
            return kept
        cards = self.dataset.cards
        counts = DeclineCounts.of(y, probability, None if cards is None else cards[rows], time)
        return msgspec.structs.replace(kept, declines=counts)

    def _daily(self, rows: Ints, y: Bools, probability: Floats, share: float) -> DailyCosts:
        return DailyCosts.of(
            y,
            probability,
            self._amount(rows),
            self._days()[rows],
            share=share,
            given=cost_columns(self.cost, self.dataset, rows),
            expressions=self.cost.expressions,
        )

    def _amount(self, rows: Ints) -> Floats:
        # amounts in several currencies are not added, so nothing is chosen by amounts again
        return np.zeros(len(rows)) if self.dataset.currency is None else self.dataset.amount[rows]

    def _share(self, rows: Ints) -> float:
        # random held-out rows are a share of each day's payments: reviews per day shrink with it
        once = np.unique(rows)
        return len(once) / max(int(np.isin(self._days(), self._days()[once]).sum()), 1)

    def _days(self) -> Times:
        return self.dataset.time.astype("datetime64[D]")

    def _with_known_cards(
        self, probability: Callable[[Ints], Floats], threshold: float
    ) -> Metrics | None:
        if not len(self.rows.known_cards):
            return None
        rows = np.sort(np.append(self.rows.test, self.rows.known_cards))
        return self._measure(rows, probability(rows), threshold)

    def _measure(self, rows: Ints, probability: Floats, threshold: float) -> Metrics:
        cards = self.dataset.cards
        return measure(
            self.dataset.y[rows],
            probability,
            threshold=threshold,
            day=None if cards is None else self._days()[rows],
            card=None if cards is None else cards[rows],
            k=self.k,
        )


def rows_of(table: pl.DataFrame, rows: Ints) -> pl.DataFrame:
    """The `rows` of a table: a slice of it, which copies nothing, where they follow each other."""
    if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
        return table.slice(int(rows[0]), len(rows))
    return table[rows]
