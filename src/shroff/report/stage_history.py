"""How a model came to its stage, as parts of its card: gates, changes, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from shroff.experiment import RunRecord
from shroff.report.parts import Grid, Paragraph, Part


class GateFound(Protocol):
    """What a gate of a promotion found."""

    @property
    def gate(self) -> str: ...
    @property
    def passed(self) -> bool: ...
    @property
    def sentence(self) -> str: ...


class StageChange(Protocol):
    """A change of the model in production, or of the candidate."""

    @property
    def at(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def version(self) -> str | None: ...
    @property
    def by(self) -> str | None: ...
    @property
    def note(self) -> str | None: ...
    @property
    def gates(self) -> Sequence[GateFound]: ...
    @property
    def forced(self) -> bool: ...


def rollback(run: RunRecord, stage: str, fallback: str | None) -> list[Part]:
    """What replaces the model if it must go, and what happens without any."""
    if stage != "production":
        way = "The model is not in production, so there is nothing to roll back."
    elif fallback is None:
        way = "No model was in production before it, so `shroff rollback` has nothing to restore."
    else:
        way = f"`shroff rollback` puts version {fallback} back, without a restart."
    degraded = run.parameters["policy"]["degraded"]
    return [Paragraph(f"{way} While no model can score, the action of the policy is `{degraded}`.")]


def history(changes: Sequence[StageChange]) -> list[Part]:
    """What the gates of the last promotion found, and every change."""
    promotions = [one for one in changes if one.gates]
    if not promotions:
        passed: Part = Paragraph(
            "No gate measured the model: it was not promoted (`shroff promote`)."
        )
    else:
        last = promotions[-1]
        rows = [
            (one.gate, "passed" if one.passed else "refused", one.sentence) for one in last.gates
        ]
        forced = ", forced" if last.forced else ""
        passed = Grid(
            f"Gates of the promotion of {last.at}{forced}", ("Gate", "Result", "Finding"), rows
        )
    if not changes:
        return [passed]
    moves = [
        (
            one.at,
            f"{one.action}{', forced' if one.forced else ''}",
            one.role,
            one.version or "none",
            one.by or "unknown",
            one.note or "–",
        )
        for one in changes
    ]
    return [passed, Grid("Stages", ("When", "What", "Role", "Version", "By", "Why"), moves)]
