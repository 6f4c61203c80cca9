"""Second reviews: drawn by a key, blind, by somebody else, and what they say of people."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from act.records import Moment, Records, open_cases
from commands import answer, run
from shroff.act import CaseIntake, CaseQueue, Desk, Outcome
from shroff.act.analysts import agreement, kappa, wilson
from shroff.act.second import SecondReview, is_drawn
from shroff.cli import app
from shroff.collect.times import iso_time
from shroff.errors import CaseConflict, ConfigurationError, NotFound
from shroff.package import Bundle

HOUR = 3_600_000_000


@pytest.fixture
def desk(url: str, bundle: Bundle, clock: Moment) -> Desk:
    """Four open cases, each of which is judged twice."""
    found = Desk(url, key=b"secret", clock=clock)
    found.set_queues([CaseQueue(name="review", second_review=1.0)])
    open_cases(url, bundle, 4)
    return found


def test_the_second_reviewer_is_somebody_else_and_sees_no_outcome(
    desk: Desk, url: str, bundle: Bundle
) -> None:
    desk.note(4, "ada", note="looks bad to me")
    desk.decide(4, "ada", outcome="fraud", note="stolen")
    records = Records()
    records.seq = 4
    CaseIntake(url, "ledger", bundle).take([records.label("p3", True)])
    # ada gets an open case; bob the one that she has closed
    own = desk.next("ada")
    assert own is not None
    assert own.id != 4
    seen = desk.next("bob")
    assert seen is not None
    assert (seen.id, seen.status, seen.outcome, seen.closed) == (4, "open", None, None)
    case, payments, steps = desk.case(4, "bob")
    assert (case.outcome, case.holder, [one.fraud for one in payments]) == (None, "bob", [None])
    assert [(one.step, one.note) for one in steps] == [("opened", None)]
    assert desk.cases(closed=True, viewer="bob") == []
    assert desk.blind_payments("bob") == {"p3"}
    assert not desk.blind_payments("cleo")
    assert [one.id for one in desk.cases(closed=True, viewer="cleo")] == [4]
    with pytest.raises(ConfigurationError, match="no labels"):
        desk.decide(4, "bob", outcome="genuine", labels={"p3": False})
    waiting = len(desk.labels())
    done = desk.decide(4, "bob", outcome="genuine", version=seen.version)
    assert not desk.blind_payments("bob")
    # the case and its labels stay as they were, and the step is in the chain
    assert (done.outcome, done.status, len(desk.labels())) == ("fraud", "closed", waiting)
    last = desk.case(4)[2][-1]
    assert (last.by, last.step, last.outcome) == ("bob", "reviewed", "genuine")
    assert desk.verify() is not None
    assert desk.agreement().agreed == 0


def test_a_lapsed_review_goes_to_another_and_reopening_ends_it(desk: Desk, clock: Moment) -> None:
    desk.decide_all([1, 2], "ada", outcome="genuine")
    first = desk.next("bob")
    assert first is not None
    assert first.id == 1
    clock.now += HOUR
    again = desk.next("cleo")
    assert again is not None
    assert again.id == 1
    with pytest.raises(CaseConflict, match="is closed"):
        desk.decide(1, "bob", outcome="fraud")
    assert desk.release(1, "cleo").holder is None
    desk.reopen(1, "boss", note="there is news")
    other = desk.next("cleo")
    assert other is not None
    assert other.id == 2


def test_no_step_shows_the_second_reviewer_what_the_first_one_did(
    desk: Desk, clock: Moment
) -> None:
    desk.decide(4, "ada", outcome="fraud", note="stolen")
    assert desk.next("bob") is not None
    steps: list[Callable[[], object]] = [
        lambda: desk.note(4, "bob", note="what now?"),
        lambda: desk.note(4, "bob", note="what now?", version=1),
        lambda: desk.escalate(4, "bob", note="what now?"),
        lambda: desk.assign(4, "bob", to="bob", note="mine"),
        lambda: desk.snooze(4, "bob", until=clock.now + HOUR),
        lambda: desk.reopen(4, "bob", note="let me see"),
        lambda: desk.decide_all([4], "bob", outcome="genuine"),
    ]
    for step in steps:
        with pytest.raises(CaseConflict, match="you judge case 4 a second time: decide it first"):
            step()
    # nor does waiting show it, until somebody else takes the case
    clock.now += 2 * HOUR
    assert desk.case(4, "bob")[0].outcome is None
    assert desk.claim(4, "bob").outcome is None
    desk.decide(4, "bob", outcome="genuine")
    assert desk.case(4, "bob")[0].outcome == "fraud"


def test_what_the_ledger_closes_is_not_judged_again(desk: Desk, url: str, bundle: Bundle) -> None:
    records = Records()
    records.seq = 4
    CaseIntake(url, "ledger", bundle).take([records.label("p0", False)])
    found = desk.next("bob")
    assert found is not None
    assert found.id == 4


def test_the_draw_is_a_share_that_only_the_key_tells() -> None:
    drawn = {case for case in range(20_000) if is_drawn(b"secret", case, 0.05)}
    assert 0.045 < len(drawn) / 20_000 < 0.055
    assert drawn < {case for case in range(20_000) if is_drawn(b"secret", case, 0.1)}
    other = {case for case in range(20_000) if is_drawn(b"another", case, 0.05)}
    assert len(drawn & other) < 100
    assert not is_drawn(b"secret", 1, 0.0)
    assert is_drawn(b"secret", 1, 1.0)


OUTCOMES: st.SearchStrategy[Outcome] = st.sampled_from(["fraud", "genuine", "unclear", "refunded"])
Pair = tuple[str, Outcome, str, Outcome]
REVIEWS = st.lists(st.tuples(st.sampled_from("abc"), OUTCOMES, st.sampled_from("xyz"), OUTCOMES))


@settings(max_examples=60)
@given(REVIEWS)
def test_figures_are_those_counted_one_by_one(
    found: list[tuple[str, Outcome, str, Outcome]],
) -> None:
    reviews = [SecondReview(n, *one) for n, one in enumerate(found)]
    figures = agreement(reviews, {})
    frauds = [one for one in reviews if "fraud" in (one.first, one.outcome)]
    judged = [one for one in frauds if one.first != "unclear"]
    missed = [one for one in judged if one.first != "fraud"]
    assert (figures.cases, figures.frauds, figures.missed) == (
        len(reviews),
        len(judged),
        len(missed),
    )
    assert figures.agreed == sum(one.first == one.outcome for one in reviews)
    assert sum(one.cases for one in figures.analysts) == 2 * len(reviews)
    beyond = kappa([(one.first, one.outcome) for one in reviews])
    assert beyond is None or -1 <= beyond <= 1
    low, high = wilson(figures.agreed, figures.cases) or (0.0, 1.0)
    assert 0 <= low <= (figures.share or 0.0) <= high + 1e-12 or not reviews


def test_a_later_label_is_the_truth(desk: Desk, url: str, bundle: Bundle) -> None:
    for number in (1, 2, 3, 4):
        desk.decide(number, "ada", outcome="genuine")
        desk.next("bob")
        desk.decide(number, "bob", outcome="genuine")
    assert (desk.agreement().frauds, desk.agreement().kappa) == (0, None)
    records = Records()
    records.seq = 4
    CaseIntake(url, "ledger", bundle).take([records.label("p0", True)])
    found = desk.agreement()
    assert (found.frauds, found.missed, found.miss_rate) == (1, 1, 1.0)
    assert [one.missed for one in found.analysts] == [1, 1]


def test_a_queue_that_is_none_is_named_with_those_there_are(url: str, desk: Desk) -> None:
    home = Path(url.removeprefix("sqlite:///")).parent
    assert answer("cases", "list", "--queue", "review", "--mine", home=home) == {"cases": []}
    told = run("cases", "list", "--queue", "review", "--mine", home=home)
    assert told == "No case of yours in the queue `review` is open.\n"
    assert run("cases", "list", "--closed", home=home) == "No case is closed.\n"
    desk.set_queues([CaseQueue(name="small"), CaseQueue(name="rest")])
    for command in ("list", "next"):
        with pytest.raises(NotFound, match="called `nope`: expected one of `small`, `rest`, `rev"):
            run("cases", command, "--queue", "nope", home=home)
    # of those that were removed, `review` still has open cases
    assert len(answer("cases", "list", "--queue", "review", home=home)["cases"]) == 4


def test_an_auditor_sees_who_did_what(desk: Desk, url: str, clock: Moment) -> None:
    home, began = Path(url.removeprefix("sqlite:///")).parent, clock.now
    desk.claim(1, "ada")
    clock.now += HOUR // 2
    desk.decide(1, "ada", outcome="fraud", note="called")
    desk.claim(2, "cleo")
    found = answer("cases", "history", "--by", "ada", home=home)
    told = [(one["case"], one["step"], one["outcome"], one["note"]) for one in found["steps"]]
    assert told == [(1, "claimed", None, None), (1, "closed", "fraud", "called")]
    last = desk.verify()
    assert last is not None
    assert found["head"] == f"{last.id}:{last.chain}"
    since = iso_time(began + HOUR // 4, "seconds")
    found = answer("cases", "history", "--by", "ada", "--since", since, home=home)
    assert [one["step"] for one in found["steps"]] == ["closed"]
    environment = {"SHROFF_HOME": str(home)}
    shown = CliRunner().invoke(app, ["cases", "history", "--by", "nobody"], env=environment)
    assert shown.stdout.startswith("No such step.\nThe history of cases holds; its head is 7:")
    # who judges the case again may not know yet what it came to
    assert desk.next("bob") is not None
    assert [one.outcome for one in desk.history("bob") if one.case == 1] == [None] * 3
    assert [one.note for one in desk.history("bob") if one.case == 1] == [None] * 3


def test_the_command_names_the_rate_as_costs_take_it(desk: Desk, url: str) -> None:
    home = Path(url.removeprefix("sqlite:///")).parent
    environment = {"SHROFF_HOME": str(home)}
    none = CliRunner().invoke(app, ["cases", "analysts"], env=environment)
    assert "No case was judged twice" in none.stdout
    for number, outcome in ((1, "fraud"), (2, "genuine")):
        desk.decide(number, "ada", outcome=outcome)  # type: ignore[arg-type]  # a text of a tuple
        desk.next("bob")
        desk.decide(number, "bob", outcome="fraud")
    shown = CliRunner().invoke(app, ["cases", "analysts"], env=environment)
    assert "Cost(miss_rate=0.500)" in shown.stdout, shown.exception
    told = CliRunner().invoke(app, ["cases", "analysts", "--json"], env=environment)
    assert json.loads(told.stdout)["agreed"] == 1
