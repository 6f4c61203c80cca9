"""Rules: the policy in force, what is proposed, and its history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from shroff.console.access import action, page
from shroff.console.backend import ConsoleBackend
from shroff.console.forms import Form
from shroff.console.given import GivenBackend, GivenForm, GivenPerson, GivenUser
from shroff.console.problems import status_of
from shroff.console.rule_forms import LIMITS, limits, moved
from shroff.console.views import lead, view, wants_part
from shroff.console.web import Request, Response
from shroff.control.changes import Change
from shroff.control.proposal import Person
from shroff.decide.policy import Policy
from shroff.errors import ShroffError

_SHOWN_CHANGES = 20
_SHOWN_PROPOSALS = 10


@page("/rules", role="modeller")
def show_rules(backend: GivenBackend) -> Response:
    """The rules in force, in their order, and the proposals."""
    return view("rules.html", _context(backend))


@page("/rules/figures", role="modeller")
def show_figures(request: Request, backend: GivenBackend) -> Response:
    """How often each rule held and was right: a part that htmx fetches, as it takes a second."""
    try:
        figures, problem = backend.bench.figures(), backend.bench.recent.problem or ""
        problem = "" if figures else problem
    except ShroffError as error:
        figures, problem = {}, str(error)
    context = {
        "figures": figures,
        "figures_problem": problem,
        "read": backend.bench.recent.payments,
    }
    if wants_part(request):
        return view("_rule_figures_part.html", context | _rules(backend))
    return view("rules.html", _context(backend) | context)


@action("/rules/move", role="modeller")
def move_rule(
    request: Request, backend: GivenBackend, person: GivenPerson, form: GivenForm
) -> Response:
    """Propose to remove a rule, or to move it up."""
    return _proposed(request, backend, person, form, lambda given: moved(given.rules, form))


@action("/rules/limits", role="modeller")
def set_limits(
    request: Request, backend: GivenBackend, person: GivenPerson, form: GivenForm
) -> Response:
    """Propose other thresholds or another capacity."""
    typed = {"limits": {name: form.text(name) for name in LIMITS}}
    return _proposed(request, backend, person, form, lambda given: limits(given, form), typed)


def _proposed(
    request: Request,
    backend: ConsoleBackend,
    person: Person,
    form: Form,
    changes: Callable[[Policy], Sequence[Change]],
    typed: dict[str, Any] | None = None,
) -> Response:
    """Propose what a form changes of the policy in force; `typed` is shown again if refused."""
    try:
        given = backend.bench.in_use.contender.standing.given
        note = form.text("note") or None
        made = backend.proposals.propose(changes(given), by=person, note=note)
    except ShroffError as error:
        context = _context(backend, str(error)) | (typed or {})
        return view("rules.html", context, status=status_of(error))
    return lead(request, f"/proposals/{made.id}", said=f"Proposal {made.id} is drafted.")


@action("/rules/rollback", role="admin")
def roll_back(
    request: Request, backend: GivenBackend, user: GivenUser, form: GivenForm
) -> Response:
    """Put the previous policy back in force: at once, as it was agreed to before."""
    try:
        standing = backend.models.rollback_policy(by=user.name, note=form.text("note") or None)
    except ShroffError as error:
        return view("rules.html", _context(backend, str(error)), status=status_of(error))
    return lead(request, "/rules", said=f"Policy {standing.version} is in force again.")


def _rules(backend: ConsoleBackend) -> dict[str, Any]:
    return {"rules": backend.bench.in_use.contender.standing.given.rules}


def _context(backend: ConsoleBackend, problem: str = "") -> dict[str, Any]:
    try:
        used = backend.bench.in_use
    except ShroffError as error:
        return {"problem": problem or str(error), "rules": None}
    given = used.contender.standing.given
    moves = [one for one in used.pointers.changes if one.role == "policy"]
    return {
        "problem": problem,
        "rules": given.rules,
        "version": used.contender.standing.version,
        "standing": used.contender.standing.policy,
        "model": used.contender.bundle,
        "limits": {name: getattr(given, name) for name in LIMITS},
        "proposals": backend.proposals.open(),
        "done": backend.proposals.decided(_SHOWN_PROPOSALS),
        "before": used.pointers.policies_before,
        "history": moves[: -_SHOWN_CHANGES - 1 : -1],
        "figures": None,
        "figures_problem": "",
        "read": None,
    }


ROUTES = (show_rules, show_figures, move_rule, set_limits, roll_back)
