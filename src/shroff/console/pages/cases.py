"""Cases: the queues and their load, lists with filters, the next case, several closed at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode

from shroff.act import Case
from shroff.act.book import MAX_NUMBER
from shroff.act.evidence import first_reasons
from shroff.act.rules import require_outcome
from shroff.collect.values import require_readable
from shroff.console.access import action, page
from shroff.console.backend import ConsoleBackend
from shroff.console.forms import require_short
from shroff.console.given import GivenBackend, GivenForm, GivenUser
from shroff.console.problems import status_of
from shroff.console.searches import spellings
from shroff.console.views import lead, many, view
from shroff.console.web import Request, Response
from shroff.control.users import User
from shroff.errors import ConfigurationError, ShroffError

_PAGE_CASES: Final = 50
_ALL_QUEUES: Final = ""
_APART: Final = "-"
"""Between the numbers of cases in an address."""


@dataclass(frozen=True)
class CaseChoice:
    """Which cases are listed, as the address says it."""

    queue: str = _ALL_QUEUES
    status: str = "open"
    mine: bool = False
    overdue: bool = False
    subject: str = ""
    after: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> CaseChoice:
        """The choice of a query or of a form; what is missing is as usual.

        Raises:
            ConfigurationError: a queue or a subject that holds hidden characters, or more than any
                can have.
        """
        made = cls(
            queue=query.get("queue", _ALL_QUEUES),
            status="closed" if query.get("status") == "closed" else "open",
            mine=query.get("mine") == "on",
            overdue=query.get("overdue") == "on",
            subject=query.get("subject", "").strip(),
            after=query.get("after", ""),
        )
        for text, what in ((made.queue, "a queue"), (made.subject, "a subject")):
            require_readable(text, what)
            require_short(text, what)
        return made

    def fields(self) -> dict[str, str]:
        """What of it is not as usual, as `read` reads it."""
        context = {
            "queue": self.queue,
            "status": "closed" if self.status == "closed" else "",
            "mine": "on" if self.mine else "",
            "overdue": "on" if self.overdue else "",
            "subject": self.subject,
            "after": self.after,
        }
        return {name: value for name, value in context.items() if value}

    def address(self, *, done: Iterable[int] = (), **changes: Any) -> str:
        """The address of this list, or of one that differs in something; `done` are the cases that
        were decided before.
        """
        closed = {"done": _APART.join(map(str, done))}
        query = urlencode(replace(self, **changes).fields() | (closed if closed["done"] else {}))
        return f"/cases?{query}" if query else "/cases"


@page("/cases", role="analyst")
def show_cases(request: Request, backend: GivenBackend, user: GivenUser) -> Response:
    """The queues, and a list of cases."""
    query = request.query_params
    choice = CaseChoice.read(query)
    return view("cases.html", _listed(backend, user, choice, done=query.get("done", "")))


@action("/cases", role="analyst")
def find_cases(
    request: Request, backend: GivenBackend, user: GivenUser, form: GivenForm
) -> Response:
    """Lead to the cases of a choice, whose address names no personal value."""
    asked = CaseChoice.read(form.single())
    if not asked.subject:
        return lead(request, asked.address())
    for subject in spellings(asked.subject, backend.settings.hmac_key()):
        kept = replace(asked, subject=subject)
        if _chosen(backend, user, kept, limit=1):
            return lead(request, kept.address())
    # what was typed stays in its field: no link of the page may carry it into an address
    unknown = {"place": replace(asked, subject="")}
    return view("cases.html", _listed(backend, user, asked) | unknown)


@action("/cases/next", role="analyst")
def claim_next(
    request: Request, backend: GivenBackend, user: GivenUser, form: GivenForm
) -> Response:
    """Claim the case that is most worth the time."""
    queue = form.text("queue")
    require_readable(queue, "a queue")
    case = backend.desk.next(user.name, queue=queue or None)
    if case is None:
        return lead(request, CaseChoice(queue=queue).address(), said="No case waits here.")
    return lead(request, case_address(case.id, queue, done=number_in(form.text("done"))))


@action("/cases/decide", role="analyst")
def decide_several(
    request: Request, backend: GivenBackend, user: GivenUser, form: GivenForm
) -> Response:
    """Close the ticked cases at the versions that were listed, or none."""
    choice = CaseChoice.read(form.single())
    try:
        versions = dict(map(_ticked, form.all("case")))
        if not versions:
            raise ConfigurationError("expected cases to close: tick some, with `x` or the mouse.")
        closed = backend.desk.decide_all(
            list(versions),
            user.name,
            outcome=require_outcome(form.text("outcome")),
            note=form.text("note") or None,
            versions=versions,
        )
    except ShroffError as error:
        context = _listed(backend, user, choice, problem=str(error), note=form.text("note"))
        return view("cases.html", context, status=status_of(error))
    said = f"{many(len(closed), 'case')} closed."
    return lead(request, choice.address(done=(one.id for one in closed)), said=said)


@action("/cases/undo", role="analyst")
def undo_several(
    request: Request, backend: GivenBackend, user: GivenUser, form: GivenForm
) -> Response:
    """Take back the decisions on cases that were closed at once, or none."""
    choice = CaseChoice.read(form.single())
    try:
        opened = backend.desk.undo_all(_numbers(form.text("done")), user.name)
    except ShroffError as error:
        context = _listed(backend, user, choice, problem=str(error))
        return view("cases.html", context, status=status_of(error))
    said = f"Open again, and yours: {many(len(opened), 'case')}."
    return lead(request, choice.address(), said=said)


@page("/cases/reasons", role="analyst")
def show_reasons(backend: GivenBackend) -> Response:
    """Whether reasons help, and how well people agree."""
    context = {"effects": backend.desk.reasons_effect(), "agreement": backend.desk.agreement()}
    return view("case_reasons.html", context)


def case_address(number: int, queue: str = "", *, done: int | None = None) -> str:
    """The address of a case that is worked on in a queue; `done` is the one decided before."""
    query = urlencode(({"queue": queue} if queue else {}) | ({"done": done} if done else {}))
    return f"/cases/{number}?{query}" if query else f"/cases/{number}"


def number_in(text: str) -> int | None:
    """A number of a case, or a version, in an address or a form; None where there is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def _listed(
    backend: ConsoleBackend,
    user: User,
    choice: CaseChoice,
    *,
    problem: str = "",
    note: str = "",
    done: str = "",
) -> dict[str, Any]:
    found = _chosen(backend, user, choice, limit=_PAGE_CASES + 1)
    more = len(found) > _PAGE_CASES
    shown = found[:_PAGE_CASES]
    return {
        "choice": choice,
        "place": choice,
        "cases": shown,
        "reasons": first_reasons(backend.desk, backend.ledger, shown, user.name),
        "currency": backend.currency,
        "loads": backend.desk.loads(),
        "now": backend.clock(),
        "more": choice.address(after=_after(shown[-1])) if more else None,
        "problem": problem,
        "note": note,
        "done": _numbers(done),
    }


