"""Features of vectors from definition to bundle: one file for training, parity, serving and replay,
or a sentence.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from msgspec import structs
from typer.testing import CliRunner

from commands import run
from shroff import Entity, FeatureGroup, Project, Schema
from shroff.cli import app
from shroff.embed import Vectors, read_vectors
from shroff.errors import BadFile, BundleError, ConfigurationError, UnknownColumn
from shroff.features.engines.batch import compute_plan
from shroff.features.engines.replay import replay
from shroff.features.plan import Plan
from shroff.package import load, save
from shroff.pipeline import collect_table
from shroff.project import load_project

EXAMPLE = Path(__file__).parents[2] / "examples" / "payments" / "project.py"
WITH_VECTORS = """
from dataclasses import replace
from pathlib import Path

(purchases,) = project.vectors
habits = FeatureGroup(
    "habits",
    [
        purchases.features(),
        card.habit(purchases, "7d"),
        card.distance(purchases, ["7d", "20d"]),
        merchant.distance(purchases, "20d", where="amount > 10", delay="1h"),
        account.distance(purchases, "20d", resolution="1d"),
    ],
)
project = replace(
    project,
    features=[*project.features, habits],
    detectors=[LogisticRegression()],
    learned=[Path(__file__).with_name("purchases.arrow")],
)
"""
SCHEMA = Schema(id="id", time="at", amount="eur", nominal=["mcc"], keys=["card_id"])
CARD = Entity("card", "card_id")
SHOPS = Vectors(name="shops", entity=CARD, tokens=["mcc", "eur"], dimensions=2, least=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose features read vectors, its log, what was learned of it, and a bundle."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "project.py").write_text(
        EXAMPLE.read_text(encoding="utf-8") + WITH_VECTORS, encoding="utf-8"
    )
    run("simulate", folder / "payments.parquet", "--payments", "3000", "--days", "20")
    data = ("--data", folder / "payments.parquet")
    run(
        "embed",
        "train",
        folder,
        *data,
        "--before",
        "2024-01-11",
        "--out",
        folder / "purchases.arrow",
    )
    run(
        "train",
        folder,
        *data,
        "--bundle",
        folder / "bundle",
        *accepting("few_frauds", "no_lift", "no_recall", "calibration", "prevalence"),
    )
    return folder


def accepting(*checks: str) -> list[str]:
    return [word for check in checks for word in ("--accept", check)]


def clean(folder: Path) -> pl.DataFrame:
    return collect_table(load_project(folder), folder / "payments.parquet", key=b"k" * 32).frame


def test_a_bundle_has_the_file_that_the_project_names_and_computes_the_same(folder: Path) -> None:
    project, bundle = load_project(folder), load(folder / "bundle")
    assert (folder / "bundle" / "vectors-1.arrow").read_bytes() == (
        folder / "purchases.arrow"
    ).read_bytes()
    assert (
        "vectors"
        not in json.loads((folder / "bundle" / "features.json").read_text(encoding="utf-8"))[0]
    )
    frame = clean(folder)
    trained = compute_plan(project.plan, frame)
    assert trained.equals(compute_plan(Plan(bundle.groups, bundle.schema), frame))
    assert trained.equals(replay(bundle.groups, frame, bundle.schema))
    for name in ("purchases_1", "card_habit_purchases_8_7d", "card_distance_purchases_7d"):
        assert trained[name].n_unique() > 20, name
    assert {one.name for one in bundle.preparation.numeric} >= {
        "card_distance_purchases_20d",
        "purchases_8",
    }


def test_a_changed_file_in_a_bundle_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "bundle", tmp_path / "bundle")
    file = tmp_path / "bundle" / "vectors-1.arrow"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(
        BundleError, match=r"`vectors-1.arrow` is not the file the bundle was made with"
    ):
        load(tmp_path / "bundle")


def test_vectors_that_the_features_of_a_bundle_do_not_fit_are_refused(
    folder: Path, tmp_path: Path
) -> None:
    bundle = load(folder / "bundle")
    (learned,) = bundle.vectors
    narrow = replace(
        learned,
        lesson=structs.replace(
            learned.lesson, definition=structs.replace(learned.lesson.definition, dimensions=4)
        ),
        vectors=learned.vectors[:, :4],
    )
    for vectors, sentence in (
        ((narrow,), r"purchases\[5\]"),
        ((learned, learned), "expected vectors of different names, got two of one name"),
    ):
        with pytest.raises(BundleError, match=sentence):
            save(replace(bundle, vectors=vectors), tmp_path / "bundle")


def test_late_vectors_keep_a_model_from_being_packaged(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "project.py", tmp_path)
    data = ("--data", folder / "payments.parquet")
    run("embed", "train", tmp_path, *data, "--out", tmp_path / "purchases.arrow")
    words = ["train", str(tmp_path), *map(str, data), "--bundle", str(tmp_path / "bundle")]
    done = CliRunner().invoke(
        app, [*words, *accepting("few_frauds", "no_lift", "no_recall", "calibration", "prevalence")]
    )
    assert done.exit_code != 0
    assert "expected vectors `purchases` of payments before" in f"{done.output}{done.exception}"
    assert not (tmp_path / "bundle").exists()


def test_what_is_not_learned_is_defined_but_not_computed(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "project.py", tmp_path)
    project = load_project(tmp_path)
    assert "card_distance_purchases_7d" in project.plan.names
    with pytest.raises(
        ConfigurationError,
        match=r"reads the vectors `purchases`, which are not learned: `shroff embed",
    ):
        compute_plan(project.plan, clean(folder))


def test_a_file_of_another_definition_is_refused(folder: Path) -> None:
    learned = [folder / "purchases.arrow"]
    definition = read_vectors(learned[0]).lesson.definition
    other = Vectors(name="purchases", entity=CARD, tokens=definition.tokens, reach=4)
    with pytest.raises(
        ConfigurationError, match="was learned from another definition of `purchases`; remove it"
    ):
        Project(schema=load_project(folder).schema, vectors=[other], learned=learned)
    with pytest.raises(
        ConfigurationError, match="no definition of the project's but of `purchases`"
    ):
        Project(schema=SCHEMA, vectors=[SHOPS], learned=learned)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shops.arrow").write_bytes(b"nothing")
    with pytest.raises(BadFile, match="expected an Arrow file of vectors"):
        Project(schema=SCHEMA, vectors=[SHOPS], learned=[tmp_path / "shops.arrow"])


@pytest.mark.parametrize(
    ("features", "sentence"),
    [
        (
            CARD.distance(Vectors(name="shop", entity=CARD, tokens=["mcc"]), "1d"),
            "unknown vectors `shop`",
        ),
        (
            CARD.habit(Vectors(name="shops", entity=CARD, tokens=["mcc"], dimensions=3), "1d"),
            "unknown vectors `shops`",
        ),
        (CARD.total("shops[1]", "1d"), "is component; expected amount or numeric"),
    ],
)
def test_features_of_what_is_not_there_are_refused(features: Sequence[Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        Project(schema=SCHEMA, features=[FeatureGroup("g", list(features))], vectors=[SHOPS])


def test_a_schema_that_lacks_a_column_of_tokens_is_refused() -> None:
    group = FeatureGroup("g", CARD.distance(SHOPS, "1d"), vectors=[SHOPS.table])
    with pytest.raises(UnknownColumn, match="vectors `shops`: unknown column `mcc`"):
        Plan([group], Schema(id="id", time="at", amount="eur", keys=["card_id"]))


def test_names_say_what_they_are() -> None:
    assert [
        one.name for one in CARD.habit(SHOPS, ["1d", "7d"], name="usual_{component}_{window}")
    ] == [
        "usual_1_1d",
        "usual_2_1d",
        "usual_1_7d",
        "usual_2_7d",
    ]
    with pytest.raises(ConfigurationError, match=r"put `\{component\}` in it"):
        CARD.habit(SHOPS, "1d", name="usual")
    with pytest.raises(ConfigurationError, match="compared with itself"):
        CARD.distance(SHOPS, "1d", include_current=True)
