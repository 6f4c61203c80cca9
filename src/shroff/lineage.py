"""What a recorded run was asked for and what it read: the parameters and inputs of its record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from shroff.experiment.record import file_digest, group_versions
from shroff.location import Location
from shroff.project import Project, project_file


def parameters(project: Project, options: Mapping[str, object]) -> dict[str, Any]:
    """The command's options, the detectors' parameters, the policy with list digests, and what
    people declared of the model.
    """
    declared = project.model_card
    policy = msgspec.to_builtins(msgspec.structs.replace(project.policy, lists={}))
    lists = {name: sorted(values) for name, values in project.policy.lists.items()}
    return {
        **{name: value for name, value in options.items() if value is not None},
        **({} if declared is None else {"model_card": msgspec.to_builtins(declared)}),
        "split": str(options.get("split") or project.split),
        "detectors": [
            {"name": one.name, **one.get_params(deep=False)} for one in project.detectors
        ],
        "policy": policy
        | {
            "lists": {
                name: hashlib.sha256(repr(values).encode()).hexdigest()
                for name, values in lists.items()
            }
        },
    }


def inputs(
    project: Project, path: str | Path, tables: Mapping[str, Location | None]
) -> dict[str, Any]:
    """The project's file, its feature groups, and the tables by their roles, files with digests;
    `table` comes later.

    Raises:
        BadFile: one cannot be read.
    """
    read = {"project": Location.of(project_file(path))} | {
        role: one for role, one in tables.items() if one is not None
    }
    found = {role: _origin(one) for role, one in read.items()}
    found["project"]["folder"] = project_file(path).absolute().parent.name
    return found | {"features": group_versions(tuple(project.features))}


def _origin(table: Location) -> dict[str, Any]:
    """A file's digest; a table in a database or service and a folder have none, and their rows are
    known by that of the clean table.
    """
    file = Path(table) if table.scheme is None else table.messages
    return {"source": str(table)} if file is None or file.is_dir() else file_digest(file)
