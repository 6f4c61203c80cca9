"""The commands of `shroff`, run in the process of a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from shroff.cli import app


def run(*words: str | Path, home: Path | None = None) -> str:
    """What a command prints; what it raises, or its exit code other than 0, is raised."""
    done = CliRunner().invoke(
        app, list(map(str, words)), env={} if home is None else {"SHROFF_HOME": str(home)}
    )
    if done.exception is not None:
        raise done.exception
    return done.stdout


def answer(*words: str | Path, home: Path | None = None) -> dict[str, Any]:
    """What it prints as JSON."""
    document: dict[str, Any] = json.loads(run(*words, "--json", home=home))
    return document
