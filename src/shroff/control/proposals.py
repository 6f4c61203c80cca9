"""Proposals: changes of the policy and of lists that take effect with a second person's consent.

    draft ──► shadow ──► live        a change of the policy
    draft ─────────────► live        an edit of a list
      └──────────┴─────► refused, withdrawn

Every move is a row that nobody changes. Nothing becomes live by those who made it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    ScalarSelect,
    String,
    Table,
    Text,
    UniqueConstraint,
    select,
)

from shroff.clock import Clock, system_time
from shroff.collect.fields import require_note
from shroff.control.changes import Change, ListChange, changed
from shroff.control.database import METADATA, PROPOSALS_LOCK, Control, in_turn
from shroff.control.lists import Lists
from shroff.control.models import Models
from shroff.control.pointers import Agreed
from shroff.control.proposal import OPEN, STATES, Move, Person, Proposal, Stage, require_maker
from shroff.decide.policy import Policy
from shroff.decide.standing import fit
from shroff.errors import ConfigurationError, ConsentRequired, NotFound, ProposalConflict

_MAX_CHARACTERS: Final = 500
MAX_PROPOSED_VALUES: Final = 5_000
_MAX_CHANGES: Final = 100
_SHOWN: Final = 200
_NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")
_PROPOSAL: Final = Table(
    "shroff_proposal",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("base", String(200)),
    Column("content", Text, nullable=False),
    Column("note", String(_MAX_CHARACTERS)),
    Column("made_by", String(200), nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("rebased", BigInteger),
)
_MOVE: Final = Table(
    "shroff_proposal_move",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("proposal", BigInteger, nullable=False),
    Column("step", Integer, nullable=False),
    Column("stage", String(10), nullable=False),
    Column("by", String(200), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("note", String(_MAX_CHARACTERS)),
    Column("result", String(200)),
    UniqueConstraint("proposal", "step"),
)


class _Content(msgspec.Struct, frozen=True, omit_defaults=True):
    changes: tuple[Change, ...] = ()
    edit: ListChange | None = None


class Proposals:
    """The proposals in a control database.

    Args:
        models: the folder whose policy they change; `lists` are of the same control database.

    Raises:
        ControlUnavailable: by every verb, when the database does not answer.
    """

    def __init__(self, url: str, models: Models, *, clock: Clock = system_time) -> None:
        self._control = Control(url)
        self._models, self._clock = models, clock
        self._lists = Lists(url, clock=clock)

    def propose(
        self, changes: Sequence[Change], *, by: Person, note: str | None = None
    ) -> Proposal:
        """Draft changes of the policy in force.

        Raises:
            ConfigurationError: they do not apply, change nothing, or do not fit the model in
                production.
            ConsentRequired: this role proposes nothing.
        """
        require_maker(by)
        if not 0 < len(changes) <= _MAX_CHANGES:
            raise ConfigurationError(
                f"expected 1 to {_MAX_CHANGES} changes of the policy, got {len(changes)}."
            )
        bundle, standing = self._models.in_production()
        policy = changed(standing.given, changes)
        if policy == standing.given:
            raise ConfigurationError("expected a change of the policy in force, got none.")
        fit(policy, bundle)
        return self._draft(_Content(tuple(changes)), standing.version, by, note)

    def propose_edit(self, edit: ListChange, *, by: Person, note: str | None = None) -> Proposal:
        """Draft an edit of a list.

        Raises:
            ConfigurationError: it could not be made now.
            NotFound: the policy in force has no such list.
            ConsentRequired: this role proposes nothing.
        """
        require_maker(by)
        self._require_list(edit.name)
        if len(edit.values) > MAX_PROPOSED_VALUES:
            raise ConfigurationError(
                f"expected at most {MAX_PROPOSED_VALUES:,} values in one proposal, got "
                f"{len(edit.values):,}: propose them in parts."
            )
        self._checked(edit, note)
        return self._draft(_Content(edit=edit), None, by, note)

    def find(self, number: int) -> Proposal:
        """A proposal; raises `NotFound`."""
        with self._control.transaction("read a proposal") as connection:
            return _found(connection, number)

    def latest(self) -> list[Proposal]:
        """All open proposals, and the last 200 decided ones, the newest first."""
        return sorted([*self.open(), *self.decided()], key=lambda one: -one.id)

    def open(self) -> list[Proposal]:
        """The proposals that wait for somebody, the newest first."""
        return self._selected(_stage_now().in_(OPEN))

    def decided(self, most: int | None = _SHOWN) -> list[Proposal]:
        """The last proposals (None: all) that are live, refused or withdrawn, the newest first."""
        return self._selected(_stage_now().not_in(OPEN), most)

    def _selected(self, wanted: ColumnElement[bool], most: int | None = None) -> list[Proposal]:
        query = select(_PROPOSAL).where(wanted).order_by(_PROPOSAL.c.id.desc()).limit(most)
        with self._control.transaction("read the proposals") as connection:
            return _read(connection, [dict(row) for row in connection.execute(query).mappings()])

    def policy_of(self, proposal: Proposal) -> Policy:
        """The policy as given that a proposal makes of the one that it changes.

        Raises:
            NotFound, BundleError: that one is not there any more, or altered.
        """
        given = self._models.policy(str(proposal.base)).given
        return changed(given, proposal.changes)

    def shadow(self, number: int, *, by: Person, note: str | None = None) -> Proposal:
        """Try a change of the policy on live payments, without effect; raises as `approve`."""
        return self._move(number, "shadow", by, note)

    def withdraw(self, number: int, *, by: Person, note: str | None = None) -> Proposal:
        """Take a proposal back; raises as `approve`."""
        return self._move(number, "withdrawn", by, note)

    def refuse(self, number: int, *, by: Person, note: str | None = None) -> Proposal:
        """Refuse a proposal as a second person, who says why; raises as `approve`."""
        return self._move(number, "refused", by, note)

    def approve(self, number: int, *, by: Person, note: str | None = None) -> Proposal:
        """Agree to a proposal as a second person: it takes effect.

        Raises:
            NotFound: there is no such proposal, or no such list any more.
            ConsentRequired: they made it themselves, or their role may not agree.
            ProposalConflict: it is at another stage, or another policy is in force by now.
            ConfigurationError: it does not fit the model in production any more.
        """
        return self._move(number, "live", by, note)

    def rebase(self, number: int, *, by: Person, note: str | None = None) -> Proposal:
        """Draft the changes of a proposal anew, against the policy that is in force now.

        Args:
            note: why, in the place of the old one's.

        Raises:
            ProposalConflict: that is the policy which it changes, or it is not open any more.
            ConfigurationError: the changes do not apply to it.
        """
        old = self.find(number)
        if old.base is None or old.base == self._models.pointers.standing:
            raise ProposalConflict(
                f"proposal {number} needs no rebase: it is not against an older policy."
            )
        bundle, standing = self._models.in_production()
        fit(changed(standing.given, old.changes), bundle)
        content = _Content(old.changes)
        with self._control.transaction("rebase a proposal") as connection:
            in_turn(connection, PROPOSALS_LOCK)
            self._moved(connection, number, "withdrawn", by, "rebased on the policy in force")
            row = self._row(content, standing.version, by, note or old.note) | {"rebased": number}
            return _drafted(connection, row)

    def _draft(self, content: _Content, base: str | None, by: Person, note: str | None) -> Proposal:
        row = self._row(content, base, by, note)
        with self._control.transaction("keep a proposal") as connection:
            return _drafted(connection, row)

    def _row(
        self, content: _Content, base: str | None, by: Person, note: str | None
    ) -> dict[str, Any]:
        require_maker(by)
        _require_short(note)
        kept = {"base": base, "note": note, "made_by": by.name, "made_at": self._clock()}
        return kept | {"content": msgspec.json.encode(content).decode()}

    def _move(self, number: int, to: Stage, by: Person, note: str | None) -> Proposal:
        _require_short(note)
        with self._control.transaction("move a proposal") as connection:
            in_turn(connection, PROPOSALS_LOCK)
            return self._moved(connection, number, to, by, note)

    def _moved(
        self, connection: Connection, number: int, to: Stage, by: Person, note: str | None
    ) -> Proposal:
        one = _found(connection, number)
        if to not in one.next_stages:
            raise ProposalConflict(
                f"proposal {number} is {STATES[one.stage]} since {one.moves[-1].by} moved it: "
                f"it cannot become {STATES[to]}."
            )
        if why := one.barred(by, to):
            raise ConsentRequired(why)
        if to == "refused" and not note:
            raise ConfigurationError(
                f"expected a reason for refusing proposal {number}, got none: say why."
            )
        result = self._put_in_force(connection, one, by) if to == "live" else None
        move = Move(to, by.name, self._clock(), note, result)
        _keep_move(connection, number, len(one.moves), move)
        return _found(connection, number)

    def _put_in_force(self, connection: Connection, one: Proposal, by: Person) -> str:
        """The version of the policy, or the number of the last edit.

        Where this process dies before the move is kept, agreeing again finds the policy in force.
        """
        if one.edit is None:
            agreed = Agreed(str(one.base), one.made_by, by.name)
            policy = self.policy_of(one)
            return self._models.publish_policy(policy, note=one.note, agreed=agreed).version
        edit = one.edit
        self._require_list(edit.name)
        signed = Agreed("", one.made_by, by.name).signed
        kept = self._lists.keep(connection, self._checked(edit, one.note), by=signed)
        return str(kept[-1].id)

    def _checked(self, edit: ListChange, note: str | None) -> list[dict[str, Any]]:
        """The edits of a list that a proposal makes."""
        return [
            self._lists.checked(
                edit.name, value, edit.action, since=edit.since, until=edit.until, note=note
            )
            for value in edit.values
        ]

    def _require_list(self, name: str) -> None:
        if name not in self._models.in_production()[1].policy.lists:
            raise NotFound(f"the policy in force has no list `{name}`.")


def _drafted(connection: Connection, row: dict[str, Any]) -> Proposal:
    (key,) = connection.execute(_PROPOSAL.insert(), row).inserted_primary_key or (0,)
    draft = Move("draft", row["made_by"], row["made_at"], row["note"], None)
    _keep_move(connection, int(key), 0, draft)
    return _found(connection, int(key))


def _found(connection: Connection, number: int) -> Proposal:
    query = select(_PROPOSAL).where(_PROPOSAL.c.id == number)
    rows = connection.execute(query).mappings() if 0 < number < 2**63 else ()
    found = _read(connection, [dict(row) for row in rows])
    if not found:
        raise NotFound(f"there is no proposal {number}.")
    return found[0]


def _stage_now() -> ScalarSelect[str]:
    """The stage of a proposal's last move."""
    own = select(_MOVE.c.stage).where(_MOVE.c.proposal == _PROPOSAL.c.id)
    return own.order_by(_MOVE.c.step.desc()).limit(1).correlate(_PROPOSAL).scalar_subquery()


