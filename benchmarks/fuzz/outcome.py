"""What became of one kind of case: a row of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True)
class Outcome:
    """How many cases of a kind there were, and one sentence for each failure.

    `delay` is the neighbour's longest wait in seconds, `growth` the most bytes of memory that the
    service took beyond what it had before; None where nobody pays or nothing is measured.
    """

    kind: str
    cases: int
    failures: tuple[str, ...]
    delay: float | None = None
    growth: int | None = None


def table(found: Sequence[Outcome]) -> Table:
    """All kinds, and their sum."""
    shown = Table("kind", "cases", "failures", "neighbour ms", "memory MiB")
    for one in found:
        shown.add_row(*_cells(one.kind, one))
    shown.add_section()
    worst = Outcome(
        "all",
        sum(one.cases for one in found),
        tuple(failure for one in found for failure in one.failures),
        max((one.delay for one in found if one.delay is not None), default=None),
        max((one.growth for one in found if one.growth is not None), default=None),
    )
    shown.add_row(*_cells("all", worst))
    return shown


def _cells(kind: str, one: Outcome) -> tuple[str, ...]:
    delay = "" if one.delay is None else f"{one.delay * 1_000:,.0f}"
    growth = "" if one.growth is None else f"{one.growth / 2**20:,.1f}"
    return kind, f"{one.cases:,}", f"{len(one.failures):,}", delay, growth
