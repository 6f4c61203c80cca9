"""One case: what was paid, what is unusual, what is known around it, and what people do with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from shroff.act import Case, gather, look, narrate, zip_evidence
from shroff.act.case import OUTCOMES
from shroff.act.reopening import UNDO_MINUTES
from shroff.act.rules import require_outcome
from shroff.act.tables import is_whole
from shroff.collect.times import MINUTE_US
from shroff.collect.values import require_readable
from shroff.console.access import action, page
from shroff.console.backend import ConsoleBackend
from shroff.console.case_drawings import draw_links, draw_timeline
from shroff.console.forms import Form
from shroff.console.given import GivenBackend, GivenForm, GivenUser
from shroff.console.pages.cases import CaseChoice, case_address, number_in
from shroff.console.problems import status_of
from shroff.console.views import lead, view
from shroff.console.web import Request, Response
from shroff.control.users import User
from shroff.errors import CaseConflict, ConfigurationError, NotFound, ShroffError

_SNOOZES: Final = {"1 hour": 60, "4 hours": 240, "1 day": 1_440, "3 days": 4_320}
"""How long a case can be put off, in minutes."""
Step = Callable[[ConsoleBackend, int, User, Form, int | None], Case]


@page("/cases/{number:int}", role="analyst")
def show_case(
    request: Request, backend: GivenBackend, user: GivenUser, number: FromPath[int]
) -> Response:
    """The page of a case."""
    query = request.query_params
    return view("case.html", _context(backend, user, number, query.get("queue", ""), query))


@page("/cases/{number:int}/pack", role="analyst")
def send_pack(backend: GivenBackend, user: GivenUser, number: FromPath[int]) -> Response:
    """The evidence pack; decisions are replayed on the command line."""
    content = zip_evidence(gather(backend.desk, backend.ledger, number, viewer=user.name))
    named = {"content-disposition": f'attachment; filename="case-{number}.zip"'}
    return Response(content, media_type="application/zip", headers=named)


@action("/cases/{number:int}/decide", role="analyst")
def decide_case(
    request: Request, backend: GivenBackend, user: GivenUser, form: GivenForm, number: FromPath[int]
) -> Response:
    """Close a case, and go on with the next one of the queue."""
    queue = form.text("queue")
    try:
        require_readable(queue, "a queue")
        outcome = require_outcome(form.text("outcome"))
        backend.desk.decide(
            number,
            user.name,
            outcome=outcome,
            note=form.text("note") or None,
            version=number_in(form.text("version")),
        )
    except ShroffError as error:
        return _refused(backend, user, number, form, error, "decide")
    said = f"Case {number} is closed as {outcome}."
    if "advance" not in form:
        return lead(request, case_address(number, queue), said=said)
    following = backend.desk.next(user.name, queue=queue or None)
    if following is None:
        listed = CaseChoice(queue=queue).address(done=[number])
        return lead(request, listed, said=f"{said} No other case waits here.")
    return lead(request, case_address(following.id, queue, done=number), said=said)


@action("/cases/{number:int}/undo", role="analyst")
def undo_case(
    request: Request, backend: GivenBackend, user: GivenUser, form: GivenForm, number: FromPath[int]
) -> Response:
    """Take a decision back; the case that was claimed after it is given back."""
    try:
        case = backend.desk.undo(number, user.name)
    except ShroffError as error:
        return _refused(backend, user, number, form, error, "undo")
    _leave(backend, user, number_in(form.text("leave")))
    how = "open again" if case.outcome is None else "open again, after its labels were sent"
    said = f"Case {number} is {how}, and yours."
    return lead(request, case_address(number, form.text("queue")), said=said)


def _leave(backend: ConsoleBackend, user: User, number: int | None) -> None:
    """Give back the case that was claimed since, if it still is: what was undone is undone."""
    with suppress(NotFound, CaseConflict):
        if number and backend.desk.case(number, user.name)[0].holder == user.name:
            backend.desk.release(number, user.name)


@action("/cases/{number:int}/{step:str}", role="analyst")
def change_case(
    request: Request,
    backend: GivenBackend,
    user: GivenUser,
    form: GivenForm,
    number: FromPath[int],
    step: FromPath[str],
) -> Response:
    """Claim a case, give it back, note something, put it off, pass it on or open it again."""
    if step not in _STEPS:
        raise NotFoundException("there is no such page.")
    change, done = _STEPS[step]
    try:
        change(backend, number, user, form, number_in(form.text("version")))
    except ShroffError as error:
        return _refused(backend, user, number, form, error, step)
    before = number_in(form.text("done"))
    address = case_address(number, form.text("queue"), done=before)
    return lead(request, address, said=f"Case {number} is {done}.")


def _claim(backend: ConsoleBackend, number: int, user: User, _: Form, version: int | None) -> Case:
    return backend.desk.claim(number, user.name, version=version)


def _release(
    backend: ConsoleBackend, number: int, user: User, _: Form, version: int | None
) -> Case:
    return backend.desk.release(number, user.name, version=version)


def _note(backend: ConsoleBackend, number: int, user: User, form: Form, _: int | None) -> Case:
    # a note is in nobody's way, whatever was done meanwhile
    return backend.desk.note(number, user.name, note=form.text("note"))


def _escalate(
    backend: ConsoleBackend, number: int, user: User, form: Form, version: int | None
) -> Case:
    return backend.desk.escalate(number, user.name, note=form.text("note"), version=version)


def _assign(
    backend: ConsoleBackend, number: int, user: User, form: Form, version: int | None
) -> Case:
    to = backend.users.active(form.text("to")).name
    return backend.desk.assign(number, user.name, to=to, note=form.text("note"), version=version)


def _snooze(
    backend: ConsoleBackend, number: int, user: User, form: Form, version: int | None
) -> Case:
    minutes = _SNOOZES.get(form.text("until"))
    if minutes is None:
        raise ConfigurationError(f"expected one of {', '.join(_SNOOZES)}.")
    until = backend.clock() + minutes * MINUTE_US
    note = form.text("note") or None
    return backend.desk.snooze(number, user.name, until=until, note=note, version=version)


def _reopen(
    backend: ConsoleBackend, number: int, user: User, form: Form, version: int | None
) -> Case:
    return backend.desk.reopen(number, user.name, note=form.text("note"), version=version)


_STEPS: Final[dict[str, tuple[Step, str]]] = {
    "claim": (_claim, "yours for an hour"),
    "release": (_release, "given back"),
    "note": (_note, "noted on"),
    "escalate": (_escalate, "passed on"),
    "assign": (_assign, "assigned"),
    "snooze": (_snooze, "put off"),
    "reopen": (_reopen, "open again"),
}


def _refused(
    backend: ConsoleBackend,
    user: User,
    number: int,
    form: Form,
    error: ShroffError,
    step: str,
) -> Response:
    """The page as the case is now, with the sentence and what was typed."""
    before = {"done": form.text("done")}
    context = _context(backend, user, number, form.text("queue"), before, problem=str(error))
    context["typed"] = {"step": step, "note": form.raw("note"), "to": form.text("to")}
    return view("case.html", context, status=status_of(error))


def _context(
    backend: ConsoleBackend, user: User, number: int, queue: str, query: Any, *, problem: str = ""
) -> dict[str, Any]:
    found = look(backend.desk, backend.ledger, number, user.name)
    around = backend.desk.context(number, user.name)
    now, last = backend.clock(), found.steps[-1]
    own = {one.payment.payment_id for one in found.payments}
    mine = (last.step, last.by) == ("closed", user.name)
    done = number_in(query.get("done", ""))
    fresh = mine and now - last.at < UNDO_MINUTES * MINUTE_US
    undoable = number if fresh else done if done != number else None
    return {
        "case": found.case,
        "currency": backend.currency,
        "found": found,
        "around": around,
        "narrative": narrate(found),
        "searched": backend.searched,
        "is_whole": is_whole,
        "timelines": [(one, draw_timeline(one, own)) for one in around.timelines],
        "graph": draw_links(found.case, around.links),
        "outcomes": OUTCOMES,
        "snoozes": list(_SNOOZES),
        "people": [one.name for one in backend.users.all() if one.disabled is None],
        "queue": queue,
        "now": now,
        "held": found.case.holder not in (None, user.name),
        "undoable": undoable,
        "done": done,
        "listed": CaseChoice(queue=queue).address(done=[undoable] if undoable else ()),
        "problem": problem,
        "typed": {"step": "", "note": "", "to": ""},
    }


ROUTES = (show_case, send_pack, decide_case, undo_case, change_case)
