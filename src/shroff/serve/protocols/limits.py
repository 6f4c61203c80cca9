"""How much one request may hold, in whichever protocol it comes: rows, columns, values."""

from __future__ import annotations

from typing import Final

from shroff.collect.json_text import VALUES
from shroff.serve import problem
from shroff.serve.problem import Refused

MAX_ROWS: Final = 1_024
"""Rows of one request, as many as lines of a batch wait for their answer."""
MAX_COLUMNS: Final = 1_024


def require_few(rows: int, columns: int = 0) -> None:
    """Raise `Refused` where a request has more than one may have; asked before any row is made.

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
