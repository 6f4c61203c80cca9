"""Six simulated months of a service: its payments, labels, cases, models and alarms."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl
from msgspec.structs import replace as changed

from shroff.act import CaseIntake, CaseQueue, Desk
from shroff.act.case import CaseSpike
from shroff.act.follow import ledger_name
from shroff.collect.times import DAY_US
from shroff.control.models import Models
from shroff.demo.declared import DEMO_CARD
from shroff.demo.people import DemoAnalysts
from shroff.demo.traffic import DemoTraffic
from shroff.evaluate import Cost
from shroff.experiment import Runs
from shroff.experiment.judgement import evaluations, importances
from shroff.ledger import Ledger
from shroff.lineage import inputs, parameters
from shroff.monitor import from_ledger, judge
from shroff.monitor.alerts import Alarms
from shroff.package import Bundle, read
from shroff.pipeline import Progress, collect_table, package, silent, summary, train_models
from shroff.project import Project, load_project
from shroff.promotion import Budget, card_gaps
from shroff.retrain import Order, RetrainingTerms, retrain
from shroff.scoring.scorer import Scorer
from shroff.settings import Settings
from shroff.simulate import simulate

_QUEUES: Final = (
    CaseQueue(
        name="high value", condition="amount > 400", sla_minutes=480, minutes=8, second_review=0.1
    ),
    CaseQueue(name="everything else", sla_minutes=7_200, minutes=4),
)
_SPIKES: Final = (CaseSpike(column="host_id", payments=6, minutes=60),)
_ACCEPTED: Final = ("calibration",)
"""Of so few payments a test part is too short for the doctor's check of calibration."""
_LABEL_DELAY_DAYS: Final = 14
_BUSY_DAYS: Final = 14
"""In the last days analysts have no time for most cases, which wait for whoever opens the console.
"""
_BUSY_CASES: Final = 1


class DemoMonths(NamedTuple):
    """How much is lived.

    Attributes:
        until: the moment at which the months end, microseconds since the epoch.
        history_days: before them, from which the first model learns.
    """

    until: int
    days: int = 182
    history_days: int = 60
    per_day: int = 45
    fraud_rate: float = 0.03
    seed: int = 11

    @property
    def begin(self) -> datetime:
        """Midnight (UTC) of the first day of history."""
        days = timedelta(days=self.history_days + self.days)
        return datetime.combine(self._end.date(), datetime.min.time(), UTC) - days

    @property
    def served(self) -> datetime:
        """When the service was first started."""
        return self.begin + timedelta(days=self.history_days)

    @property
    def _end(self) -> datetime:
        return datetime.fromtimestamp(self.until / 1e6, UTC)


def live_months(settings: Settings, months: DemoMonths, *, progress: Progress = silent) -> Bundle:
    """Live the months in an empty home; returns the model that is in production at their end.

    Raises:
        ConfigurationError: the home has a ledger.
    """
    progress(f"simulate {months.days} days of payments")
    path = Path(str(files("shroff") / "templates" / "project.py"))
    log = months_log(months)
    history = log.filter(pl.col("created_at") < months.served)
    settings.home.mkdir(parents=True, exist_ok=True)
    history.drop("fraud_pattern").write_parquet(settings.home / "history.parquet")
    project = _project(path)
    runs, clock = Runs(settings.home / "runs"), _DemoClock(months)
    models = Models(settings.models, clock=clock)
    progress("train the first model")
    folder = _first(project, path, runs, settings, months.begin)
    models.publish(folder, by="olga", note="The first model, from two months of history.")
    life = _Life(settings, months, clock, models, runs, project, path)
    with _quiet():
        asyncio.run(life.live(log.filter(pl.col("created_at") >= months.served), progress))
    progress("look at what came of it")
    life.look()
    return models.production()


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what a scorer tells an operator: it starts without history, on purpose."""
    log = logging.getLogger("shroff")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


class _DemoClock:
    """The clock that everybody in the demo goes by, in microseconds since the epoch."""

    def __init__(self, months: DemoMonths) -> None:
        self.now = int(months.served.timestamp() * 1e6)

    def __call__(self) -> int:
        return self.now


def _project(path: Path) -> Project:
    """The project of `shroff init`, with cheaper reviews, so that people have something to do, and
    with all that a model card declares.
    """
    loaded = load_project(path)
    policy = changed(loaded.policy, cost=Cost(review=2.0, missed="amount", declined=15.0))
    return replace(loaded, vectors=(), policy=policy, model_card=DEMO_CARD)


def months_log(months: DemoMonths) -> pl.DataFrame:
    """The payments, some of them after the months; from five weeks before their end on many
    customers of a country come that was rare.
    """
    days = months.days + months.history_days + 1
    log = simulate(
        months.per_day * days,
        days=days,
        start=months.begin.date().isoformat(),
        fraud_rate=months.fraud_rate,
        seed=months.seed,
    )
    until = datetime.fromtimestamp(months.until / 1e6, UTC)
    log = log.with_row_index("row")
    since = until - timedelta(days=35)
    new = (pl.col("created_at") > since) & (pl.col("row") % 5 < 2) & (pl.col("is_fraud") == 0)
    countries = ("request_country", "account_country")
    return log.with_columns(
        pl.when(new).then(pl.lit("PT")).otherwise(pl.col(name)).alias(name) for name in countries
    ).drop("row")


def _first(project: Project, path: Path, runs: Runs, settings: Settings, begin: datetime) -> Path:
    """Train on the history, as `shroff train` does; returns the bundle's folder."""
    file = settings.home / "history.parquet"
    asked = {"split": "auto", "accept": _ACCEPTED}
    with runs.begin({**asked, "project": str(path), "data": str(file)}, {}) as recording:
        recording.describe(parameters(project, asked), inputs(project, path, {}))
        cleaned = collect_table(project, file, key=settings.hmac_key())
        run = train_models(project, cleaned.frame, split=f"time:{begin:%Y-%m-%d}/35/7/17")
        recording.evaluation, recording.importance = evaluations(run), importances(run, run.best)
        recording.figures = summary(run)
        recording.inputs = {"table": run.dataset.fingerprint()}
        made = package(project, run, recording.folder / "bundle", accept=_ACCEPTED)
        recording.bundle = {
            "folder": str(made.folder.absolute()),
            "version": made.bundle.version,
            "content": read(made.folder).content_digest,
        }
    return made.folder


