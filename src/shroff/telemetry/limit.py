"""A limit of log lines a second: clients that send garbage must not fill a disk."""

from __future__ import annotations

from typing import Final

_LINES_PER_SECOND: Final = 10


class Limit:
    """Admits ten lines a second and counts the rest."""

    def __init__(self) -> None:
        self._since = 0.0
        self._lines = 0
        self._held = 0

    def held(self, now: float) -> int | None:
        """How many lines were held back before this one; None if it is held back too."""
        if now - self._since >= 1:
            self._since, self._lines = now, 0
        if self._lines >= _LINES_PER_SECOND:
            self._held += 1
            return None
        self._lines += 1
        held, self._held = self._held, 0
        return held
