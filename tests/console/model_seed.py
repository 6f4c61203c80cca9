"""Models for the tests' console: bundles made by hand, and records of runs that packaged them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from console.hostile import HOSTILE
from decide.test_standing import held_out
from report.records import two_detectors
from serve.fixtures import fitted_model, make_bundle
from shroff.control.models import Models
from shroff.detect import Calibration
from shroff.evaluate.reference import TrainingReference
from shroff.ledger import Ledger
from shroff.package import load, save
from shroff.settings import Settings


def training() -> TrainingReference:
    """Five hundred payments of fifty cards; a country is missing for every tenth."""
    rows = range(500)
    table = pl.DataFrame(
        {
            "amount": [float(row % 97) for row in rows],
            "card_count_1h": [float(row % 3) for row in rows],
            "request_country": [None if row % 10 == 0 else HOSTILE[row % 2] for row in rows],
        }
    )
    time = np.array([row * 3_600_000_000 for row in rows])
    return TrainingReference.of(table, time, pl.Series([f"c{row % 50}" for row in rows]))


def models(settings: Settings) -> None:
    """One model that was in production, the one that is, and one that nobody published."""
    with Ledger(settings.ledger):
        pass
    model, published = fitted_model(), Models(settings.models)
    for day in (1, 2, 3):
        made = make_bundle(
            model,
            created=f"2024010{day}T000000Z",
            calibration=Calibration(1.0, -0.1 * day),
            metrics={"findings": [], "detectors": {"logistic_regression": {"findings": []}}},
            held_out=held_out(),
            reference=training(),
            currency="EUR",
        )
        folder = settings.home / f"bundle{day}"
        save(made, folder)
        if day < 3:
            published.publish(folder, by="ada", note=HOSTILE[day - 1])
        record_run(settings, folder, load(folder).version, day)


def record_run(settings: Settings, folder: Path, version: str, day: int) -> None:
    """Keep the record of a run that packaged a bundle."""
    packaged = {"folder": str(folder), "version": version}
    record = msgspec.structs.replace(
        two_detectors(), run=f"2024050{day}T081500Z-1f3a", bundle=packaged
    )
    file = settings.home / "runs" / record.run / "run.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(msgspec.json.encode(record))
