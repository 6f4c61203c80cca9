"""`shroff models`, `promote`: stages, their history, and what was in production when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from serve.fixtures import fitted_model, make_bundle
from shroff.cli import app
from shroff.package import save


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in {"SHROFF_HOME": str(tmp_path / "home"), "LOGNAME": "ada"}.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, model = tmp_path_factory.mktemp("bundles"), fitted_model()
    for number in range(2):
        save(make_bundle(model, created=f"2024010{number}T000000Z"), folder / str(number))
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
    wrong = run("models", "at", "yesterday")
    assert "expected a moment in ISO 8601 with a zone" in str(wrong.exception)


def test_a_history_that_was_changed_fails_its_check(home: Path, bundles: list[Path]) -> None:
    told("publish", bundles[0])
    head = told("models", "verify")["head"]
    assert told("models", "verify", "--since", head)["holds"]
    path = home / "home" / "models" / "pointers.json"
    path.write_text(path.read_text().replace('"ada"', '"eve"'))
    done = run("models", "verify", "--since", head)
    assert (done.exit_code, "does not follow" in done.output) == (1, True)
