"""Runs and stages in a real MLflow on SQLite: what is there, once, and what a lost server breaks.

A first database takes MLflow seconds: the tests share one, which is looked at with SQL.
"""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from typer.testing import CliRunner

from commands import answer
from patience import until
from serve.fixtures import fitted_model, make_bundle
from shroff.cli import app
from shroff.control.models import Models
from shroff.errors import ConfigurationError, Unavailable
from shroff.experiment import Runs
from shroff.package import save, write_pyfunc
from shroff.settings import Settings
from shroff.simulate import simulate
from shroff.tracking import Mirror, RunMirror
from shroff.tracking.job import Job
from shroff.tracking.sending import send_models, send_run

if TYPE_CHECKING:
    from shroff.tracking.store import Store

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy

PROJECT = """
from shroff import Entity, FeatureGroup, Project, Schema, sql
from shroff.detect import LogisticRegression, Rules

payments = Schema(id="transaction_id", time="created_at", amount="amount", currency="currency",
                  label="is_fraud", nominal=["mcc"], keys=["card_id"])
card = Entity("card", "card_id")
project = Project(schema=payments, features=[FeatureGroup("velocity", [card.count("1h")])],
                  detectors=[Rules(["card_count_1h > 3"]), LogisticRegression()])
"""
FOLLOWED = """
import sys, time
from pathlib import Path
from shroff.experiment import Runs
from shroff.settings import Settings
from shroff.tracking import Mirror, RunMirror
settings = Settings(home=Path(sys.argv[1]))
runs = Runs(settings.home / "runs")
with RunMirror(Mirror(sys.argv[2], settings)) as mirror, runs.begin({}, {}) as recording:
    mirror.follow(recording.record.run)
    time.sleep(600)
"""


class Database:
    """MLflow's database, read as tables."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "mlflow.db"
        self.url = f"sqlite:///{self.file}"

    @cached_property
    def store(self) -> Store:
        """MLflow's client in the process of the tests, which saves the time of others."""
        from shroff.tracking.store import Store

        return Store(self.url, self.file.parent)

    def job(self, home: Path, **what: Any) -> Job:
        kept = home / "kept"
        return Job(url=self.url, home=str(kept), models=str(kept / "models"), **what)

    def rows(self, statement: str) -> list[Any]:
        with sqlite3.connect(self.file) as connection:
            return connection.execute(statement).fetchall()

    def count(self) -> dict[str, int]:
        """How many rows there are of all that a run may leave twice."""
        tables = ("runs", "params", "metrics", "tags", "model_versions", "registered_model_aliases")
        return {name: self.rows(f"SELECT count(*) FROM {name}")[0][0] for name in tables}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tracking")


@pytest.fixture(scope="module")
def mlflow(home: Path) -> Database:
    return Database(home)


@pytest.fixture(scope="module")
def trained(home: Path, mlflow: Database) -> dict[str, Any]:
    """A run of `shroff train` with two detectors, which was mirrored; its bundle is in `bundle`."""
    folder = home / "shop"
    folder.mkdir()
    (folder / "project.py").write_text(PROJECT)
    log = simulate(payments=3_000, days=30, fraud_rate=0.04, seed=3)
    log.with_columns(currency=pl.lit("EUR")).write_parquet(home / "log.parquet")
    return answer(
        "train", folder, "--data", home / "log.parquet", "--bundle", home / "bundle",
        "--accept", "flags_most", "--accept", "no_lift", "--track", mlflow.url, home=home / "kept",
    )  # fmt: skip


