"""Tuning: search for better parameters of a detector on validation folds.

Take the folds from the training part (`shroff.experiment.folds`): the test part stays unseen.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import optuna
from sklearn.base import clone

from shroff.arrays import Array, Ints, Labels, Matrix, Scores
from shroff.detect import Detector
from shroff.detect.base import ALL_NUMERIC, draw_rows, quiet_caps, training_labels, training_matrix
from shroff.detect.space import Choice, Range
from shroff.errors import ConfigurationError, DataError, ShroffError
from shroff.evaluate import Split, average_precision, roc_auc
from shroff.private import private_file

FOLD_ROWS = 50_000
"""Most rows that a fold of a trial learns from."""
TRIAL_SECONDS = 60.0
"""A trial that took longer is stopped before its next fold."""

D = TypeVar("D", bound=Detector)
Metric = Literal["average_precision", "roc_auc"] | Callable[[Ints, Scores], float]
"""What to maximise: a figure by name, or a function of the judged rows of `X` and their scores."""


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """The result of a search.

    Attributes:
        folds, in_time: the number of validation folds; in time, or at random where days or frauds
            were too few.
        before, best: the mean metric over the folds, with the given and with the best parameters.
        parameters: the best ones.
        trials: how many were tried; of these `pruned` were stopped after a bad fold, `overtime`
            after their time was up, `failed` could not be trained, and `capped` ran into a limit of
            the detector's.
        rows, rows_of: most rows that a fold learned from, and had.
    """

    study: str
    folds: int
    trials: int
    pruned: int
    overtime: int
    failed: int
    capped: int
    rows: int
    rows_of: int
    before: float | None
    best: float
    parameters: dict[str, object]
    in_time: bool = False

    @property
    def judged(self) -> str:
        """How the trials were judged, in words."""
        words = [f"{self.folds} validation folds {'in time' if self.in_time else 'at random'}"]
        if self.rows < self.rows_of:
            words.append(f"{self.rows:,} of {self.rows_of:,} rows each")
        counts = {"ran out of time": self.overtime, "ran into a limit of the fit": self.capped}
        words += [
            f"{count} of {self.trials} trials {what}" for what, count in counts.items() if count
        ]
        return ", ".join(words)

    def to_dict(self) -> dict[str, object]:
        """The findings by name, ready for JSON."""
        return asdict(self)


def tune(
    detector: D,
    X: Matrix,
    y: Array,
    folds: Sequence[Split],
    *,
    nominal: Mapping[int, int] = ALL_NUMERIC,
    trials: int = 50,
    metric: Metric = "average_precision",
    storage: Path | None = None,
    rows: int = FOLD_ROWS,
    seconds: float = TRIAL_SECONDS,
    seed: int = 0,
    progress: Callable[[str], None] = lambda step: None,
) -> tuple[D, Tuning]:
    """An unfitted copy of `detector` with the best parameters of its `search_space`, and the
    search's result.

    Every trial runs fold by fold and is pruned once it falls behind the median of earlier trials.
    The first trial has the given parameters, so the best ones are never worse.

    Args:
        X, y: prepared rows [rows, columns] and their labels; `folds` holds row numbers of `X`.
        nominal: number of codes by nominal column.
        trials: trials in all, including those of an interrupted search.
        storage: SQLite file that keeps every trial, so that an interrupted search resumes; None
            keeps nothing. Other data, folds, metric or fixed parameters start another search.
        rows: most rows that a fold learns from, all frauds (up to half) among them; it is judged on
            all its rows.
        seconds: a trial that took longer is stopped before its next fold; the first trial never is.
        seed: seed of the search. The same seed finds the same parameters unless a search was
            interrupted or a trial ran out of time.

    Raises:
        ConfigurationError: the detector declares no search space, there are no folds or trials, or
            every trial failed.
        DataError: rows or labels of a wrong shape, or a fold that points outside `X`.

    Akiba et al., Optuna, 2019; Bergstra et al., Algorithms for Hyper-Parameter Optimization, 2011
    (the sampler).

    >>> from shroff.detect import LogisticRegression
    >>> from shroff.detect.checks import planted
    >>> from shroff.experiment.folds import stratified
    >>> X, fraud, nominal = planted()
    >>> best, found = tune(
    ...     LogisticRegression(), X, fraud, stratified(fraud, 3), nominal=nominal, trials=3
    ... )
    >>> found.trials, found.best >= found.before, best.get_params()["max_iter"]
    (3, True, 1000)
    """
    search = _Search(
        detector,
        training_matrix(X, nominal),
        training_labels(y, len(X)),
        tuple(folds),
        nominal,
        metric,
        rows,
        seconds,
    )
    search.check(trials)
    with _study(search.fingerprint(), storage, seed) as study:
        if not study.trials:
            study.enqueue_trial(search.start())
        done = len([trial for trial in study.trials if trial.state.is_finished()])
        for number in range(done, trials):
            progress(f"tune {detector.name}: trial {number + 1} of {trials}")
            study.optimize(search.judge, n_trials=1, catch=(ShroffError,))
        found = _summarise(study, search)
    return clone(detector).set_params(**found.parameters), found


@dataclass(frozen=True)
class _Search:
    """One search: what is tuned, on which rows, by which metric."""

    detector: Detector
    X: Matrix
    y: Labels
    folds: tuple[Split, ...]
    nominal: Mapping[int, int]
    metric: Metric
    rows: int
    seconds: float

    def check(self, trials: int) -> None:
        kind = type(self.detector).__name__
        if not self.detector.search_space:
            raise ConfigurationError(f"{kind} has nothing to tune: it declares no `search_space`")
        if self.rows < 2 or not self.seconds > 0:
            raise ConfigurationError(
                f"expected 2 or more rows and some seconds, got {self.rows} and {self.seconds}"
            )
        if trials < 1 or not self.folds:
            raise ConfigurationError(
                f"expected at least 1 trial and 1 fold, got {trials} and {len(self.folds)}"
            )
        for fold in self.folds:
            if max(fold.train.max(initial=-1), fold.test.max(initial=-1)) >= len(self.X):
                raise DataError(
                    f"expected folds of row numbers below {len(self.X)}, the rows of X, got larger "
                    "ones"
                )

    def start(self) -> dict[str, Any]:
        """The detector's given parameters as the study names them, if they are in its space."""
        given = self.detector.get_params(deep=False)
        start: dict[str, Any] = {}
        for name, values in self.detector.search_space.items():
            if isinstance(values, Choice):
                if given[name] in values.options:
                    start[name] = repr(given[name])
            elif given[name] is not None and values.low <= given[name] <= values.high:
                start[name] = given[name]
        return start

    def judge(self, trial: optuna.Trial) -> float:
        """The mean of the metric over the folds."""
        tried = {
            name: _suggest(trial, name, values)
            for name, values in self.detector.search_space.items()
        }
        figures: list[float] = []
        started = time.monotonic()
        for fold in self.folds:
            learn = fold.train[draw_rows(self.y[fold.train], self.rows)]
            fitted = clone(self.detector).set_params(**tried)
            with quiet_caps():
                fitted.fit(self.X[learn], self.y[learn], nominal=self.nominal)
            if fitted.capped_:
                trial.set_user_attr("capped", True)
            figures.append(self._figure(fold.test, fitted.score(self.X[fold.test])))
            mean = float(np.mean(figures))
            trial.report(mean, len(figures))
            if len(figures) == len(self.folds):
                break
            if trial.number and time.monotonic() - started > self.seconds:
                trial.set_user_attr("overtime", True)
                raise optuna.TrialPruned
            if trial.should_prune():
                raise optuna.TrialPruned
        return mean

    def _figure(self, rows: Ints, scores: Scores) -> float:
        if self.metric == "average_precision":
            return average_precision(self.y[rows], scores)
        if self.metric == "roc_auc":
            return roc_auc(self.y[rows], scores)
        return self.metric(rows, scores)

    def parameters(self, named: Mapping[str, object]) -> dict[str, object]:
        """The parameters behind the study's names for them."""
        space = self.detector.search_space
        return {name: _value(space[name], value) for name, value in named.items()}

    def fingerprint(self) -> str:
        """The detector's name and a hash of everything that the figures depend on."""
        digest = hashlib.sha256(np.ascontiguousarray(self.X).tobytes())
        digest.update(self.y.tobytes())
        for fold in self.folds:
            digest.update(fold.train.tobytes() + b"/" + fold.test.tobytes())
        searched = self.detector.search_space
        fixed = {k: v for k, v in self.detector.get_params(deep=False).items() if k not in searched}
        metric = self.metric if isinstance(self.metric, str) else self.metric.__qualname__
        digest.update(
            repr(
                (
                    sorted(self.nominal.items()),
                    sorted(fixed.items()),
                    dict(searched),
                    metric,
                    self.rows,
                )
            ).encode()
        )
        return f"{self.detector.name}-{digest.hexdigest()[:16]}"


