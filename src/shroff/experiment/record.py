"""The record of a run: what went in, what came out, and where it ran, as one JSON file."""

from __future__ import annotations

import hashlib
import os
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from shroff.errors import BadFile, ConfigurationError, MissingExtra
from shroff.evaluate.judgement import Judgement
from shroff.features.group import FeatureGroup
from shroff.machine import physical_bytes

if TYPE_CHECKING:
    from shroff.experiment.plots import Plots

Status = Literal["running", "finished", "failed", "killed"]

_LIBRARIES: Final = (
    "shroff",
    "numpy",
    "polars",
    "scikit-learn",
    "lightgbm",
    "onnx",
    "onnxruntime",
    "keras",
    "tensorflow",
)
_RUN_SPECIFIC_KEYS: Final = (
    "run",
    "began",
    "ended",
    "seconds",
    "inputs.project.folder",
    "bundle.folder",
    "bundle.version",
    "evaluation",
    "resumed",
)
"""What differs between any two runs, and the bins, which say what the figures say."""
_NAME_KEYS: Final = ("name", "check", "asked")
"""The keys by which what is in a list is known: a detector, a finding, a group of a dataset."""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run of `shroff train`, written when it begins and again when it ends.

    Attributes:
        run: its name, which begins with the second in which it began (UTC).
        parameters: what was asked for: the options of the command, the detectors with their
            parameters, the policy.
        inputs: what was read, each with the SHA-256 of its content: the project's file and the log,
            or the dataset of the store with its version; the feature groups with their versions;
            when it ended, the `table` learned from.
        code, machine: versions of the libraries whose results it depends on; where it ran.
        ended: when it ended, None until then; with a `failure` in one sentence if it did not
            finish.
        seconds: how long each step took.
        figures: what `shroff train --json` prints.
        evaluation: what a report shows of each detector besides, on the test part.
        importance: how much average precision of the best detector an input carries, the largest
            first.
        bundle: `folder`, `version` and `content`, the digest of what was packaged, if anything was.
        refusal: why the best detector was not packaged, where that was asked for.
        resumed: how often it went on after it had been killed or had failed.
    """

    run: str
    began: str
    parameters: dict[str, Any]
    inputs: dict[str, Any]
    code: dict[str, str]
    machine: dict[str, Any]
    ended: str | None = None
    failure: str | None = None
    seconds: dict[str, float] = {}
    figures: dict[str, Any] = {}
    evaluation: dict[str, Judgement] = {}
    importance: dict[str, float] = {}
    bundle: dict[str, str] | None = None
    refusal: str | None = None
    resumed: int = 0

    def __repr__(self) -> str:
        """In one line; `figures`, `evaluation` and `parameters` hold thousands of numbers."""
        state = self.failure or self.refusal or ("done" if self.ended else "not finished")
        best = self.figures.get("best")
        version = None if self.bundle is None else self.bundle["version"]
        return f"RunRecord(run={self.run!r}, state={state!r}, {best=}, {version=})"

    @property
    def plot(self) -> Plots:
        """Its figures for notebooks: `run.plot.roc()`, `.precision_recall()`, `.calibration()` and
        `.cost()`.

        Raises:
            MissingExtra: Matplotlib is not installed.
            ConfigurationError: the run did not finish.
        """
        try:
            from shroff.experiment.plots import Plots
        except ModuleNotFoundError as error:
            raise MissingExtra("figures need Matplotlib: pip install 'shroff[plot]'") from error
        if not self.evaluation:
            raise ConfigurationError(
                f"the run {self.run} did not finish: plot another (`shroff runs list`)."
            )
        return Plots(self.evaluation, self.parameters["policy"]["cost"])


def file_digest(path: Path) -> dict[str, Any]:
    """A file's name, size and SHA-256.

    Raises:
        BadFile: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return {"file": path.name, "bytes": os.fstat(file.fileno()).st_size, "sha256": digest}
    except OSError as error:
        raise BadFile(
            f"{path}: {error.strerror.lower() if error.strerror else 'it cannot be read'}."
        ) from None


def group_versions(groups: tuple[FeatureGroup, ...]) -> dict[str, dict[str, Any]]:
    """Each feature group's version and the SHA-256 of its definition."""
    return {
        group.name: {
            "version": group.version,
            "sha256": hashlib.sha256(
                msgspec.json.encode(msgspec.structs.replace(group, of=None))
            ).hexdigest(),
        }
        for group in groups
    }


def code_versions() -> dict[str, str]:
    """The versions of Python and of the installed libraries that results depend on."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # an extra
    return found


def this_machine() -> dict[str, Any]:
    """The system, its processor, the cores that this process may use, and the memory in bytes."""
    return {
        "system": platform.platform(),
        "processor": platform.machine(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory": physical_bytes(),
    }


def differences(one: RunRecord, other: RunRecord) -> dict[str, tuple[object, object]]:
    """What differs between two runs, by its dotted name; None where a run has none of it.

    When they ran, how long they took and where their bundles are is left out. What a list holds
    under names, such as detectors, is compared by these names.

    >>> made = dict(run="a", began="", inputs={}, code={}, machine={})
    >>> differences(
    ...     RunRecord(**made, parameters={"tune": 0}), RunRecord(**made, parameters={"tune": 8})
    ... )
    {'parameters.tune': (0, 8)}
    """
    left, right = (dict(_flat(msgspec.to_builtins(each), "")) for each in (one, other))
    names = dict.fromkeys([*left, *right])
    return {
        name: (left.get(name), right.get(name))
        for name in names
        if left.get(name) != right.get(name)
    }


def _flat(value: object, name: str) -> Iterator[tuple[str, object]]:
    if name in _RUN_SPECIFIC_KEYS:
        return
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _flat(each, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        for key, one in zip(_names(value), value, strict=True):
            yield from _flat(one, f"{name}.{key}")
    else:
        yield name, value


def _names(values: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Of each value the name that it has, or its place; the second of one name has a `-2`."""
    times: Counter[str] = Counter()
    for place, one in enumerate(values):
        name = next((str(one[key]) for key in _NAME_KEYS if key in one), str(place))
        times[name] += 1
        yield name if times[name] == 1 else f"{name}-{times[name]}"
