"""A proposal: what it changes, how it would do, and a second person's consent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from litestar.params import FromPath, FromQuery

from shroff.console.access import action, page
from shroff.console.backend import ConsoleBackend
from shroff.console.forms import Form
from shroff.console.given import GivenBackend, GivenForm, GivenUser
from shroff.console.problems import status_of
from shroff.console.rule_forms import NO_TRIAL
from shroff.console.views import lead, view, wants_part
from shroff.console.web import Request, Response
from shroff.control.proposal import Person, Proposal, Stage
from shroff.control.users import User
from shroff.errors import ConfigurationError, NotFound, ShroffError

_Moves: TypeAlias = dict[Stage, Callable[..., Proposal]]
_DONE: Final[dict[Stage, str]] = {
    "shadow": "It is judged on live payments from now on, without effect.",
    "live": "It is in force; services follow within seconds.",
    "refused": "It is refused.",
    "withdrawn": "It is withdrawn.",
}


@page("/proposals/{number:int}", role="modeller")
def show_proposal(backend: GivenBackend, user: GivenUser, number: FromPath[int]) -> Response:
    """One proposal."""
    return view("proposal.html", _context(backend, user, number))


@page("/proposals/{number:int}/trial", role="modeller")
def show_trial(
    request: Request,
    backend: GivenBackend,
    user: GivenUser,
    number: FromPath[int],
    since: FromQuery[str] = "month",
) -> Response:
    """What it would have done in the last month, or did since it is in the shadow."""
    told = _trial(backend, number, shadow=since == "shadow")
    if wants_part(request):
        return view("_trial_part.html", told)
    return view("proposal.html", _context(backend, user, number) | told | {"tried": True})


@action("/proposals/{number:int}/move", role="modeller")
def move_proposal(
    request: Request,
    backend: GivenBackend,
    user: GivenUser,
    form: GivenForm,
    number: FromPath[int],
) -> Response:
    """Bring it to the shadow, take it back or draft it anew over the policy in force."""
    moves: _Moves = {"shadow": backend.proposals.shadow, "withdrawn": backend.proposals.withdraw}
    return _moved(request, backend, user, form, number, moves)


@action("/proposals/{number:int}/consent", role="admin")
def consent(
    request: Request,
    backend: GivenBackend,
    user: GivenUser,
    form: GivenForm,
    number: FromPath[int],
) -> Response:
    """Agree to it as a second person, which puts it in force, or refuse it."""
    moves: _Moves = {"live": backend.proposals.approve, "refused": backend.proposals.refuse}
    return _moved(request, backend, user, form, number, moves)


def _trial(backend: ConsoleBackend, number: int, *, shadow: bool) -> dict[str, Any]:
    again = f"/proposals/{number}/trial?since={'shadow' if shadow else 'month'}"
    told = NO_TRIAL | {"again": again}
    try:
        one = backend.proposals.find(number)
        began = one.shadow_since if shadow else None
        found = backend.bench.trial(backend.proposals.policy_of(one), decided_since=began)
    except NotFound as error:
        return told | {"nothing": str(error)}
    except ShroffError as error:
        return told | {"trial_problem": str(error)}
    if found is not None:
        return told | {"trial": found}
    recent = backend.bench.recent
    return told | {
        "reading": recent.problem is None,
        "read": recent.payments,
        "trial_problem": recent.problem or "",
    }


def _moved(
    request: Request,
    backend: ConsoleBackend,
    user: User,
    form: Form,
    number: int,
    moves: _Moves,
) -> Response:
    to, person = form.text("to"), Person(user.name, user.role)
    try:
        if to == "rebased" and "shadow" in moves:
            made = backend.proposals.rebase(number, by=person)
            said = f"Proposal {made.id} makes the same changes to the policy in force."
            return lead(request, f"/proposals/{made.id}", said=said)
        if to not in moves:
            raise ConfigurationError(f"expected one of {', '.join(moves)}.")
        moves[to](number, by=person, note=form.text("note") or None)
    except ShroffError as error:
        context = _context(backend, user, number, str(error))
        return view("proposal.html", context, status=status_of(error))
    return lead(request, f"/proposals/{number}", said=_DONE[to])


def _context(backend: ConsoleBackend, user: User, number: int, problem: str = "") -> dict[str, Any]:
    one: Proposal = backend.proposals.find(number)
    person = Person(user.name, user.role)
    standing = backend.models.pointers.standing
    return {
        "one": one,
        "problem": problem,
        "barred": {stage: one.barred(person, stage) for stage in one.next_stages},
        "older": one.base is not None and one.base != standing and bool(one.next_stages),
        "standing": standing,
        "tried": False,
    }


ROUTES = (show_proposal, show_trial, move_proposal, consent)