def test_a_trained_run_is_in_mlflow_with_a_nested_run_per_detector(
    home: Path, mlflow: Database, trained: dict[str, Any]
) -> None:
    assert trained["tracking"] == {"server": mlflow.url, "sent": True}
    parent, *nested = mlflow.rows(
        "SELECT r.run_uuid, r.name, r.status, e.name FROM runs r JOIN experiments e "
        "USING (experiment_id) ORDER BY (SELECT count(*) FROM tags t "
        "WHERE t.run_uuid = r.run_uuid AND t.key = 'mlflow.parentRunId')"
    )
    assert parent[2:] == ("FINISHED", "shop")
    assert parent[1].startswith(f"{trained['best']} 20")
    assert {name.split()[0] for _, name, _, _ in nested} == {"rules", "logistic_regression"}
    for run, name, _, _ in nested:
        figures = trained["detectors"][name.split()[0]]
        metrics = dict(
            mlflow.rows(f"SELECT key, value FROM latest_metrics WHERE run_uuid = '{run}'")
        )
        assert metrics["test/average_precision"] == figures["test"]["average_precision"]
        assert metrics["held_out_average_precision"] == figures["held_out_average_precision"]
        params = dict(mlflow.rows(f"SELECT key, value FROM params WHERE run_uuid = '{run}'"))
        assert params["detector.name"] == name.split()[0]
        assert params["inputs.features.velocity.version"] == "1"
    tags = dict(mlflow.rows(f"SELECT key, value FROM tags WHERE run_uuid = '{parent[0]}'"))
    assert tags["shroff.run"] == trained["run"]
    assert tags["shroff.bundle"] == trained["bundle"]["version"]
    kept = home / "mlartifacts" / "shop" / parent[0] / "artifacts"
    record = home / "kept" / "runs" / trained["run"] / "run.json"
    assert (kept / "record.json").read_bytes() == record.read_bytes()
    assert (kept / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert {file.name for file in (kept / "bundle").iterdir()} == {
        "manifest.json", "schema.json", "features.json", "metrics.json"
    }  # fmt: skip


def test_a_run_that_is_sent_again_is_there_once(
    home: Path, mlflow: Database, trained: dict[str, Any]
) -> None:
    before = mlflow.count()
    assert send_run(mlflow.job(home, run=trained["run"]), mlflow.store, ended=False) == 3
    assert mlflow.count() == before


def test_mlflow_reports_nothing_to_its_makers(mlflow: Database, trained: dict[str, Any]) -> None:
    assert mlflow.store
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert is_telemetry_disabled()


def test_a_killed_run_is_killed_in_mlflow_too(
    home: Path, mlflow: Database, trained: dict[str, Any], tmp_path: Path
) -> None:
    statement = (
        "SELECT status FROM runs JOIN tags USING (run_uuid) "
        "WHERE tags.key = 'shroff.run' AND tags.value = '{}'"
    )
    with subprocess.Popen([sys.executable, "-c", FOLLOWED, tmp_path, mlflow.url]) as process:
        until(lambda: Runs(tmp_path / "runs").all())
        (record,) = Runs(tmp_path / "runs").all()
        status = statement.format(record.run)
        until(lambda: mlflow.rows(status) == [("RUNNING",)])
        process.send_signal(signal.SIGKILL)
    until(lambda: mlflow.rows(status) == [("KILLED",)])


def test_stages_are_aliases_of_versions_whose_model_is_there(
    home: Path,
    mlflow: Database,
    trained: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = save(make_bundle(fitted_model()), tmp_path / "other")
    models, job = Models(home / "kept" / "models"), mlflow.job(home, everything=True)
    with monkeypatch.context() as patch:
        patch.setenv("SHROFF_TRACKING", mlflow.url)
        answer("publish", tmp_path / "other", "--note", "the first", home=home / "kept")
    assert aliases(mlflow) == {"production": made.version}
    (source,) = mlflow.rows("SELECT run_id FROM model_versions")
    model = home / "mlartifacts" / "shroff" / source[0] / "artifacts" / "model"
    write_pyfunc(made, tmp_path / "model")
    assert (model / "MLmodel").read_bytes() == (tmp_path / "model" / "MLmodel").read_bytes()
    first, second = made.version, trained["bundle"]["version"]
    models.publish(home / "bundle", role="shadow", accept_schema=True)
    assert send_models(job, mlflow.store) == 2
    assert aliases(mlflow) == {"production": first, "candidate": second}
    models.publish(home / "bundle", accept_schema=True)
    send_models(job, mlflow.store)
    assert aliases(mlflow) == {"production": second}
    models.rollback(accept_schema=True)
    send_models(job, mlflow.store)
    assert aliases(mlflow) == {"production": first}
    before = mlflow.count()
    assert send_models(job, mlflow.store) == 2
    assert mlflow.count() == before
    stages = mlflow.rows(
        "SELECT value FROM model_version_tags WHERE key = 'shroff.stage' ORDER BY version"
    )
    assert stages == [("production",), ("retired",)]


def aliases(mlflow: Database) -> dict[str, str]:
    return dict(
        mlflow.rows(
            "SELECT a.alias, t.value FROM registered_model_aliases a JOIN model_version_tags t "
            "ON t.name = a.name AND t.version = a.version AND t.key = 'shroff.version'"
        )
    )


def test_a_lost_server_breaks_nothing_and_no_password_is_printed(
    tmp_path: Path, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setenv("SHROFF_TRACKING", f"http://ada:hush@127.0.0.1:{port}/mlflow?key=quiet")
    monkeypatch.setenv("SHROFF_HOME", str(tmp_path))
    done = CliRunner().invoke(app, ["publish", str(bundle_folder)])
    assert done.exit_code == 0, done.output
    assert (
        f"http://127.0.0.1:{port}/mlflow: the stages of models were not sent: the server does not "
        "answer. Send them later with `shroff models track`."
    ) in done.output
    assert "is in production" in done.output
    assert not any(secret in done.output for secret in ("hush", "quiet", "ada"))


def test_a_server_that_never_answers_is_waited_for_no_longer_than_patience(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        mirror = Mirror(url, Settings(home=tmp_path), patience=0.5)
        with pytest.raises(Unavailable, match=r"it took more than 0\.5 seconds"):
            mirror.send_models()
        with RunMirror(mirror) as run:
            run.follow("20260101T000000Z-aaaa")
    assert run.document == {"tracking": {"server": url, "sent": False}}
    assert run.failed == (
        f"{url}: the run was not sent: it took more than 0.5 seconds; send it later with "
        "`shroff runs track 20260101T000000Z-aaaa`."
    )


@pytest.mark.parametrize("url", ["file:///tmp/mlruns", "/tmp/mlruns", "ftp://ada:hush@host"])
def test_what_is_no_tracking_url_is_refused_before_anything_is_done(url: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a tracking URL such as") as refused:
        Mirror(url, Settings())
    assert "hush" not in str(refused.value)
    with pytest.raises(ConfigurationError, match="SHROFF_TRACKING_NAME without"):
        Mirror("sqlite:///mlflow.db", Settings(tracking_name="a/b"))
