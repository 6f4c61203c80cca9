"""A few lines of the log a second: garbage must not fill a disk."""

from __future__ import annotations

from typing import Final

_LINES: Final = 10


class Limit:
    """Lets ten lines a second through, and counts the others."""

    def __init__(self) -> None:
        self._since = 0.0
        self._lines = 0
        self._held = 0

    def held(self, now: float) -> int | None:
        """How many lines were held back before one that may be written now; None when it may not."""
        if now - self._since >= 1:
            self._since, self._lines = now, 0
        if self._lines >= _LINES:
            self._held += 1
            return None
        self._lines += 1
        held, self._held = self._held, 0
        return held