def _suggest(trial: optuna.Trial, name: str, values: Range | Choice) -> object:
    if isinstance(values, Choice):
        # by repr: Optuna's storage keeps no tuples
        return _value(
            values, trial.suggest_categorical(name, [repr(option) for option in values.options])
        )
    if values.whole:
        return trial.suggest_int(name, int(values.low), int(values.high), log=values.log)
    return trial.suggest_float(name, values.low, values.high, log=values.log)


def _value(values: Range | Choice, named: object) -> object:
    if isinstance(values, Range):
        return named
    return next(option for option in values.options if repr(option) == named)


@contextmanager
def _study(name: str, storage: Path | None, seed: int) -> Iterator[optuna.Study]:
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    kept: optuna.storages.RDBStorage | None = None
    try:
        if storage is not None:
            private_file(storage)
            kept = optuna.storages.RDBStorage(f"sqlite:///{storage}")
        study = optuna.create_study(
            study_name=name, storage=kept, direction="maximize", load_if_exists=True
        )
        # a resumed search needs another seed: the same one would repeat the same trials
        study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
        study.pruner = optuna.pruners.MedianPruner(n_startup_trials=5)
        yield study
    finally:
        optuna.logging.set_verbosity(level)
        if kept is not None:
            kept.remove_session()
            kept.engine.dispose()


def _summarise(study: optuna.Study, search: _Search) -> Tuning:
    states = [trial.state for trial in study.trials]
    overtime, capped = (
        sum(named in trial.user_attrs for trial in study.trials) for named in ("overtime", "capped")
    )
    most = max(len(fold.train) for fold in search.folds)
    if optuna.trial.TrialState.COMPLETE not in states:
        raise ConfigurationError(
            f"none of the {len(states)} trials of {search.detector.name} could be trained."
        )
    return Tuning(
        study=study.study_name,
        folds=len(search.folds),
        trials=len(states),
        pruned=states.count(optuna.trial.TrialState.PRUNED) - overtime,
        overtime=overtime,
        failed=states.count(optuna.trial.TrialState.FAIL),
        capped=capped,
        rows=min(most, search.rows),
        rows_of=most,
        before=study.trials[0].value,
        best=study.best_value,
        parameters=search.parameters(study.best_params),
    )
