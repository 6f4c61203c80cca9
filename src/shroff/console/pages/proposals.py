"""A proposal: what it changes, how it would do, and a second person's consent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery

from shroff.console.access import action, page
from shroff.console.backend import ConsoleBackend
from shroff.console.given import GivenBackend, GivenForm, GivenPerson
from shroff.console.problems import status_of
from shroff.console.rule_forms import NO_TRIAL
from shroff.console.views import lead, view, wants_part
from shroff.console.web import Request, Response
from shroff.control.proposal import Person, Proposal
from shroff.control.proposals import Proposals
from shroff.control.users import UserRole
from shroff.errors import ConfigurationError, NotFound, ShroffError

_Moves: TypeAlias = dict[str, Callable[..., Proposal]]
_DONE: Final = {
    "rebased": "It makes the same changes to the policy in force.",
    "shadow": "It is judged on live payments from now on, without effect.",
    "live": "It is in force; services follow within seconds.",
    "refused": "It is refused.",
    "withdrawn": "It is withdrawn.",
}


@page("/proposals/{number:int}", role="modeller")
def show_proposal(backend: GivenBackend, person: GivenPerson, number: FromPath[int]) -> Response:
    """One proposal."""
    return view("proposal.html", _context(backend, person, number))


@page("/proposals/{number:int}/trial", role="modeller")
def show_trial(
    request: Request,
    backend: GivenBackend,
    person: GivenPerson,
    number: FromPath[int],
    since: FromQuery[str] = "month",
) -> Response:
    """What it would have done in the last month, or did since it is in the shadow."""
    context = _trial(backend, number, shadow=since == "shadow")
    if wants_part(request):
        return view("_trial_part.html", context)
    return view("proposal.html", _context(backend, person, number) | context | {"tried": True})


def _mover(path: str, role: UserRole, moves_of: Callable[[Proposals], _Moves]) -> HTTPRouteHandler:
    """The handler of a form that brings a proposal to one of some stages."""

    @action(path, role=role)
    def move(
        request: Request,
        backend: GivenBackend,
        person: GivenPerson,
        form: GivenForm,
        number: FromPath[int],
    ) -> Response:
        to, moves = form.text("to"), moves_of(backend.proposals)
        try:
            if to not in moves:
                raise ConfigurationError(f"expected one of {', '.join(moves)}.")
            made = moves[to](number, by=person, note=form.text("note") or None)
        except ShroffError as error:
            context = _context(backend, person, number, str(error))
            return view("proposal.html", context, status=status_of(error))
        return lead(request, f"/proposals/{made.id}", said=_DONE[to])

    return move


def _trial(backend: ConsoleBackend, number: int, *, shadow: bool) -> dict[str, Any]:
    again = f"/proposals/{number}/trial?since={'shadow' if shadow else 'month'}"
    context = NO_TRIAL | {"again": again}
    try:
        one = backend.proposals.find(number)
        began = one.shadow_since if shadow else None
        found = backend.bench.trial(backend.proposals.policy_of(one), decided_since=began)
    except NotFound as error:
        return context | {"nothing": str(error)}
    except ShroffError as error:
        return context | {"trial_problem": str(error)}
    if found is not None:
        return context | {"trial": found}
    recent = backend.bench.recent
    return context | {
        "reading": recent.problem is None,
        "read": recent.payments,
        "trial_problem": recent.problem or "",
    }


def _context(
    backend: ConsoleBackend, person: Person, number: int, problem: str = ""
) -> dict[str, Any]:
    one: Proposal = backend.proposals.find(number)
    standing = backend.models.pointers.standing
    return {
        "one": one,
        "problem": problem,
        "barred": {stage: one.barred(person, stage) for stage in one.next_stages},
        "older": _is_older(backend, one, standing),
        "standing": standing,
        "tried": False,
    }


def _is_older(backend: ConsoleBackend, one: Proposal, standing: str | None) -> bool:
    """Whether an open proposal changes another policy than the one in force.

    The one that it makes itself is in force where a process died while somebody agreed: they may
    agree again, which keeps that it is live.
    """
    if one.base is None or one.base == standing or not one.next_stages:
        return False
    try:
        return backend.models.policy(str(standing)).given != backend.proposals.policy_of(one)
    except ShroffError:
        return True


move_proposal = _mover(
    "/proposals/{number:int}/move",
    "modeller",
    lambda proposals: {
        "shadow": proposals.shadow,
        "withdrawn": proposals.withdraw,
        "rebased": proposals.rebase,
    },
)
consent = _mover(
    "/proposals/{number:int}/consent",
    "admin",
    lambda proposals: {"live": proposals.approve, "refused": proposals.refuse},
)
ROUTES = (show_proposal, show_trial, move_proposal, consent)
