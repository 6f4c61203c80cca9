"""Progress that a step of the pipeline reports."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str], None]


def silent(step: str) -> None:
    """Progress that is not shown."""
