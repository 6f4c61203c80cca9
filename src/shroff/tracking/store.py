"""MLflow itself: only this file imports it. What is there already is not sent again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from shroff.private import private_file
from shroff.tracking.document import TrackedRun

# no word of what is done here leaves for MLflow's makers; must be set before it is imported
os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
# a server that is lost is one after seconds, not after MLflow's quarter of an hour
for _name, _value in {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}.items():
    os.environ.setdefault(_name, _value)

from mlflow import MlflowClient  # noqa: E402  # the variables come first
from mlflow.entities import Metric, Param, RunTag  # noqa: E402  # the variables come first
from mlflow.exceptions import MlflowException  # noqa: E402  # the variables come first

__all__ = ["MlflowException", "Store"]

RUN_TAG: Final = "shroff.run"
VERSION_TAG: Final = "shroff.version"
_BATCH: Final = 100
"""How many parameters, and how many tags, MLflow takes at once; of metrics it takes 1,000."""


class Store:
    """An MLflow server or database.

    Args:
        artefacts: the folder that keeps the files of runs, where there is no server to choose one.
    """

    def __init__(self, url: str, artefacts: Path) -> None:
        database = not url.startswith(("http", "databricks", "azureml"))
        self._artefacts = artefacts if database else None
        if url.startswith("sqlite:///"):
            file = Path(url.removeprefix("sqlite:///"))
            self._artefacts = file.absolute().parent / "mlartifacts"
            private_file(file)
        self._client = MlflowClient(url, registry_uri=url)

    def experiment(self, name: str) -> str:
        """The id of an experiment, which is made if there is none."""
        found = self._client.get_experiment_by_name(name)
        if found is None:
            place = None if self._artefacts is None else (self._artefacts / name).as_uri()
            return str(self._client.create_experiment(name, artifact_location=place))
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def send(self, run: TrackedRun, experiment: str, parent: str | None = None) -> str:
        """Make a run, or make the one that is there like this; returns MLflow's id of it."""
        there = self._find(RUN_TAG, run.key, [experiment])
        if there is None:
            tags = {RUN_TAG: run.key} | ({"mlflow.parentRunId": parent} if parent else {})
            there = self._client.create_run(experiment, run.began, tags, run.name)
        one = str(there.info.run_id)
        self._log(one, run, there.data)
        for each in run.nested:
            self.send(each, experiment, parent=one)
        self._client.update_run(one, run.status, run.name)
        if run.ended is not None:
            self._client.set_terminated(one, run.status, run.ended)
        return one

    def upload(self, run: str, folder: Path, place: str | None = None) -> None:
        """Send the files of a folder as artefacts of a run."""
        self._client.log_artifacts(run, str(folder), place)

    def run_with_bundle(self, version: str) -> str | None:
        """The run of ours, in any experiment, that packaged a bundle."""
        everywhere = [str(one.experiment_id) for one in self._client.search_experiments()]
        found = self._find("shroff.bundle", version, everywhere)
        return None if found is None else str(found.info.run_id)

    def versions(self, name: str) -> dict[str, Any]:
        """The versions of a registered model by the version of their bundle; it is made if there is
        none.
        """
        if not self._client.search_registered_models(f"name = '{name}'"):
            self._client.create_registered_model(name)
        found = self._client.search_model_versions(f"name = '{name}'", max_results=1_000)
        return {one.tags[VERSION_TAG]: one for one in found if VERSION_TAG in one.tags}

    def register(self, name: str, version: str, run: str) -> Any:
        """A version of a registered model, whose files are the artefact `model` of a run."""
        return self._client.create_model_version(
            name, f"runs:/{run}/model", run, tags={VERSION_TAG: version}
        )

    def describe(self, name: str, there: Any, tags: Mapping[str, str], note: str) -> None:
        """Set the tags and the description of a version where they differ."""
        for key, value in tags.items():
            if there.tags.get(key) != value:
                self._client.set_model_version_tag(name, there.version, key, value)
        if there.description != note:
            self._client.update_model_version(name, there.version, note)

    def point(self, name: str, aliases: Mapping[str, str | None]) -> None:
        """Let aliases point to versions (MLflow's numbers), or nowhere."""
        now = self._client.get_registered_model(name).aliases
        for alias, number in aliases.items():
            if number is None and alias in now:
                self._client.delete_registered_model_alias(name, alias)
            elif number is not None and str(now.get(alias)) != number:
                self._client.set_registered_model_alias(name, alias, number)

    def _find(self, tag: str, value: str, experiments: Sequence[str]) -> Any:
        found = self._client.search_runs(
            list(experiments), f"tags.`{tag}` = '{value}'", max_results=1
        )
        return found[0] if found else None

    def _log(self, one: str, run: TrackedRun, there: Any) -> None:
        # one time for all metrics, so that a server which is sent them twice keeps them once
        at = run.ended or run.began
        metrics = [Metric(name, value, at, 0) for name, value in _new(run.metrics, there.metrics)]
        params = [
            Param(*each) for each in _new(run.params, there.params) if each[0] not in there.params
        ]
        tags = [RunTag(*each) for each in _new(run.tags, there.tags)]
        for at in range(0, max(len(metrics), len(params), len(tags)), _BATCH):
            part = slice(at, at + _BATCH)
            self._client.log_batch(one, metrics[part], params[part], tags[part])


def _new(values: Mapping[str, Any], there: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return ((name, value) for name, value in values.items() if there.get(name) != value)
