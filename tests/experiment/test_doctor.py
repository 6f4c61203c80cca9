"""The doctor as a gate: what it finds in a run keeps a detector from being packaged until it is
accepted.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from shroff import Entity, FeatureGroup, Project, Schema
from shroff.detect import BoostedTrees, LogisticRegression, Rules
from shroff.errors import CheckFailed, ConfigurationError
from shroff.package import load
from shroff.pipeline import package, train_models

N = 6_000
START = datetime(2024, 1, 1, tzinfo=UTC)
CARD = Entity("card", "card")


def project(**options: object) -> Project:
    schema = Schema(
        id="id", time="time", amount="amount", label="fraud", numeric=["told"], keys=["card"]
    )
    return Project(
        schema=schema,
        features=[FeatureGroup("g", [CARD.count("1h")])],
        inputs=["amount", "card_count_1h"],
        detectors=[Rules(["card_count_1h > 2"]), LogisticRegression(), BoostedTrees(n_trees=30)],
        **options,  # type: ignore[arg-type]  # options of several types
    )


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """Cards that pay often within an hour are frauds, mostly."""
    rng = np.random.default_rng(0)
    minutes = np.cumsum(rng.integers(5, 15, N))
    card = rng.integers(0, 300, N)
    for start in range(0, N - 8, 200):
        card[start : start + 6] = card[start]
    recent = np.array([(card[max(0, n - 6) : n] == card[n]).sum() for n in range(N)])
    fraud = (recent >= 2) & (rng.random(N) < 0.9) | (rng.random(N) < 0.002)
    return pl.DataFrame(
        {
            "id": [f"p{n}" for n in range(N)],
            "time": pl.Series(
                [START + timedelta(minutes=int(m)) for m in minutes], dtype=pl.Datetime("us", "UTC")
            ),
            "amount": (rng.lognormal(3, 1, N) * 100).astype(np.int64) + 1,
            "fraud": fraud,
            "told": fraud + rng.normal(size=N) * 0.01,
            "card": card.astype(str),
        }
    )


def test_a_sound_run_is_packaged_and_says_so(frame: pl.DataFrame, tmp_path: Path) -> None:
    run = train_models(project(), frame)
    assert run.split == "time:2024-01-01/21/7/12"
    assert run.findings == ()
    assert run.failures(run.best) == []
    package(project(), run, tmp_path / "bundle")
    metrics = load(tmp_path / "bundle").metrics
    assert (metrics["findings"], metrics["accepted"]) == ([], [])
    assert all(isinstance(entry["findings"], list) for entry in metrics["detectors"].values())


def test_a_failure_is_not_packaged_until_it_is_accepted(
    frame: pl.DataFrame, tmp_path: Path
) -> None:
    run = train_models(project(split="random:70/30"), frame)
    with pytest.raises(CheckFailed, match=r"learns from the future .* pass --accept random_split"):
        package(project(), run, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
    package(project(), run, tmp_path / "bundle", accept=["random_split"])
    metrics = load(tmp_path / "bundle").metrics
    assert metrics["accepted"] == ["random_split"]
    assert [finding["check"] for finding in metrics["findings"]] == ["random_split"]
    with pytest.raises(
        ConfigurationError, match="unknown check `random`: did you mean `random_split`"
    ):
        package(project(), run, tmp_path / "bundle", accept=["random"])


def test_a_detector_without_lift_keeps_only_itself_back(frame: pl.DataFrame) -> None:
    detectors = [Rules(["amount > 100000"]), BoostedTrees(n_trees=30)]
    given = project()
    run = train_models(
        Project(schema=given.schema, features=given.features, detectors=detectors), frame
    )
    rules, trees = run.trained
    assert {finding.check for finding in rules.findings} & {"constant", "no_lift"}
    assert trees.findings == ()


def test_a_column_that_tells_the_label_keeps_the_run_back(frame: pl.DataFrame) -> None:
    given = project()
    leaky = Project(schema=given.schema, detectors=[LogisticRegression()])
    run = train_models(leaky, frame)
    assert [finding.check for finding in run.failures(run.best)] == ["label_leak"]
