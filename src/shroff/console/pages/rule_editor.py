"""The editor of a rule: what is wrong as it is typed, what may come next, and how it would do."""

from __future__ import annotations

from typing import Any

from litestar.params import FromQuery

from shroff.console.access import action, page
from shroff.console.backend import ConsoleBackend
from shroff.console.given import GivenBackend, GivenForm, GivenPerson
from shroff.console.problems import status_of
from shroff.console.rule_forms import NO_TRIAL, RuleForm
from shroff.console.views import lead, view, wants_part
from shroff.console.web import Request, Response
from shroff.control.changes import changed
from shroff.errors import NotFound, ShroffError
from shroff.evaluate.cost import ACTIONS


@page("/rules/edit", role="modeller")
def show_editor(backend: GivenBackend, rule: FromQuery[str] = "") -> Response:
    """An empty rule, or one of the policy in force."""
    given = backend.bench.in_use.contender.standing.given
    return view("rule_editor.html", _context(backend, RuleForm.of(given, rule)))


@action("/rules/check", role="modeller")
def check_condition(backend: GivenBackend, form: GivenForm) -> Response:
    """What is wrong with a condition and what may stand at the cursor: a part, as it is typed."""
    # the places that a browser counts are of the text as it is in the field
    condition = form.raw("condition").replace("\r\n", "\n")
    position = form.text("position")
    used = backend.bench.in_use
    context: dict[str, Any] = {
        "fault": used.fault(condition),
        "condition": condition,
        "completion": None,
    }
    if position.isdecimal() and len(position) < 7:
        context["completion"] = used.complete(condition, int(position))
    return view("_rule_check_part.html", context)


@action("/rules/try", role="modeller")
def try_rule(request: Request, backend: GivenBackend, form: GivenForm) -> Response:
    """What the rule would have done with the payments of the last month."""
    asked = RuleForm.read(form)
    context, status = _tried(backend, asked)
    if wants_part(request):
        # htmx puts a sentence about what is wrong in place, too
        return view("_trial_part.html", context)
    return view("rule_editor.html", _context(backend, asked) | context, status=status)


@action("/rules/propose", role="modeller")
def propose_rule(
    request: Request, backend: GivenBackend, person: GivenPerson, form: GivenForm
) -> Response:
    """Draft the rule as a change of the policy in force."""
    asked = RuleForm.read(form)
    try:
        made = backend.proposals.propose(asked.changes(), by=person, note=asked.note or None)
    except ShroffError as error:
        context = _context(backend, asked, str(error))
        return view("rule_editor.html", context, status=status_of(error))
    return lead(request, f"/proposals/{made.id}", said=f"Proposal {made.id} is drafted.")


def _tried(backend: ConsoleBackend, asked: RuleForm) -> tuple[dict[str, Any], int]:
    context: dict[str, Any] = NO_TRIAL
    try:
        given = backend.bench.in_use.contender.standing.given
        context = context | {"trial": backend.bench.trial(changed(given, asked.changes()))}
    except NotFound as error:
        return context | {"nothing": str(error)}, 200
    except ShroffError as error:
        return context | {"trial_problem": str(error)}, status_of(error)
    if context["trial"] is None:
        context |= {
            "reading": backend.bench.recent.problem is None,
            "again": "/rules/try",
            "read": backend.bench.recent.payments,
            "trial_problem": backend.bench.recent.problem or "",
        }
    return context, 200


def _context(backend: ConsoleBackend, asked: RuleForm, problem: str = "") -> dict[str, Any]:
    used = backend.bench.in_use
    return {
        "asked": asked,
        "problem": problem,
        "actions": ACTIONS,
        "rules": used.contender.standing.given.rules,
        "kinds": used.kinds,
        "features": used.said,
        "list_names": sorted(used.contender.standing.policy.lists),
        "fault": used.fault(asked.condition) if asked.condition else None,
        "condition": asked.condition,
        "completion": None,
        **NO_TRIAL,
    }


ROUTES = (show_editor, check_condition, try_rule, propose_rule)
