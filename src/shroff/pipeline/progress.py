"""What a step of the pipeline says of itself while it runs."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str], None]


def silent(step: str) -> None:
    """Progress that nobody watches."""