def _chosen(backend: ConsoleBackend, user: User, choice: CaseChoice, *, limit: int) -> list[Case]:
    """The first cases of a choice."""
    return backend.desk.cases(
        queue=choice.queue or None,
        holder=user.name if choice.mine else None,
        subject=choice.subject or None,
        overdue=choice.overdue,
        closed=choice.status == "closed",
        viewer=user.name,
        limit=limit,
        after=_place(choice.after),
    )


def _numbers(text: str) -> list[int]:
    """The numbers of cases in an address or a form."""
    return [one for each in text.split(_APART) if (one := number_in(each))]


def _ticked(text: str) -> tuple[int, int]:
    """Number and version of a ticked case."""
    number, _, version = text.partition(":")
    if not (number.isdecimal() and version.isdecimal() and len(text) < 40):
        raise ConfigurationError("expected ticked cases of this list: open it again.")
    return int(number), int(version)


def _after(case: Case) -> str:
    return f"{case.worth!r}:{case.id}"


def _place(text: str) -> tuple[float, int] | None:
    """Where a page begins; the first one for what no page said."""
    worth, _, number = text.partition(":")
    try:
        found = float(worth), int(number)
    except ValueError:
        return None
    return found if math.isfinite(found[0]) and 0 < found[1] <= MAX_NUMBER else None


ROUTES = (show_cases, find_cases, claim_next, decide_several, undo_several, show_reasons)
