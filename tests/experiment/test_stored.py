"""Training datasets of the store for a project: the same features, or a sentence that says what
differs.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from shroff import Entity, FeatureGroup, Project, Schema
from shroff.collect import clean
from shroff.errors import ConfigurationError
from shroff.experiment.stored import read_stored
from shroff.features.engines.batch import compute_plan
from shroff.pipeline import store_features
from shroff.store import FeatureStore, TrainingData
from shroff.store.features import project_set

SCHEMA = Schema(id="id", time="at", amount="amount", label="fraud", arrived_at="arrived")
card = Entity("card", "card_id")


def project(*windows: str, schema: Schema = SCHEMA) -> Project:
    return Project(
        schema=schema,
        features=[FeatureGroup("velocity", [card.count(window) for window in windows])],
    )


def stored(root: Path, defined: Project) -> tuple[TrainingData, pl.DataFrame]:
    at = [datetime(2024, 1, 1, n, tzinfo=UTC) for n in range(6)]
    log = pl.DataFrame(
        {
            "id": list("fedcba"),
            "at": at,
            "arrived": at,
            "amount": 1.5,
            "card_id": "c",
            "fraud": False,
        }
    )
    frame = clean(log, defined.plan.schema, key=b"").frame
    store_features(defined, frame, compute_plan(defined.plan, frame), root)
    return FeatureStore(root).create(project_set("cards", defined.plan, defined.features)), frame


def test_what_is_read_is_what_was_computed(tmp_path: Path) -> None:
    defined = project("1h", "1d")
    data, frame = stored(tmp_path, defined)
    found = read_stored(data, defined.features, defined.plan)

    assert_frame_equal(found.frame, frame)
    assert_frame_equal(found.features, compute_plan(defined.plan, frame))
    assert found.notices == ()


def test_a_project_may_use_less_and_is_told(tmp_path: Path) -> None:
    data, _ = stored(tmp_path, project("1h", "1d"))
    less = project("1h")
    assert read_stored(data, less.features, less.plan).notices == (
        "column `card_count_1d` of the dataset is no column or feature of the project: not learned "
        "from",
    )


def test_what_it_lacks_is_a_sentence(tmp_path: Path) -> None:
    data, _ = stored(tmp_path, project("1h"))
    more = project("1h", "7d")
    with pytest.raises(
        ConfigurationError, match="expected the feature `card_count_7d`, found none; store"
    ):
        read_stored(data, more.features, more.plan)
    wider = project(
        "1h", schema=Schema(id="id", time="at", amount="amount", label="fraud", numeric=["age"])
    )
    with pytest.raises(
        ConfigurationError, match="expected the column `age` of the project's schema"
    ):
        read_stored(data, wider.features, wider.plan)


def test_another_definition_is_refused(tmp_path: Path) -> None:
    data, _ = stored(tmp_path, project("1h"))
    group = FeatureGroup("velocity", card.count("1h", include_current=True, name="card_count_1h"))
    other = Project(schema=SCHEMA, features=[group])
    with pytest.raises(
        ConfigurationError, match="`card_count_1h` was stored under another definition"
    ):
        read_stored(data, other.features, other.plan)
