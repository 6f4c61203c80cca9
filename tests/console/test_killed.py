"""A console that is killed while people work: what was answered stays, and nothing is half done."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import httpx

from console.case_seed import cases
from console.model_seed import models
from console.seed import people
from console.site import ConsoleSite, Visit, running
from patience import PATIENCE
from shroff import Rule
from shroff.act import Desk
from shroff.control.changes import AddRule
from shroff.control.models import Models
from shroff.control.proposal import Person, Proposal
from shroff.control.proposals import Proposals
from shroff.settings import Settings

MAKER = Person("modeller", "modeller")
DECISIONS = 6
"""How many are answered before the console is killed."""


def test_a_console_that_is_killed_loses_nothing_it_answered(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    for seed in (people, cases, models):
        seed(settings)
    desk = Desk(settings.control, key=settings.hmac_key())
    kept, proposals = _rooms(settings)
    first = _in_the_shadow(proposals, "first")
    decided: list[int] = []
    agreed: list[int] = []
    with running(settings) as site:
        sessions = {name: site.session(name) for name in ("analyst", "admin")}
        enough = Event()

        def decide() -> None:
            visit = _back(site, sessions["analyst"])
            for case in desk.cases(queue="shift"):
                fields = {"outcome": "fraud", "version": str(case.version)}
                if visit.send(f"/cases/{case.id}/decide", fields).status_code == 303:
                    decided.append(case.id)
                if len(decided) == DECISIONS:
                    enough.set()

        def agree() -> None:
            visit, number = _back(site, sessions["admin"]), first.id
            while visit.send(f"/proposals/{number}/consent", to="live").status_code == 303:
                agreed.append(number)
                number = _in_the_shadow(proposals, f"rule{number}").id

        threads = [Thread(target=_until_killed, args=(work,)) for work in (decide, agree)]
        for thread in threads:
            thread.start()
        assert enough.wait(PATIENCE)
        os.kill(site.process, signal.SIGKILL)
        for thread in threads:
            thread.join()
    assert len(decided) >= DECISIONS
    closed = {one.id for one in desk.cases(queue="shift", closed=True, limit=100)}
    assert set(decided) <= closed
    # at most one more: the decision that nobody was answered
    assert len(closed) - len(decided) in (0, 1)
    for number in closed:
        case, _, steps = desk.case(number)
        assert (case.outcome, steps[-1].step, steps[-1].by) == ("fraud", "closed", "analyst")
    assert desk.verify() is not None
    assert {proposals.find(number).stage for number in agreed} <= {"live"}
    with running(settings) as site:
        for token in sessions.values():
            assert _back(site, token).http.get("/account").status_code == 200
        _finish(_back(site, sessions["admin"]), kept, proposals)
        # who looks on does not hold up the end, and their stream is whole
        visit = _back(site, sessions["analyst"])
        with visit.http.stream("GET", "/overview/events") as events:
            lines = events.iter_lines()
            assert "connected" in next(lines)
            os.kill(site.process, signal.SIGTERM)
            assert not any("error" in line for line in lines)
    assert site.log.read_text() == ""


def test_who_was_killed_while_they_agreed_agrees_again(console: ConsoleSite) -> None:
    """The policy was in force and the proposal not yet live: its page still offers to agree."""
    _, proposals = _rooms(console.settings)
    one = _in_the_shadow(proposals, "halfway")
    policy = proposals.policy_of(one)
    Models(console.settings.models).publish_policy(policy, by="modeller, agreed by admin")
    admin = console.visit("admin")
    page = admin.page(f"/proposals/{one.id}")
    assert "Agree and put it in force" in page
    assert "Rebase" not in page
    assert admin.send(f"/proposals/{one.id}/consent", to="live").status_code == 303
    assert proposals.find(one.id).stage == "live"
    assert admin.send("/rules/rollback", note="as it was").status_code == 303


def _finish(admin: Visit, kept: Models, proposals: Proposals) -> None:
    """Agree to what waits: it is in force once, however far the process came."""
    waiting = proposals.open()
    assert len(waiting) <= 1
    before = [rule.name for rule in kept.in_production()[1].policy.rules]
    for one in waiting:
        assert admin.send(f"/proposals/{one.id}/consent", to="live").status_code == 303
        assert proposals.find(one.id).stage == "live"
    live = [one for one in proposals.latest() if one.stage == "live"]
    added = [_rule(one) for one in reversed(live)]
    rules = [rule.name for rule in kept.in_production()[1].policy.rules]
    assert rules[-len(added) :] == added
    assert set(before) <= set(rules)
    assert len(rules) == len(set(rules))


def _rooms(settings: Settings) -> tuple[Models, Proposals]:
    kept = Models(settings.models)
    return kept, Proposals(settings.control, kept)


def _in_the_shadow(proposals: Proposals, name: str) -> Proposal:
    rule = AddRule(Rule(name, "amount > 90000", action="review"))
    return proposals.shadow(proposals.propose([rule], by=MAKER).id, by=MAKER)


def _rule(one: Proposal) -> str:
    """The name of the rule that a proposal adds."""
    (change,) = one.changes
    assert isinstance(change, AddRule)
    return change.rule.name


def _back(site: ConsoleSite, token: str) -> Visit:
    """A visit in a session that was begun before."""
    site.visits.append(Visit(site.url, token))
    return site.visits[-1]


def _until_killed(work: Callable[[], None]) -> None:
    try:
        work()
    except httpx.TransportError:
        return
