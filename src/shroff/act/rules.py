"""Who may change a case, and when: the checks of every step that a person takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import ColumnElement, or_

from shroff.act.book import CaseBook
from shroff.act.case import OUTCOMES, Case, CaseEvent, Outcome
from shroff.act.outbox import label_event
from shroff.act.second import require_seen
from shroff.act.tables import CASES
from shroff.collect.cards import require_no_card_number
from shroff.collect.fields import require_note
from shroff.collect.times import iso_time
from shroff.collect.values import require_readable
from shroff.errors import CaseConflict, ConfigurationError, NotFound

MAX_NOTE_CHARACTERS: Final = 2_000
MAX_NAME_CHARACTERS: Final = 200
_SHOWN_CHANGES: Final = 5


def apart() -> ColumnElement[bool]:
    """That a case was joined to no other."""
    return CASES.c.parent.is_(None)


def waiting_now(now: int) -> list[ColumnElement[bool]]:
    """That nobody has claimed a case, or put it off."""
    return [
        or_(CASES.c.lease.is_(None), CASES.c.lease <= now),
        or_(CASES.c.wake.is_(None), CASES.c.wake <= now),
    ]


def unchanged(book: CaseBook, number: int, by: str, version: int | None) -> Case:
    """An open case, as the caller saw it.

    Raises:
        NotFound: there is none.
        CaseConflict: it was changed since, and how; or it is closed; or they judge it a second
            time.
    """
    require_seen(book, number, by)
    case = book.case(number)
    if case.parent is not None and case.status == "open":
        raise CaseConflict(f"case {number} was joined to case {case.parent}: go on with that.")
    if version is None or version == case.version:
        if case.status == "open":
            return case
        raise CaseConflict(f"case {number} is closed: {_said(book.events(number, limit=1))}.")
    last = book.events(number, limit=_SHOWN_CHANGES)
    since = [one for one in last if one.version > version]
    raise CaseConflict(
        f"case {number} is {case.status} and at version {case.version}, not {version}; "
        + (f"since then {_said(since)}. " if since else "it never was at that one. ")
        + "Read it again."
    )


def mine(book: CaseBook, number: int, by: str, version: int | None) -> Case:
    """An open case that the caller may change.

    Raises:
        NotFound, CaseConflict: as `unchanged`, and where somebody else has claimed it.
    """
    case = unchanged(book, number, by, version)
    if case.holder not in (None, by) and case.lease is not None:
        raise CaseConflict(
            f"{case.holder} has claimed case {number} until {iso_time(case.lease, 'seconds')}: ask "
            "them, or assign it with a reason."
        )
    return case


def close_case(
    book: CaseBook,
    case: Case,
    by: str,
    outcome: Outcome,
    note: str | None,
    labels: Mapping[str, bool] | None,
) -> Case:
    """Close a case with the labels that its outcome gives, or with these.

    Raises:
        NotFound: labels of payments that it does not have.
    """
    own = {one.payment_id: one for one in book.payments(case.id)}
    if labels is None:
        asked = [one for one in own.values() if one.action != "approve"]
        told = outcome in ("fraud", "genuine")
        labels = {one.payment_id: outcome == "fraud" for one in asked} if told else {}
    elif unknown := labels.keys() - own.keys():
        raise NotFound(f"expected labels of payments of this case, got {len(unknown)} of others.")
    for payment_id, fraud in labels.items():
        if own[payment_id].fraud != fraud:
            book.label(payment_id, label_event(case.id, case.version + 1), by, fraud=fraud)
    return book.close(case, by, outcome, note)


def check_note(note: str | None, *, required: bool = False) -> None:
    """Raise `ConfigurationError` for a note that cannot be kept, or for no reason."""
    if required and not note:
        raise ConfigurationError("expected a reason, got none.")
    if len(note or "") > MAX_NOTE_CHARACTERS:
        raise ConfigurationError(f"expected a note of at most {MAX_NOTE_CHARACTERS:,} characters.")
    require_note(note)


def check_name(name: str) -> None:
    """Raise `ConfigurationError` for a name that nobody can have."""
    if not 0 < len(name) <= MAX_NAME_CHARACTERS:
        raise ConfigurationError(f"expected a name of 1 to {MAX_NAME_CHARACTERS} characters.")
    require_no_card_number(name, "a name")
    require_readable(name, "a name")


def require_outcome(outcome: str) -> Outcome:
    """The outcome, or `ConfigurationError` for what no case comes to."""
    for one in OUTCOMES:
        if one == outcome:
            return one
    raise ConfigurationError(f"expected an outcome of {', '.join(OUTCOMES)}.")


def _said(steps: list[CaseEvent]) -> str:
    """Steps in words, the oldest first."""
    return "; ".join(f"{one.by}: {one.step} at {iso_time(one.at, 'seconds')}" for one in steps)
