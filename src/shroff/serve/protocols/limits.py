"""The limits of a request in any protocol: rows, columns, values."""

from __future__ import annotations

from typing import Final

from shroff.collect.json_text import VALUES
from shroff.serve import problem
from shroff.serve.problem import Refused

MAX_ROWS: Final = 1_024
"""Most rows of a request, equal to a batch's window of waiting lines."""
MAX_COLUMNS: Final = 1_024


def require_few(rows: int, columns: int = 0) -> None:
    """Raise `Refused` if a request exceeds a limit; call it before any row is made.

    >>> require_few(2_000)
    Traceback (most recent call last):
    ...
    shroff.serve.problem.Refused: expected at most 1,024 rows in a request, got 2,000: send them in
    several.
    """
    for most, found, what in (
        (MAX_ROWS, rows, "rows"),
        (MAX_COLUMNS, columns, "columns"),
        (VALUES, rows * columns, "values"),
    ):
        if found > most:
            got = f"{found:,}" if found < 10**9 else "far more"
            raise Refused(
                problem.TOO_LARGE,
                f"expected at most {most:,} {what} in a request, got {got}: send them in several.",
            )