def _read(connection: Connection, rows: Sequence[dict[str, Any]]) -> list[Proposal]:
    moves: dict[int, list[Move]] = defaultdict(list)
    columns = _MOVE.c
    told = (columns.stage, columns.by, columns.at, columns.note, columns.result)
    query = select(columns.proposal, *told).order_by(columns.proposal, columns.step)
    for number, *move in connection.execute(
        query.where(columns.proposal.in_([row["id"] for row in rows]))
    ):
        moves[number].append(Move(*move))
    return [_proposal(connection, row, moves[row["id"]]) for row in rows]


def _proposal(connection: Connection, row: dict[str, Any], moves: Sequence[Move]) -> Proposal:
    content = msgspec.json.decode(row["content"], type=_Content)
    return Proposal(
        id=row["id"],
        base=row["base"],
        changes=content.changes,
        edit=content.edit,
        note=row["note"],
        made_at=row["made_at"],
        makers=_makers(connection, row["made_by"], row["rebased"]),
        rebased=row["rebased"],
        moves=tuple(moves),
    )


def _makers(connection: Connection, made_by: str, rebased: int | None) -> tuple[str, ...]:
    """Who made a proposal and those that it was rebased from, the last first."""
    makers = [made_by]
    while rebased is not None:
        query = select(_PROPOSAL.c.made_by, _PROPOSAL.c.rebased).where(_PROPOSAL.c.id == rebased)
        by, rebased = connection.execute(query).one()
        makers.append(by)
    return tuple(dict.fromkeys(makers))


def _keep_move(connection: Connection, number: int, step: int, move: Move) -> None:
    connection.execute(_MOVE.insert(), {"proposal": number, "step": step, **move._asdict()})


def _require_short(note: str | None) -> None:
    if note is not None and not 0 < len(note) <= _MAX_CHARACTERS:
        raise ConfigurationError(
            f"expected a note of 1 to {_MAX_CHARACTERS} characters, got {len(note)}."
        )
    require_note(note)
