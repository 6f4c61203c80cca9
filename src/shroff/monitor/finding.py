"""A finding: one thing that monitoring has to say, for people, schedulers and alerts alike."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, Final, Literal, NamedTuple

Severity = Literal["alarm", "warning", "info"]
"""An alarm fails the verdict, a warning is sent like one but fails nothing, an info is only shown.
"""
SEVERITIES: Final[tuple[Severity, ...]] = ("alarm", "warning", "info")


class Finding(NamedTuple):
    """What was found of one subject.

    Attributes:
        kind: what was examined, such as `drift`, `decisions`, `labels`, `parity`.
        subject: what it was found of, such as a column or a source of labels; with the kind it
            names the finding from one look to the next.
        severity: what follows from it.
        sentence: all of it in words, without a payload.
        since: the first day on which it held, where that is known.
    """

    kind: str
    subject: str
    severity: Severity
    sentence: str
    since: date | None = None

    def to_dict(self) -> dict[str, Any]:
        """The finding as plain JSON."""
        since = None if self.since is None else self.since.isoformat()
        return {**self._asdict(), "since": since}


def by_severity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings with the most severe first, otherwise in their order.

    >>> [
    ...     one.severity
    ...     for one in by_severity(
    ...         [Finding("a", "x", "info", "."), Finding("b", "x", "alarm", ".")]
    ...     )
    ... ]
    ['alarm', 'info']
    """
    return tuple(sorted(findings, key=lambda one: SEVERITIES.index(one.severity)))
