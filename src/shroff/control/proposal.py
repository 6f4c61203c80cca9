"""A proposal: a change of the policy or of a list, its stages, and who may move it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from shroff.control.changes import Change, ListChange
from shroff.control.users import UserRole, folded_name
from shroff.errors import ConsentRequired

Stage = Literal["draft", "shadow", "live", "refused", "withdrawn"]
MAKERS: Final[tuple[UserRole, ...]] = ("modeller", "admin")
CHECKERS: Final[tuple[UserRole, ...]] = ("admin",)
OPEN: Final[tuple[Stage, ...]] = ("draft", "shadow")
STATES: Final[Mapping[Stage, str]] = {
    "draft": "a draft",
    "shadow": "in the shadow",
    "live": "live",
    "refused": "refused",
    "withdrawn": "withdrawn",
}


class Person(NamedTuple):
    """Who does something, and as what."""

    name: str
    role: UserRole


class Move(NamedTuple):
    """A proposal came to a stage: by whom, when (µs since the epoch) and why.

    `result` is, of one that went live, the version of the policy or the number of the edit.
    """

    stage: Stage
    by: str
    at: int
    note: str | None
    result: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A proposed change, and where it stands.

    Attributes:
        base: the version of the policy that it changes; None of an edit of a list.
        changes: of the policy; none where `edit` says what becomes of a list.
        makers: who wrote it; of a rebased one also who wrote the first.
        rebased: the proposal whose changes these are, if it was made against an older policy.
        moves: of its stages, the oldest first.
    """

    id: int
    base: str | None
    changes: tuple[Change, ...]
    edit: ListChange | None
    note: str | None
    made_at: int
    makers: tuple[str, ...]
    rebased: int | None
    moves: tuple[Move, ...]

    @property
    def stage(self) -> Stage:
        """Where it stands."""
        return self.moves[-1].stage

    @property
    def made_by(self) -> str:
        """Who made it."""
        return self.makers[0]

    @property
    def shadow_since(self) -> int | None:
        """When it went to the shadow, µs since the epoch."""
        return next((one.at for one in self.moves if one.stage == "shadow"), None)

    @property
    def next_stages(self) -> tuple[Stage, ...]:
        """The stages that it can come to."""
        if self.stage not in OPEN:
            return ()
        ahead: Stage = "live" if self.edit or self.stage == "shadow" else "shadow"
        return (ahead, "refused", "withdrawn")

    @property
    def words(self) -> tuple[str, ...]:
        """What it changes, a sentence each."""
        return tuple(each.words() for each in (self.edit, *self.changes) if each is not None)

    def barred(self, person: Person, to: Stage) -> str | None:
        """Why this person may not move it there, as a sentence; None: they may."""
        if to in ("live", "refused"):
            if person.role not in CHECKERS:
                return f"expected the consent of an {' or '.join(CHECKERS)}, got a {person.role}."
            if _same(person.name, self.makers):
                return (
                    f"expected a second person's consent, got {person.name}, who made the "
                    "proposal: ask somebody else, or withdraw it."
                )
        elif person.role not in MAKERS:
            return f"expected a {' or '.join(MAKERS)}, got an {person.role}."
        return None


def require_maker(by: Person) -> None:
    """Raise `ConsentRequired` for who may propose nothing."""
    if by.role not in MAKERS:
        raise ConsentRequired(f"expected a {' or '.join(MAKERS)} to propose, got an {by.role}.")


def _same(name: str, makers: Sequence[str]) -> bool:
    return folded_name(name) in {folded_name(maker) for maker in makers}
