"""The finding of a check."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Severity = Literal["failure", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence: what was expected, what came, what to do.

    A user accepts a failure by the name of its `check`. A failure keeps a detector from being
    packaged, a warning does not.
    """

    check: str
    sentence: str
    severity: Severity = "failure"

    def to_dict(self) -> dict[str, str]:
        """The finding as plain JSON."""
        return asdict(self)
