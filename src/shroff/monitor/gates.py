"""Gates on performance that a command declares: the least precision and recall of a whole month.

A gate is breached only past doubt: where even the upper end of what a month allows is too little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

from shroff.monitor.finding import Finding
from shroff.monitor.performance import Month


class PerformanceGates(NamedTuple):
    """The least precision and recall, from 0 to 1; None where nothing is asked."""

    precision: float | None = None
    recall: float | None = None


def findings(months: Sequence[Month], gates: PerformanceGates) -> Iterator[Finding]:
    """An alarm for each figure that the last month with all its labels does not reach.

    >>> list(findings([], PerformanceGates(recall=0.5)))[0].sentence
    'No month has all its labels yet: recall is not examined.'
    """
    whole = [one for one in months if one.mature and one.mature == one.payments]
    for name, least in gates._asdict().items():
        if least is None:
            continue
        found = next((one for one in reversed(whole) if _most(one, name) is not None), None)
        if found is None:
            why = f"No month has all its labels yet: {name} is not examined."
            yield Finding("performance", name, "info", why)
            continue
        most = _most(found, name) or 0.0
        reached = most >= least
        yield Finding(
            "performance",
            name,
            "info" if reached else "alarm",
            f"The {name} of {found.month} is at most {most:.2f}; at least {least:g} is asked for.",
            None if reached else date.fromisoformat(f"{found.month}-01"),
        )


def _most(month: Month, name: str) -> float | None:
    """The most that a figure can be; None where the month does not have it."""
    both = month.precision_interval if name == "precision" else month.recall
    return None if both is None else both[1]
