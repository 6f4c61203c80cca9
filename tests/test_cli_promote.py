"""`shroff models`, `promote`: stages, their history, and what was in production when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from serve.fixtures import fitted_model, make_bundle
from shroff.cli import app
from shroff.experiment import Runs
from shroff.package import load, save


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in {"SHROFF_HOME": str(tmp_path / "home"), "LOGNAME": "ada"}.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, model = tmp_path_factory.mktemp("bundles"), fitted_model()
    for number in range(2):
        save(make_bundle(model, created=f"2024010{number + 1}T000000Z"), folder / str(number))
    return [folder / str(number) for number in range(2)]


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [*map(str, words)])


def told(*words: object) -> Any:
    done = run(*words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_stages_and_what_was_in_production_when(home: Path, bundles: list[Path]) -> None:
    first = told("publish", bundles[0], "--note", "the first")["version"]
    second = told("publish", bundles[1], "--shadow")["version"]
    stages = {one["version"]: one["stage"] for one in told("models")["stages"]}
    assert stages == {first: "production", second: "candidate"}
    moved = told("models", "history")["changes"][0]["at"]
    assert told("models", "at", moved)["production"] == first
    assert told("models", "at", "2020-01-01T00:00:00Z")["production"] is None
    assert f"Version {first} with its own policy" in run("models", "at", moved).stdout
    assert told("models", "at", "2020-01-01")["production"] is None
    wrong = run("models", "at", "yesterday")
    assert "expected a day such as 2026-01-31 (UTC), or a time" in str(wrong.exception)


def test_a_history_that_was_changed_fails_its_check(home: Path, bundles: list[Path]) -> None:
    told("publish", bundles[0])
    head = told("models", "verify")["head"]
    assert told("models", "verify", "--since", head)["holds"]
    path = home / "home" / "models" / "pointers.json"
    path.write_text(path.read_text().replace('"ada"', '"eve"'))
    done = run("models", "verify", "--since", head)
    assert (done.exit_code, "does not follow" in done.output) == (1, True)


def test_a_refused_gate_is_a_sentence_and_exit_code_1(
    home: Path, bundles: list[Path], tmp_path: Path
) -> None:
    log = tmp_path / "log.csv"
    log.write_text(
        "payment_id,created_at,amount,currency,is_fraud,labelled_at,result,result_at,mcc,"
        "request_country,account_country,items,email,card_id,host_id,merchant_id\n"
        + "".join(
            f"p{n},2024-02-0{n % 9 + 1}T00:00:00Z,{n + 1},EUR,0,,,,5411,DK,DK,1,a@b.example,c{n},h,"
            "m\n"
            for n in range(200)
        )
    )
    words = ("promote", bundles[0], "--to", "production", "--data", log, "--budget-ms", "10000")
    done = run(*words, "--why", "the first")
    assert done.exit_code == 1, done.output
    said = " ".join(done.stdout.split())
    assert "doctor: refused: the bundle records no examination" in said
    assert "of 200 payments" in said
    assert "is in the stage research" in said
    forced = run(*words, "--why", "we know it", "--force", "--json")
    assert forced.exit_code == 0
    told_of = json.loads(forced.stdout)
    assert (told_of["stage"], told_of["forced"]) == ("production", True)
    version = told_of["version"]
    change = told("models", "history")["changes"][-1]
    assert (change["forced"], change["note"], change["action"]) == (True, "we know it", "promote")
    assert [one["passed"] for one in change["gates"]] == [False, True, True, True, False]
    assert f"has no run that made the bundle {version}" in change["gates"][4]["sentence"]
    refused = told("models", "history")["changes"][0]
    assert (refused["action"], refused["note"]) == ("refuse", "the first")
    assert f"refuse production {version}, by ada: the first" in " ".join(
        run("models", "history").stdout.split()
    )
    again = run("promote", version, "--to", "candidate", "--why", "again", "--data", log)
    assert "is in production already" in str(again.exception)
    nothing = run("promote", bundles[1], "--to", "candidate", "--why", "no payments")
    assert "ledger" in str(nothing.exception)
    (tmp_path / "card.py").write_text("import nowhere\n")
    declared = run(*words, "--why", "to whom", "--project", tmp_path / "card.py")
    assert "named 'nowhere'" in str(declared.exception)
    assert "decide the same payments" not in declared.output  # which takes minutes
    project = tmp_path / "loads.py"
    project.write_text(
        "import pathlib\nfrom shroff import Project, Schema\n"
        "with (pathlib.Path(__file__).parent / 'loads').open('a') as file: file.write('x')\n"
        "project = Project(schema=Schema(id='id', time='at', amount='amount', keys=['card']))\n"
    )
    with Runs(tmp_path / "home" / "runs").begin({}, {}) as recording:
        recording.bundle = {"folder": "b", "version": load(bundles[1]).version, "content": "0"}
    second = ("promote", bundles[1], *words[2:], "--why", "by a run", "--project", project)
    assert "card: refused: its model card is not complete" in run(*second).output
    assert (tmp_path / "loads").read_text() == "x", "the project is loaded once"
    unknown = run("promote", "nobody", "--to", "candidate", "--why", "no run", "--data", log)
    assert "has no run `nobody`" in str(unknown.exception)