class _Life:
    """The service and the people around it, day by day."""

    def __init__(
        self,
        settings: Settings,
        months: DemoMonths,
        clock: _DemoClock,
        models: Models,
        runs: Runs,
        project: Project,
        path: Path,
    ) -> None:
        self._settings, self._months, self._clock = settings, months, clock
        self._models, self._runs = models, runs
        self._project, self._path = project, path
        self._ledger = Ledger(settings.ledger)
        desk = Desk(settings.control, key=settings.hmac_key(), clock=clock)
        desk.set_queues(_QUEUES)
        self._analysts = DemoAnalysts(desk, seed=months.seed)

    async def live(self, log: pl.DataFrame, progress: Progress) -> None:
        """Decide all payments, and let people work after each day."""
        scorer = Scorer(
            self._models.production(),
            self._ledger,
            key=self._settings.hmac_key(),
            lateness="3d",
            clock=self._clock,
        )
        scorer.start()
        traffic = DemoTraffic(scorer, self._clock_to, log)
        try:
            for day, until in self._days():
                if day % 30 == 0:
                    progress(f"live day {day} of {self._months.days}")
                await traffic.pay(until)
                await self._work(scorer, traffic, day)
                if day in self._changes:
                    self._changes[day](self)
                    await scorer.adopt(*self._models.in_production())
        finally:
            scorer.close()

    def look(self) -> None:
        """Judge what the model in production decided, and keep alarms."""
        model = self._models.production()
        observed = from_ledger(model, Ledger(self._settings.ledger).entries())
        found = judge(model, observed, now=self._clock(), delay_days=_LABEL_DELAY_DAYS)
        alarms = Alarms(self._settings.control, clock=self._clock)
        alarms.record(model.version, found.findings, ())

    def _days(self) -> Iterator[tuple[int, int]]:
        begin = int(self._months.served.timestamp() * 1e6)
        for day in range(1, self._months.days + 2):
            yield day, min(begin + day * DAY_US, self._months.until)

    def _clock_to(self, moment: int) -> None:
        self._clock.now = max(self._clock.now, moment)

    async def _work(self, scorer: Scorer, traffic: DemoTraffic, day: int) -> None:
        """Payments become cases, and analysts decide those of earlier days."""
        name = ledger_name(self._ledger)
        if name is None:
            return
        intake = CaseIntake(
            self._settings.control,
            name,
            self._models.production(),
            spikes=_SPIKES,
            clock=self._clock,
        )
        intake.take(self._ledger.entries(after=intake.mark()))
        busy = day > self._months.days - _BUSY_DAYS
        self._analysts.work(traffic.truth, at_most=_BUSY_CASES if busy else None)
        for label in self._analysts.labels():
            await scorer.learn(
                "label", label.payment_id, label.fraud, source="analyst", event=label.event
            )

    def _retrain(self) -> None:
        """Learn again from the ledger, through the gates."""
        order = Order(
            project=self._project,
            path=self._path,
            terms=RetrainingTerms(
                delay_days=_LABEL_DELAY_DAYS, test_days=21, train_days=60, accept=_ACCEPTED
            ),
            now=self._clock(),
            missing=lambda bundle: card_gaps(self._models, self._runs, bundle.version),
            to="production",
            by="olga",
            budget=Budget(p99_ms=1_000.0),
        )
        retrain(order, list(self._ledger.entries()), self._models, self._runs)

    def _go_live(self) -> None:
        self._publish_latest("Ten days in the shadow without a surprise.")

    def _roll_back(self) -> None:
        self._models.rollback(by="noah", note="Declines of regular customers doubled.")

    def _go_live_again(self) -> None:
        self._publish_latest("A shop had sent its test payments twice: the model was right.")

    def _publish_latest(self, note: str) -> None:
        """Put the retrained model in production."""
        versions = self._models.folder / "versions"
        latest = max(self._models.versions)
        self._models.publish(versions / latest, by="olga", note=note)

    _changes: Final[dict[int, Callable[[_Life], None]]] = {
        110: _retrain,
        120: _go_live,
        123: _roll_back,
        130: _go_live_again,
    }
