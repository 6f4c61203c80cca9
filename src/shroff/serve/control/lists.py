"""Lists edited while the service runs: every edit is kept, with who made it, and none is ever changed.

A policy names its lists and gives them values. An edit adds a value or takes one out, from some moment
until another. What holds for a value at a moment is the last edit that covers it, or else the policy. So the lists
of any moment in the past can be told again, which a replayed decision needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from sqlalchemy import BigInteger, Column, Integer, String, Table, select

from shroff.canonical import canonical
from shroff.clock import Clock, system_time
from shroff.errors import ConfigurationError
from shroff.serve.control.database import METADATA, Control

Action = Literal["add", "remove"]
Values = Mapping[str, Sequence[str]]
"""Named lists."""

_LONGEST: Final = 500
_EDITS = Table(
    "shroff_list_edit",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("value", String(_LONGEST), nullable=False),
    Column("action", String(10), nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger),
    Column("note", String(_LONGEST)),
    Column("made_by", String(200), nullable=False),
    Column("made_at", BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One edit; `since` and `until` say when it holds (`until` itself not any more), microseconds since the epoch."""

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
        """Whether the edit holds at a moment."""
        return self.since <= moment and (self.until is None or moment < self.until)


@dataclass(frozen=True, slots=True)
class Effective:
    """The lists at a moment: `mark` is the last edit they know and the moment, enough to tell them again."""

    values: Values
    mark: tuple[int, int]


def effective(seed: Values, edits: Iterable[Edit], moment: int) -> Effective:
    """The lists of a policy after its edits, as they are at a moment (microseconds since the epoch).

    >>> def edit(id, action, since, until=None):
    ...     return Edit(id=id, name="hosts", value="h1", action=action, since=since, until=until,
    ...                 note=None, made_by="ada", made_at=0)
    >>> edits = [edit(1, "add", 10, 30), edit(2, "remove", 20, 25)]
    >>> [effective({"hosts": ["h0"]}, edits, moment).values["hosts"] for moment in (9, 10, 20, 25, 30)]
    [('h0',), ('h0', 'h1'), ('h0',), ('h0', 'h1'), ('h0',)]
    """
    held = {name: dict.fromkeys(values) for name, values in seed.items()}
    last = 0
    for edit in edits:
        last = max(last, edit.id)
        if edit.name not in held or not edit.covers(moment):
            continue
        if edit.action == "add":
            held[edit.name][edit.value] = None
        else:
            held[edit.name].pop(edit.value, None)
    return Effective({name: tuple(values) for name, values in held.items()}, (last, moment))


class Lists:
    """The edits in a control database.

    Raises:
        ControlUnavailable: by every verb, when the database does not answer.
    """

    def __init__(self, url: str, *, clock: Clock = system_time) -> None:
        self._control = Control(url)
        self._clock = clock

    def edit(
        self,
        name: str,
        value: str,
        action: Action,
        *,
        by: str,
        since: int | None = None,
        until: int | None = None,
        note: str | None = None,
    ) -> Edit:
        """Add a value to a list or take one out, from now or `since` on, for good or `until` a moment.

        Raises:
            ConfigurationError: no value, or one that is too long, or an end that is not after the beginning.
        """
        now, value = self._clock(), canonical(value)
        start = now if since is None else since
        if action not in get_args(Action):
            raise ConfigurationError("expected an edit that is `add` or `remove`.")
        if not 0 < len(value) <= _LONGEST or len(note or "") > _LONGEST:
            raise ConfigurationError(f"expected a value of 1 to {_LONGEST} characters, and a note of no more.")
        if until is not None and until <= max(start, now):
            raise ConfigurationError("expected an edit that ends after it begins, and in the future.")
        made = {
            "name": name,
            "value": value,
            "action": action,
            "since": start,
            "until": until,
            "note": note,
            "made_by": by,
            "made_at": now,
        }
        with self._control.transaction("keep an edit of a list") as connection:
            (number,) = connection.execute(_EDITS.insert(), made).inserted_primary_key or (0,)
        return Edit(id=int(number), **made)  # type: ignore[arg-type]  # columns and fields have the same names

    def edits(self) -> list[Edit]:
        """All edits, in the order in which they were made."""
        query = select(_EDITS).order_by(_EDITS.c.id)
        with self._control.transaction("read the edits of lists") as connection:
            return [Edit(**row) for row in connection.execute(query).mappings().all()]


class LiveLists:
    """The lists that a service decides by, kept up to date from a control database."""

    def __init__(self, lists: Lists, *, clock: Clock = system_time) -> None:
        self.store = lists
        self._clock = clock
        self._edits: list[Edit] = []

    def refresh(self) -> None:
        """Read what was edited since; from any thread.

        Raises:
            ControlUnavailable: the lists stay as they were read last.
        """
        # an edit is in the database when its transaction ended, and ids of PostgreSQL are drawn before that:
        # all are read again, they are few
        self._edits = self.store.edits()

    @property
    def edited(self) -> Counter[tuple[str, str]]:
        """How many edits there are, by list and action."""
        return Counter((edit.name, edit.action) for edit in self._edits)

    def now(self, seed: Values) -> Effective:
        """The lists of a policy as they are now."""
        return effective(seed, self._edits, self._clock())
