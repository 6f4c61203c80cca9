"""`shroff store` as its user meets it, over what `shroff features` wrote."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from commands import answer, run
from shroff.cli import app
from shroff.errors import BadFile, ConfigurationError, NotFound
from shroff.pipeline.payments import stored_payments
from shroff.project import load_project
from shroff.settings import Settings
from shroff.store import open_store

PROJECT = str(Path(__file__).parents[1] / "examples" / "payments")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHROFF_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def trainable(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A home whose store holds a log that detectors can be trained on, and the log.

    Each test that asks for it makes a dataset of its own name.
    """
    home = tmp_path_factory.mktemp("home")
    log = home / "payments.parquet"
    run("simulate", log, "--payments", "6000", "--days", "40", "--fraud-rate", "0.03")
    run("features", PROJECT, "--data", log, home=home)
    return home, log


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "payments.parquet"
    run("simulate", path, "--payments", "1000", "--days", "10", "--fraud-rate", "0.02")
    return path


@pytest.fixture
def stored_log(trainable: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of `trainable`, whose home is that of the commands."""
    home, log = trainable
    monkeypatch.setenv("SHROFF_HOME", str(home))
    return log


def test_what_features_stored_can_be_looked_at(home: Path, log: Path) -> None:
    stored = answer("features", PROJECT, "--data", log)
    listed = answer("store", "list")
    shown = answer("store", "show", "payment_velocity")
    history = answer("store", "history", "payments@1")["versions"]
    stats = answer("store", "stats", "payments")

    assert [one["name"] for one in listed["groups"]] == ["payment_velocity", "payments"]
    assert shown["group"]["columns"]["card_count_1h"] == {
        "kind": "number",
        "unit": "payments",
        "definition": shown["group"]["columns"]["card_count_1h"]["definition"],
    }
    assert [one["rows"] for one in history] == [stored["payments"]]
    assert stats["statistics"]["amount"]["quantiles"]["0.5"] > 0
    for command, word in (
        ("list", "payments"),
        ("show payments", "currency"),
        ("stats payments", "currency"),
    ):
        assert word in run("store", *command.split())
    assert "(all rows)" in run("store", "history", "payments")


def test_the_same_log_again_is_no_new_version(home: Path, log: Path) -> None:
    first = answer("features", PROJECT, "--data", log)["written"]
    assert answer("features", PROJECT, "--data", log)["written"] == first
    with pytest.raises(BadFile, match="are in it already"):
        run("features", PROJECT, "--data", log, "--append", "again")


def test_a_batch_is_appended_once(home: Path, log: Path) -> None:
    written = [
        answer("features", PROJECT, "--data", log, "--append", "may")["written"] for _ in range(2)
    ]
    assert written[0] == written[1]
    assert [one["batch"] for one in answer("store", "history", "payments")["versions"]] == ["may"]


def test_appended_payments_see_those_of_the_store(home: Path, log: Path) -> None:
    whole = pl.read_parquet(log).sort("created_at")
    halves = [home / "first.parquet", home / "second.parquet"]
    for path, rows in zip(halves, (whole[:500], whole[500:]), strict=True):
        rows.write_parquet(path)
    said = [
        answer("features", PROJECT, "--data", path, "--append", path.stem)
        for path in (*halves, halves[0], halves[1])
    ]
    appended = open_store().table("payment_velocity").read()
    answer("features", PROJECT, "--data", log)

    assert [one["earlier_payments"] for one in said] == [0, 500, 0, 500]
    assert [one["written"] for one in said[2:]] == [one["written"] for one in (said[0], said[1])]
    assert_frame_equal(open_store().table("payment_velocity").read(), appended, check_exact=True)


def test_a_table_of_labels_also_tells_of_earlier_payments(home: Path, log: Path) -> None:
    raw = pl.read_parquet(log).sort("created_at")
    early, late, labels = (home / f"{name}.parquet" for name in ("early", "late", "labels"))
    first = raw["transaction_id"][0]
    raw[:500].with_columns(is_fraud=None, labelled_at=None).write_parquet(early)
    raw[500:].write_parquet(late)
    raw.select("transaction_id", "labelled_at", is_fraud=pl.lit(1)).filter(
        pl.col("transaction_id") == first
    ).with_columns(pl.col("labelled_at").fill_null(raw["created_at"][1])).write_parquet(labels)
    answer("features", PROJECT, "--data", early, "--append", "early")
    found = answer("features", PROJECT, "--data", late, "--append", "late", "--labels", labels)
    assert found["dropped"] == {}


def test_a_training_dataset_is_made_verified_compared_and_deleted(home: Path, log: Path) -> None:
    with pytest.raises(NotFound, match=r"no `payments`\. `shroff features PROJECT --data LOG`"):
        run("store", "create", PROJECT, "cards")
    answer("features", PROJECT, "--data", log)
    options = ("--known-by", "2030-01-01", "--parts", "train=70,test=30", "--gap", "1d")
    made = answer("store", "create", PROJECT, "cards", *options)
    assert answer("store", "create", PROJECT, "cards", *options) == made
    other = answer("store", "create", PROJECT, "cards", "--maturity", "1d")
    left_out = sum(made["left_out"].values())
    in_parts = sum(part["payments"] for part in made["parts"].values())
    between = made["rows"] - in_parts

    assert (made["version"], other["version"], other["rows"]) == (1, 2, made["rows"] + left_out)
    assert {one["group"] for one in made["lineage"]} == {"payments", "payment_velocity"}
    assert between > 0
    assert f"in no part {between}: in the gap" in run("store", "show", "cards@1")
    assert answer("store", "show", "cards@1") == made
    assert answer("store", "verify", "cards") == {"kept": True, "rebuilt": True}
    assert answer("store", "stats", "cards@1")["rows"] == made["rows"]
    found = answer("store", "diff", "cards", "1", "2")
    assert (found["added"], found["removed"], found["gone_columns"]) == (left_out, 0, ["part"])
    assert "made of payments@1" in run("store", "show", "cards")
    assert [one["version"] for one in answer("store", "list")["datasets"]] == [1, 2]
    assert answer("store", "vacuum", "payments", "--dry-run") == {"files": 0, "removed": False}
    with pytest.raises(ConfigurationError, match="cards@1, cards@2 was made of it"):
        run("store", "delete", "payments@1")
    with pytest.raises(ConfigurationError, match="expected NAME@VERSION"):
        run("store", "delete", "cards")
    assert answer("store", "delete", "cards@2") == {"deleted": "cards@2"}
    whose = open_store().table("payments").read(["card_id"])["card_id"][0]
    would = answer("store", "forget", whose, "--column", "card_id", "--dry-run")
    gone = answer("store", "forget", whose, "--column", "card_id")
    assert (gone["groups"], gone["datasets"]) == (would["groups"], would["datasets"])
    assert gone["groups"]["payments@1"] == gone["groups"]["payment_velocity@1"] > 0
    assert "Nobody" in run("store", "forget", whose, "--column", "card_id")
    assert answer("store", "verify", "cards") == {"kept": True, "rebuilt": True}
    assert answer("store", "show", "cards")["version"] == 1


def test_training_reads_a_dataset_and_the_bundle_holds_it(stored_log: Path, tmp_path: Path) -> None:
    made = answer("store", "create", PROJECT, "cards", "--parts", "train=1,test=1")
    from_log = answer("train", PROJECT, "--data", stored_log, "--bundle", tmp_path / "of_log")
    stored = answer("train", PROJECT, "--dataset", "cards", "--bundle", tmp_path / "bundle")

    figures = ("roc_auc", "average_precision", "precision")
    for name, one in from_log["detectors"].items():
        assert [stored["detectors"][name]["test"][each] for each in figures] == [
            one["test"][each] for each in figures
        ]
    assert stored["notices"] == [
        "the parts of the dataset are not used: the split is the project's, or --split"
    ]
    whose = open_store().table("payments").read(["card_id"])["card_id"][0]
    forget = ("store", "forget", whose, "--column", "card_id", "--dry-run")
    would = answer(*forget)
    assert would["bundles"] == [stored["bundle"]["version"]]
    assert would["bundles_of_logs"] == [from_log["bundle"]["version"]]
    assert f"Bundle {from_log['bundle']['version']} learned from a log" in run(*forget)
    report = answer("report", tmp_path / "bundle")
    assert report["dataset"]["content"] == made["content"]
    assert report["dataset"]["lineage"] == made["lineage"]
    with pytest.raises(
        ConfigurationError, match=f"the bundle {report['version']} was trained on it"
    ):
        run("store", "delete", "cards@1")
    assert answer("store", "release", "cards", report["version"])["bundles"] == []
    run("store", "delete", "cards@1")
    for words in (
        (),
        ("--data", stored_log, "--dataset", "cards"),
        ("--dataset", "cards", "--labels", stored_log),
    ):
        with pytest.raises(
            ConfigurationError, match="expected --data with its options, or --dataset"
        ):
            run("train", PROJECT, *words)


@pytest.mark.usefixtures("stored_log")
def test_a_gap_between_parts_takes_nothing_from_training() -> None:
    answer("store", "create", PROJECT, "whole")
    answer("store", "create", PROJECT, "gap", "--parts", "train=70,test=30", "--gap", "7d")
    whole, gap = (answer("train", PROJECT, "--dataset", name) for name in ("whole", "gap"))
    assert gap["parts"] == whole["parts"]
    assert gap["detectors"] == whole["detectors"]


@pytest.mark.usefixtures("stored_log")
def test_days_of_which_only_frauds_are_left_do_not_judge() -> None:
    """Labels known by a day leave out genuine payments of the latest days: a test part with the
    frauds of these days would show a precision that no log has.
    """
    newest = str(open_store().table("payments").read(["created_at"])["created_at"].max())
    options = ("--known-by", newest, "--maturity", "10d")
    left_out = answer("store", "create", PROJECT, "mature", *options)["left_out"]
    trained = answer("train", PROJECT, "--dataset", "mature")

    young = trained["parts"][
        "dataset: fraud, but younger than the maturity, as genuine payments are"
    ]
    assert young["payments"] == young["frauds"] > 0
    told = {name.removeprefix("dataset: "): one for name, one in trained["parts"].items()}
    assert {name: told[name]["payments"] for name in left_out} == left_out
    test = trained["parts"]["test"]
    assert test["frauds"] / test["payments"] < 0.1
    shown = run("runs", "show", trained["run"])
    assert "left out of the dataset: genuine, but younger than the maturity" in shown
    late = answer("store", "create", PROJECT, "late", *options[:2], "--maturity", "90d")
    assert late["rows"] > 0
    with pytest.raises(ConfigurationError, match="expected payments older than the maturity"):
        run("train", PROJECT, "--dataset", "late")


def test_genuine_labels_that_come_after_the_maturity_are_noticed(home: Path, log: Path) -> None:
    """Of the days between, the dataset holds frauds alone, although they are older than it."""
    slow = home / "slow.parquet"
    late = pl.when(pl.col("is_fraud") == 1).then(pl.duration()).otherwise(pl.duration(days=4))
    payments = pl.read_parquet(log).with_columns(labelled_at=pl.col("created_at") + late)
    payments.write_parquet(slow)
    run("features", PROJECT, "--data", slow)
    words = ("store", "create", PROJECT, "slow", "--known-by", "2024-01-11", "--maturity")
    notice = CliRunner().invoke(app, [*words, "1d"]).stderr
    assert "notice: expected frauds and genuine payments that are older than the maturity" in notice
    assert "3 days from 2024-01-07 to 2024-01-09 on which fewer than half of the" in notice
    assert "and 100.00% of these are fraud" in notice
    assert "make the dataset with a maturity of 4d (" in notice
    found = stored_payments(load_project(PROJECT), "slow", Settings.read().store)
    assert "notice: " + found.notices[-1] in notice
    assert "notice" not in CliRunner().invoke(app, [*words, "4d"]).stderr


def test_an_unknown_group_is_a_sentence(home: Path) -> None:
    with pytest.raises(NotFound, match="found no `payments`"):
        run("store", "show", "payments")


def test_a_misspelt_name_is_corrected(home: Path, log: Path) -> None:
    run("features", PROJECT, "--data", log)
    run("store", "create", PROJECT, "cards")
    with pytest.raises(
        NotFound,
        match=r"expected a group or a training dataset, found no `card`: did you mean `cards`",
    ):
        run("store", "show", "card")
