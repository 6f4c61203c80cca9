"""`shroff train` as its user meets it: from a log to a bundle, and what its run records.

Training takes seconds: tests share runs.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from patience import until
from program import LOG, PAYMENTS, ROOT, answer, command, environment, shroff, simulated

KNOWN_CARDS = "time:70/30,known_cards=drop,folds=2"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def log(home: Path) -> Path:
    return simulated(home / "payments.csv.gz")


@pytest.fixture(scope="module")
def trained(home: Path, log: Path) -> dict[str, Any]:
    """What `train` says of a run whose bundle is in `one`."""
    return answer(home, "train", PAYMENTS, "--data", log, "--bundle", home / "one")


@pytest.fixture(scope="module")
def printed(home: Path, log: Path) -> tuple[str, str]:
    """A run that leaves known cards out of its test part: its name, and what it printed."""
    done = shroff(home, "train", PAYMENTS, "--data", log, "--split", KNOWN_CARDS)
    assert done.returncode == 0, done.stderr
    return answer(home, "runs", "list")["runs"][-1]["run"], done.stdout


def test_the_path_from_log_to_bundle(home: Path, log: Path, trained: dict[str, Any]) -> None:
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
    assert set(trained["detectors"]) == {"rules", "logistic_regression", "boosted_trees"}
    report = answer(home, "report", home / "one")
    assert report["version"] == trained["bundle"]["version"]
    again = shroff(home, "train", PAYMENTS, "--data", "nowhere.csv", "--bundle", home / "one")
    assert (again.returncode, "pass --overwrite to replace it" in again.stderr) == (
        2,
        True,
    )  # before any work
    assert report["detectors"] == trained["detectors"]
    assert report["findings"] == trained["findings"]
    assert report["parts"] == trained["parts"]
    assert set(trained["parts"]) == {"train", "test", "delay"}
    assert sum(part["payments"] for part in trained["parts"].values()) == collected["kept"]
    printed = shroff(home, "report", home / "one").stdout
    assert "judged by" in printed
    assert "Decisions by probability" in printed
    assert "; costs in EUR" in printed
    assert trained["detectors"]["boosted_trees"]["thresholds"]["cost_per_day"] > 0
    assert all(name in printed for name in trained["detectors"])
    assert "doctor found" in printed


def test_the_same_run_twice_differs_in_nothing(
    home: Path, log: Path, trained: dict[str, Any], printed: tuple[str, str]
) -> None:
    """Same inputs and seed: same figures, and a bundle of the same content."""
    one, (third, _) = trained, printed
    other = answer(home, "train", PAYMENTS, "--data", log, "--bundle", home / "other")
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
    differ = answer(home, "runs", "compare", one["run"], third)["differences"]
    assert differ["parameters.split"] == ["time:70/30", KNOWN_CARDS]
    assert not [name for name in differ if name.startswith(("inputs", "code", "machine"))]
    written = answer(home, "report", home / "one", "--out", home / "report.html")
    assert (written["run"], written["bytes"]) == (one["run"], (home / "report.html").stat().st_size)
    assert answer(home, "report", "--out", home / "report.html")["run"] == other["run"]
    assert answer(home, "report", one["run"])["run"] == one["run"]
    assert f"run {other['run']}" in (home / "report.html").read_text(encoding="utf-8")
    shroff(home, "report", third, "--out", home / "folds.html")
    assert "Figures by stretch of the test part" in (home / "folds.html").read_text()
    assert answer(home, "runs", "show")["run"] == other["run"], "the latest finished one"
    text = shroff(home, "runs", "show", third).stdout
    assert "Learned anew for each of 2 successive stretches of the test part" in text
    assert "mean ± standard deviation" in text
    assert "boosted_trees" in text
    assert "finished" in text


def test_a_killed_run_goes_on_to_the_same_bundle(
    home: Path, log: Path, trained: dict[str, Any]
) -> None:
    words = ("train", PAYMENTS, "--data", log, "--bundle")
    runs = home / "kept" / "runs"
    before = set(runs.glob("*/fits/*"))
    with subprocess.Popen(
        command(*words, home / "killed"),
        cwd=home,
        env=environment(home),
        stderr=subprocess.DEVNULL,
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
    kept = answer(home, "runs", "show", killed["run"])
    assert (kept["status"], kept.get("failure")) == ("killed", None)

    resumed = answer(home, *words, home / "killed", "--resume", killed["run"])
    assert resumed["run"] == killed["run"]
    assert "read rules, which was trained before" in resumed["seconds"]
    assert "train rules" not in resumed["seconds"]
    assert resumed["detectors"] == trained["detectors"]
    assert answer(home, "runs", "compare", trained["run"], resumed["run"])["differences"] == {}
    one, same = (answer(home, "runs", "show", each["run"]) for each in (trained, resumed))
    assert same["bundle"]["content"] == one["bundle"]["content"]
    assert (same["status"], same["resumed"]) == ("finished", 1)
    assert "resumed: once" in shroff(home, "runs", "show", resumed["run"]).stdout
    assert not (runs / resumed["run"] / "fits").exists()
    again = shroff(home, *words, home / "third", "--resume", resumed["run"])
    assert (again.returncode, "has finished: expected one that" in again.stderr) == (2, True)


def test_a_run_that_fails_is_recorded_with_its_reason(home: Path, log: Path) -> None:
    done = shroff(home, "train", PAYMENTS, "--data", log, "--split", "time:2001-01-01/7/7/7")
    assert done.returncode == 2
    failed = answer(home, "runs", "list")["runs"][-1]
    assert failed["status"] == "failed"
    assert "2001-01-01" in answer(home, "runs", "show", failed["run"])["failure"]


def test_labels_are_asked_for_whatever_learns(home: Path, log: Path) -> None:
    (home / "bare.py").write_text(
        "from shroff import Project, Schema\nfrom shroff.detect import IsolationForest\n"
        "schema = Schema(id='transaction_id', time='created_at', amount='amount')\n"
        "project = Project(schema=schema, detectors=[IsolationForest()])\n"
    )
    done = shroff(home, "train", home / "bare.py", "--data", log)
    assert done.returncode == 2
    assert "calibrated, compared and given thresholds by them too" in done.stderr


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


def test_what_the_doctor_finds_is_not_packaged(
    home: Path, log: Path, trained: dict[str, Any]
) -> None:
    project, trees = (PAYMENTS / "project.py").read_text(), "        BoostedTrees(),\n"
    assert trees in project
    # the doctor looks at the split: what is trained does not matter to it
    (home / "regression.py").write_text(project.replace(trees, ""))
    train = ("train", home / "regression.py", "--data", log)
    words = (*train, "--split", "random:70/30", "--bundle", home / "random")
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
    shutil.copytree(trained["bundle"]["folder"], home / "random")
    accepted = answer(home, *words, "--accept", "random_split", "--overwrite")
    assert [finding["check"] for finding in accepted["findings"]] == ["random_split"]
    assert "despite the check random_split" in shroff(home, "report", home / "random").stdout


def test_known_cards_are_left_out_of_the_test_where_asked_and_said_so(
    home: Path, printed: tuple[str, str]
) -> None:
    run, text = printed
    figures = answer(home, "runs", "show", run)["figures"]
    dropped = figures["parts"]["known_cards"]["payments"]
    assert dropped > 0
    for one in figures["detectors"].values():
        assert one["test_with_known_cards"]["n"] == one["test"]["n"] + dropped
    assert "cards with an earlier known fraud (known_cards=drop)" in text
    assert "The same with the test payments of known cards" in text


def test_two_tables_are_joined_and_trained(home: Path) -> None:
    tables = home / "tables"
    answer(home, "simulate", "--two-tables", tables, *LOG)
    words = ("train", ROOT / "examples" / "two_tables", "--data", tables / "facts.csv")
    alone = shroff(home, *words)
    assert alone.returncode == 2
    assert "pass --join" in alone.stderr
    both = answer(home, *words, "--join", tables / "statistics.csv", "--max-bad", "0.1")
    assert both["dropped"]
    assert both["detectors"]["boosted_trees"]["test"]["roc_auc"] > 0.6
