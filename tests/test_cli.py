"""The command line as its user meets it: real commands, real files, exit codes and sentences."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from patience import until

ROOT = Path(__file__).parents[1]
PAYMENTS = str(ROOT / "examples" / "payments")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def environment(home: Path, kept: Path | None = None) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "SHROFF_HOME": str(kept or home / "kept"),
        "HOME": str(home),
    }


def shroff(
    home: Path, *words: str | Path, kept: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shroff", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=home,
        check=False,
        env=environment(home, kept),
    )


def answer(home: Path, *words: str | Path) -> dict[str, Any]:
    done = shroff(home, *words, "--json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture(scope="module")
def log(home: Path) -> Path:
    path = home / "payments.csv.gz"
    document = answer(
        home, "simulate", path, "--payments", "6000", "--days", "40", "--fraud-rate", "0.03"
    )
    assert document["payments"] == pytest.approx(6000, rel=0.02)
    return path


def test_the_path_from_log_to_bundle(home: Path, log: Path) -> None:
    collected = answer(home, "collect", PAYMENTS, "--data", log, "--out", home / "clean.parquet")
    assert collected["kept"] == collected["rows"] == len(pl.read_parquet(home / "clean.parquet"))
    features = answer(home, "features", PAYMENTS, "--data", log, "--out", home / "features.parquet")
    assert pl.read_parquet(home / "features.parquet").columns[1:] == features["features"]
    stored = answer(home, "features", PAYMENTS, "--data", log)
    places = [
        f"{home / 'kept' / 'store'}/{name}/v1, table version 1"
        for name in ("payments", "payment_velocity")
    ]
    assert stored["written"] == places
    parity = answer(home, "parity", PAYMENTS, "--data", log, "--payments", "2000")
    assert parity["holds"]
    assert [(one["right"], one["payments"]) for one in parity["comparisons"]] == [("online", 2000)]
    trained = answer(home, "train", PAYMENTS, "--data", log, "--bundle", home / "bundle")
    assert set(trained["detectors"]) == {"rules", "logistic_regression", "boosted_trees"}
    report = answer(home, "report", home / "bundle")
    assert report["version"] == trained["bundle"]["version"]
    again = shroff(home, "train", PAYMENTS, "--data", "nowhere.csv", "--bundle", home / "bundle")
    assert (again.returncode, "pass --overwrite to replace it" in again.stderr) == (
        2,
        True,
    )  # before any work
    assert report["detectors"] == trained["detectors"]
    assert report["findings"] == trained["findings"]
    assert report["parts"] == trained["parts"]
    assert set(trained["parts"]) == {"train", "test", "delay"}
    assert sum(part["payments"] for part in trained["parts"].values()) == collected["kept"]
    printed = shroff(home, "report", home / "bundle").stdout
    assert "judged by" in printed
    assert "Decisions by probability" in printed
    assert trained["detectors"]["boosted_trees"]["thresholds"]["cost_per_day"] > 0
    assert all(name in printed for name in trained["detectors"])
    assert "doctor found" in printed


def test_payments_without_a_label_are_counted(home: Path, log: Path) -> None:
    frame = pl.read_csv(log, infer_schema=False)
    first = pl.when(pl.int_range(pl.len()) < 10).then(None).otherwise("is_fraud")
    frame.with_columns(first.alias("is_fraud")).write_csv(home / "open.csv")
    words = ("collect", PAYMENTS, "--data", home / "open.csv", "--out", home / "open.parquet")
    assert answer(home, *words)["unlabelled"] == 10
    said = " ".join(shroff(home, *words).stdout.split())
    assert f"kept {len(frame):,} of {len(frame):,} rows, 10 of them without a label." in said


def test_the_same_run_twice_differs_in_nothing(home: Path, log: Path) -> None:
    """Same inputs and seed: same figures, and a bundle of the same content."""
    one, other = (
        answer(home, "train", PAYMENTS, "--data", log, "--bundle", home / name)
        for name in ("one", "other")
    )
    assert one["detectors"] == other["detectors"]
    listed = {row["run"]: row for row in answer(home, "runs", "list")["runs"]}
    assert listed[one["run"]]["status"] == "finished"
    assert listed[one["run"]]["bundle"] == one["bundle"]["version"]
    shown = answer(home, "runs", "show", one["run"])
    assert shown["figures"]["detectors"] == one["detectors"]
    assert {"project", "data", "features", "table"} == set(shown["inputs"])
    assert "train boosted_trees" in shown["seconds"]
    assert answer(home, "runs", "compare", one["run"], other["run"])["differences"] == {}
    assert "differ in nothing" in shroff(home, "runs", "compare", one["run"], other["run"]).stdout
    third = answer(home, "train", PAYMENTS, "--data", log, "--split", "time:60/40")
    differ = answer(home, "runs", "compare", one["run"], third["run"])["differences"]
    assert differ["parameters.split"] == ["time:70/30", "time:60/40"]
    assert not [name for name in differ if name.startswith(("inputs", "code", "machine"))]
    told = answer(home, "report", home / "one", "--out", home / "report.html")
    assert (told["run"], told["bytes"]) == (one["run"], (home / "report.html").stat().st_size)
    assert answer(home, "report", "--out", home / "report.html")["run"] == third["run"]
    assert answer(home, "report", one["run"])["run"] == one["run"]
    assert f"run {third['run']}" in (home / "report.html").read_text(encoding="utf-8")
    printed = shroff(home, "runs", "show", third["run"]).stdout
    assert "boosted_trees" in printed
    assert "finished" in printed


def test_a_killed_run_goes_on_to_the_same_bundle(home: Path, log: Path) -> None:
    words = ("train", PAYMENTS, "--data", log, "--bundle")
    whole = answer(home, *words, home / "whole")
    runs = home / "kept" / "runs"
    before = set(runs.glob("*/fits/*"))
    command = [sys.executable, "-m", "shroff", *map(str, (*words, home / "killed"))]
    with subprocess.Popen(
        command, cwd=home, env=environment(home), stderr=subprocess.DEVNULL
    ) as process:
        # named by its digest, the first fit is whole
        until(lambda: any(len(one.name) == 64 for one in set(runs.glob("*/fits/*")) - before))
        process.kill()
    killed = answer(home, "runs", "list")["runs"][-1]
    assert killed["status"] == "killed"
    assert not (home / "killed").exists()
    other = shroff(
        home, *words, home / "killed", "--resume", killed["run"], "--split", "time:60/40"
    )
    assert other.returncode == 2
    assert "asked for something else (see `parameters.split`" in " ".join(other.stderr.split())

    resumed = answer(home, *words, home / "killed", "--resume", killed["run"])
    assert resumed["run"] == killed["run"]
    assert "read rules, which was trained before" in resumed["seconds"]
    assert "train rules" not in resumed["seconds"]
    assert resumed["detectors"] == whole["detectors"]
    assert answer(home, "runs", "compare", whole["run"], resumed["run"])["differences"] == {}
    one, same = (answer(home, "runs", "show", each["run"]) for each in (whole, resumed))
    assert same["bundle"]["content"] == one["bundle"]["content"]
    assert (same["status"], same["resumed"]) == ("finished", 2)
    assert not (runs / resumed["run"] / "fits").exists()
    again = shroff(home, *words, home / "third", "--resume", resumed["run"])
    assert (again.returncode, "has finished: expected one that" in again.stderr) == (2, True)


def test_a_run_that_fails_is_recorded_with_its_reason(home: Path, log: Path) -> None:
    done = shroff(home, "train", PAYMENTS, "--data", log, "--split", "time:2001-01-01/7/7/7")
    assert done.returncode == 2
    failed = answer(home, "runs", "list")["runs"][-1]
    assert failed["status"] == "failed"
    assert "2001-01-01" in answer(home, "runs", "show", failed["run"])["failure"]


@pytest.mark.parametrize(
    ("project", "failure"),
    [("1 / 0", "ZeroDivisionError: division by zero"), ("None", "expected it to define `project")],
)
def test_a_project_that_cannot_be_loaded_leaves_a_run(
    home: Path, log: Path, project: str, failure: str
) -> None:
    (home / "odd.py").write_text(f"project = {project}\n")
    assert shroff(home, "train", home / "odd.py", "--data", log).returncode == 2
    failed = answer(home, "runs", "list")["runs"][-1]
    assert (failed["status"], failed["data"]) == ("failed", str(log))
    shown = answer(home, "runs", "show", failed["run"])
    assert failure in shown["failure"]
    assert shown["parameters"]["project"] == str(home / "odd.py")
    assert failure in " ".join(shroff(home, "runs", "show", failed["run"]).stdout.split())


def test_what_the_doctor_finds_is_not_packaged(home: Path, log: Path) -> None:
    words = (
        "train",
        PAYMENTS,
        "--data",
        log,
        "--split",
        "random:70/30",
        "--bundle",
        home / "random",
    )
    done = shroff(home, *words)
    assert done.returncode == 1
    assert "not packaged" in done.stderr
    assert "random_split" in done.stdout
    recorded = answer(home, "runs", "list")["runs"][-1]
    assert (recorded["status"], recorded["bundle"]) == ("finished", None)
    why = answer(home, "runs", "show", recorded["run"])["refusal"]
    assert "is not packaged: expected payments of several days to be split in time" in why
    assert why in " ".join(shroff(home, "runs", "show", recorded["run"]).stdout.split())
    shroff(home, "report", recorded["run"], "--out", home / "refused.html")
    assert "is not packaged: expected payments" in (home / "refused.html").read_text()
    assert not (home / "random").exists()
    assert shroff(home, *words, "--accept", "nonsense").returncode == 2
    answer(home, "train", PAYMENTS, "--data", log, "--bundle", home / "random")
    accepted = answer(home, *words, "--accept", "random_split", "--overwrite")
    assert [finding["check"] for finding in accepted["findings"]] == ["random_split"]
    assert "despite the check random_split" in shroff(home, "report", home / "random").stdout


def test_known_cards_are_left_out_of_the_test_where_asked_and_said_so(
    home: Path, log: Path
) -> None:
    words = ("train", PAYMENTS, "--data", log, "--split", "time:70/30,known_cards=drop")
    document = answer(home, *words)
    dropped = document["parts"]["known_cards"]["payments"]
    assert dropped > 0
    for figures in document["detectors"].values():
        assert figures["test_with_known_cards"]["n"] == figures["test"]["n"] + dropped
    printed = shroff(home, *words).stdout
    assert "cards with an earlier known fraud (known_cards=drop)" in printed
    assert "The same with the test payments of known cards" in printed


def test_two_tables_are_joined_and_trained(home: Path) -> None:
    tables = home / "tables"
    answer(
        home,
        "simulate",
        "--two-tables",
        tables,
        "--payments",
        "6000",
        "--days",
        "40",
        "--fraud-rate",
        "0.03",
    )
    words = ("train", ROOT / "examples" / "two_tables", "--data", tables / "facts.csv")
    alone = shroff(home, *words)
    assert alone.returncode == 2
    assert "pass --join" in alone.stderr
    both = answer(home, *words, "--join", tables / "statistics.csv", "--max-bad", "0.1")
    assert both["dropped"]
    assert both["detectors"]["boosted_trees"]["test"]["roc_auc"] > 0.6


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("train", PAYMENTS, "--data", "nowhere.csv"), "no such file"),
        (("train", "nowhere", "--data", "x.csv"), "expected a Python file"),
        (("report", "."), "expected a bundle"),
        (("serve", "."), "expected a bundle"),
        (("train", PAYMENTS, "--data", "x.csv", "--split", "monthly"), "no such file"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    home: Path, words: tuple[str, ...], sentence: str
) -> None:
    done = shroff(home, *words)
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr + done.stdout


def test_a_broken_project_names_its_line(home: Path, log: Path) -> None:
    (home / "broken.py").write_text(
        "from shroff import Project\n\nproject = Project(schema=1 / 0)\n"
    )
    done = shroff(home, "train", home / "broken.py", "--data", log)
    assert done.returncode == 2
    assert "line 3: ZeroDivisionError" in " ".join(done.stderr.split())


def test_too_many_bad_rows_leave_nothing_half_written(home: Path, log: Path) -> None:
    frame = pl.read_csv(log, infer_schema=False)
    half = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("much")).otherwise("amount")
    frame.with_columns(half.alias("amount")).write_csv(home / "bad.csv")
    done = shroff(
        home, "collect", PAYMENTS, "--data", home / "bad.csv", "--out", home / "never.parquet"
    )
    assert done.returncode == 2
    told = " ".join(done.stderr.split())
    assert "1 % allowed" in told
    assert "amount" in told
    assert "much" not in told
    assert not list(home.glob("*never*"))


def test_help_and_version(home: Path) -> None:
    assert "shroff 0.1.0" in shroff(home, "--version").stdout
    told = shroff(home, "--help").stdout
    assert all(
        name in told
        for name in ("simulate", "collect", "features", "train", "report", "serve", "demo")
    )


def test_keys_are_made_listed_and_revoked(home: Path) -> None:
    made = answer(
        home, "keys", "create", "shop", "--scope", "decide", "--scope", "label", "--expires", "90d"
    )
    assert made["key"].startswith("shroff_")
    (listed,) = answer(home, "keys", "list")["keys"]
    assert (listed["name"], listed["scopes"], listed["state"]) == (
        "shop",
        ["decide", "label"],
        "valid",
    )
    answer(home, "keys", "revoke", listed["id"])
    assert "revoked" in shroff(home, "keys", "list").stdout
    wrong = shroff(home, "keys", "create", "shop", "--scope", "everything")
    assert wrong.returncode == 2
    assert "decide, label, read, admin" in wrong.stderr


def test_a_ledger_that_is_not_there_is_one_sentence(home: Path) -> None:
    for words in (("ledger", "verify"), ("replay", "p1")):
        done = shroff(home, *words, kept=home / "empty")
        assert done.returncode == 2
        assert "ledger" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_demo_walks_the_whole_path(home: Path) -> None:
    document = answer(home, "demo", "--folder", home / "demo", "--payments", "20000", "--no-keep")
    decisions = document["decisions"]
    assert sum(decisions.values()) == 500
    caught = decisions["review/fraud"] + decisions["decline/fraud"]
    assert caught > decisions["approve/fraud"]
    assert decisions["decline/genuine"] < 25
    assert document["decision"]["reasons"]
    kept, bundle = home / "demo" / "home", home / "demo" / "bundle"

    def ask(*words: str | Path) -> dict[str, Any]:
        done = shroff(home, *words, "--json", kept=kept)
        assert done.returncode == 0, done.stdout + done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    assert ask("ledger", "verify")["records"] == 501  # the start has a record too
    version = ask("publish", bundle)["version"]
    assert ask("models")["production"] == version
    assert ask("lists", "add", "red_countries", "SE")["id"] == 1
    token = ask("lists", "add", "blocked_hosts", "203.0.113.9", "--personal")["value"]
    assert (len(token), "203.0.113.9" in (kept / "control.db").read_text("latin-1")) == (64, False)
    assert "SE" in ask("lists", "show")["lists"]["red_countries"]
    decided = document["decision"]["payment_id"]
    assert ask("replay", decided, "--data", home / "demo" / "history.parquet")["holds"]
    without_history = shroff(home, "replay", decided, kept=kept)
    assert without_history.returncode == 1
    history = len(pl.read_parquet(home / "demo" / "history.parquet"))
    said = f"The service knew {history:,} payments of history (`serve --warm`)"
    assert said in without_history.stderr
    assert "pass it with `--data`" in without_history.stdout
    assert not document["decision"]["degraded"]
    words = ("parity", home / "demo" / "bundle", "--ledger", "--json")
    told = shroff(
        home, *words, "--data", home / "demo" / "history.parquet", kept=home / "demo" / "home"
    )
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["comparisons"][0]["payments"] == 500
    # without the history that the service was started from, windows have less in them
    without_history = shroff(home, *words[:-1], kept=kept)
    assert without_history.returncode == 1
    assert "pass it with `--data`" in without_history.stdout
