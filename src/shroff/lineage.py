"""What a recorded run was asked for and what it read: the parameters and inputs of its record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from shroff.experiment.record import file_digest, group_versions
from shroff.project import Project, project_file


def parameters(project: Project, options: Mapping[str, object]) -> dict[str, Any]:
    """The options of the command, the detectors with their parameters, and the policy, its lists as digests."""
    policy = msgspec.to_builtins(msgspec.structs.replace(project.policy, lists={}))
    lists = {name: sorted(values) for name, values in project.policy.lists.items()}
    return {
        **{name: value for name, value in options.items() if value is not None},
        "split": str(options.get("split") or project.split),
        "detectors": [{"name": one.name, **one.get_params(deep=False)} for one in project.detectors],
        "policy": policy
        | {"lists": {name: hashlib.sha256(repr(values).encode()).hexdigest() for name, values in lists.items()}},
    }


def inputs(project: Project, path: str | Path, files: Mapping[str, Path | None]) -> dict[str, Any]:
    """The project's file, its feature groups, and the files by their roles, with their digests; `table` comes later.

    Raises:
        BadFile: one cannot be read.
    """
    read = {"project": project_file(path)} | {role: file for role, file in files.items() if file is not None}
    return {role: file_digest(file) for role, file in read.items()} | {
        "features": group_versions(tuple(project.features))
    }
