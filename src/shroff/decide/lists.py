"""The lists that rules read at a given time: the policy's values, changed by edits.

A policy names its lists and gives them values. An edit adds or removes a value from one time until
another. For each value the last edit in force decides, or else the policy. So past lists can be
rebuilt, which replaying a decision needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Action = Literal["add", "remove"]
Values = Mapping[str, Sequence[str]]
"""Named lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One edit, in force from `since` until just before `until`, microseconds since the epoch."""

    id: int
    name: str
    value: str
    action: Action
    since: int
    until: int | None
    note: str | None
    made_by: str
    made_at: int

    def covers(self, moment: int) -> bool:
        """Whether the edit is in force at a given time."""
        return self.since <= moment and (self.until is None or moment < self.until)


@dataclass(frozen=True, slots=True)
class Effective:
    """The lists at a given time; `mark`, their last edit and that time, suffices to rebuild them.

    They hold until `until`, when the next edit begins or ends (None: for good), as long as there
    are no more edits than `edits`.
    """

    values: Values
    mark: tuple[int, int]
    until: int | None = None
    edits: int = 0


def effective(seed: Values, edits: Iterable[Edit], moment: int) -> Effective:
    """The lists of a policy with its edits applied, at a time in microseconds since the epoch.

    >>> def edit(id, action, since, until=None):
    ...     return Edit(
    ...         id=id,
    ...         name="hosts",
    ...         value="h1",
    ...         action=action,
    ...         since=since,
    ...         until=until,
    ...         note=None,
    ...         made_by="ada",
    ...         made_at=0,
    ...     )
    >>> edits = [edit(1, "add", 10, 30), edit(2, "remove", 20, 25)]
    >>> [
    ...     effective({"hosts": ["h0"]}, edits, moment).values["hosts"]
    ...     for moment in (9, 10, 20, 25, 30)
    ... ]
    [('h0',), ('h0', 'h1'), ('h0',), ('h0', 'h1'), ('h0',)]
    """
    held = {name: dict.fromkeys(values) for name, values in seed.items()}
    last, turns = 0, []
    for edit in edits:
        last = max(last, edit.id)
        turns += [turn for turn in (edit.since, edit.until) if turn is not None and turn > moment]
        if edit.name not in held or not edit.covers(moment):
            continue
        if edit.action == "add":
            held[edit.name][edit.value] = None
        else:
            held[edit.name].pop(edit.value, None)
    return Effective(
        {name: tuple(values) for name, values in held.items()},
        (last, moment),
        min(turns, default=None),
    )
