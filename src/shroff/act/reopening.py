"""Open a closed case again: its decision is taken back by whoever made it, a short while after, or
anybody says later why it was wrong.
"""

from __future__ import annotations

from typing import Any, Final

from shroff.act import hiding
from shroff.act.book import MINUTE_US, CaseBook
from shroff.act.case import Case
from shroff.act.outbox import label_event, withdraw_labels
from shroff.act.second import require_seen
from shroff.act.tables import CASES
from shroff.errors import CaseConflict

UNDO_MINUTES: Final = 5
_MAX_JOINED: Final = 1_000


def undo(book: CaseBook, number: int, by: str, lease: int) -> Case:
    """Open a case again that the caller has just closed, and claim it for them.

    Labels that nobody has sent are taken back. Where some were sent, the case is opened again with
    that as the reason, and another decision corrects them.

    Raises:
        NotFound: there is no such case.
        CaseConflict: its last step is no decision of the caller, or one of long ago.
    """
    require_seen(book, number, by)
    case = book.case(number)
    steps = book.events(number)
    last = steps[-1]
    if case.parent is not None and case.status == "closed":
        raise CaseConflict(f"case {number} was closed with case {case.parent}: undo that.")
    if (last.step, last.by) != ("closed", by):
        raise CaseConflict(f"the last step of case {number} is no decision of yours.")
    if book.now - last.at > UNDO_MINUTES * MINUTE_US:
        raise CaseConflict(
            f"case {number} was closed more than {UNDO_MINUTES} minutes ago: reopen it, with a "
            "reason."
        )
    joined = (CASES.c.parent == number, CASES.c.closed == case.closed)
    closed_with = book.cases(*joined, limit=_MAX_JOINED)
    for one in (case, *closed_with):
        _require_alone(book, one)
    withdrawn = withdraw_labels(book, label_event(number, last.version))
    kept = any(one.step == "reopened" for one in steps)
    fields: dict[str, Any] = {"status": "open", "closed": None}
    for one in closed_with:
        book.change(one, "undone", by, note=f"with case {number}", outcome=None, **fields)
    book.undraw(number)
    mine = fields | {"holder": by, "lease": book.now + lease}
    if not withdrawn:
        told = "undone after its labels were sent"
        case = book.change(case, "reopened", by, note=told, **mine)
    else:
        # `outcome` of an open case says that somebody has reopened it
        case = book.change(case, "undone", by, **mine | ({} if kept else {"outcome": None}))
    hiding.end_reading(book, case)
    return case


def reopen(book: CaseBook, number: int, by: str, *, note: str, version: int | None) -> Case:
    """Open a closed case again, at a version (None: whichever it has), and say why.

    Raises:
        NotFound: there is no such case.
        CaseConflict: it is open, was changed meanwhile, or another of its subject is open.
    """
    require_seen(book, number, by)
    case = book.case(number)
    if case.status == "open" or version not in (None, case.version):
        raise CaseConflict(f"case {number} is {case.status}, at version {case.version}.")
    _require_alone(book, case)
    book.undraw(number)
    again: dict[str, Any] = {"status": "open", "closed": None, "parent": None}
    case = book.change(case, "reopened", by, note=note, **again)
    hiding.end_reading(book, case)
    return case


def _require_alone(book: CaseBook, case: Case) -> None:
    """Raise `CaseConflict` where another case of the same subject is open."""
    other = book.open_case(case.kind, case.subject)
    if other is not None:
        raise CaseConflict(f"case {other.id} of the same {case.kind} is open: go on with that.")
