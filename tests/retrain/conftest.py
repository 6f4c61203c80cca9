"""A service that lived for a month: ledger, models and history, on a simulated clock."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import pytest
from benchmarks.loop import KEY, START, Arm, World, first_run, live, world_log
from benchmarks.loop_project import project

from shroff.collect import clean
from shroff.collect.times import DAY_US
from shroff.control.models import Models
from shroff.experiment import Runs
from shroff.ledger import Ledger, StoredEntry
from shroff.location import Location
from shroff.pipeline import package
from shroff.promotion import Budget
from shroff.retrain import Order, RetrainingTerms

WORLD: Final = World(
    per_day=60,
    history_days=24,
    months=1,
    every_days=30,
    fraud_rate=0.12,
    delay_days=4,
    test_days=6,
)
DEFINITIONS: Final = Path(__file__).parents[2] / "benchmarks" / "loop_project.py"
OPTIONS: Final = (
    *("--data", "history.parquet", "--label-delay", str(WORLD.delay_days)),
    *("--test-days", str(WORLD.test_days), "--accept", "calibration", "--accept", "few_frauds"),
    *("--budget-ms", "10000", "--as-of"),
)
END: Final = int(START.timestamp() * 1e6) + (WORLD.history_days + 30) * DAY_US


@dataclass(frozen=True)
class Lived:
    """A copy of the home of that service."""

    home: Path

    @property
    def models(self) -> Models:
        return Models(self.home / "models")

    @property
    def runs(self) -> Runs:
        return Runs(self.home / "runs")

    @property
    def entries(self) -> list[StoredEntry]:
        return list(Ledger(f"sqlite:///{self.home / 'ledger.db'}").entries())

    def history(self) -> pl.DataFrame:
        path = self.home / "history.parquet"
        return clean(pl.read_parquet(path), project.plan.schema, key=KEY).frame

    def order(self, now: int = END) -> Order:
        terms = RetrainingTerms(
            delay_days=WORLD.delay_days,
            test_days=WORLD.test_days,
            accept=("calibration", "few_frauds"),
        )
        log = Location.of(str(self.home / "history.parquet"))
        history = (log, self.history())
        return Order(
            project=project,
            path=DEFINITIONS,
            terms=terms,
            now=now,
            missing=lambda bundle: (),
            history=history,
            budget=Budget(p99_ms=10_000.0),
        )


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("retrain")
    log = world_log(WORLD)
    past = log.filter(pl.col("created_at").dt.epoch("us") < END - 30 * DAY_US)
    arm = Arm("no retraining", folder / "home")
    history = clean(past.drop("fraud_pattern"), project.plan.schema, key=KEY).frame
    made = first_run(history)
    first = package(project, made, folder / "first", accept=("calibration", "few_frauds")).folder
    asyncio.run(live(arm, WORLD, log, history, first))
    past.drop("fraud_pattern").write_parquet(arm.home / "history.parquet")
    return arm.home


@pytest.fixture
def lived(kept: Path, tmp_path: Path) -> Lived:
    shutil.copytree(kept, tmp_path / "home")
    return Lived(tmp_path / "home")


@pytest.fixture
def entry() -> Callable[..., StoredEntry]:
    """Makes records, numbered in their order."""
    made = list[StoredEntry]()

    def make(kind: str, name: str, body: bytes, day: float) -> StoredEntry:
        at = int(day * DAY_US)
        one = StoredEntry(kind, name, at, at, bytes(32), body, seq=len(made) + 1, chain=bytes(32))  # type: ignore[arg-type]  # kinds of this test
        made.append(one)
        return one

    return make
