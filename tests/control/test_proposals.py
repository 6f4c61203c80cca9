"""Proposals: nothing becomes live by those who made it, and nothing over another policy."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve.fixtures import POLICY
from shroff import ControlLane, Policy, Rule
from shroff.control import Lists
from shroff.control.changes import (
    AddRule,
    Change,
    EditRule,
    ListChange,
    OrderRules,
    RemoveRule,
    SetFields,
    changed,
    changes_between,
)
from shroff.control.models import Models
from shroff.control.proposal import Person, Proposal, Stage
from shroff.control.proposals import Proposals
from shroff.errors import ConfigurationError, ConsentRequired, NotFound, ProposalConflict

ADA, BOB, EVE = Person("ada", "modeller"), Person("bob", "admin"), Person("eve", "analyst")
PEOPLE = (ADA, BOB, EVE, Person("Bob ", "admin"), Person("dan", "admin"))
DEAR = AddRule(Rule("dear", "card_count_1d > 9", action="review"))
HOST = ListChange(name="blocked", value="10.1.1.1", action="add")

names = st.sampled_from("abcd")
policies = st.builds(
    lambda rules, reviews, listed: Policy(
        rules=[Rule(name, f"amount > {n}") for name, n in rules.items()],
        reviews_per_day=reviews,
        lists={"l": listed},
    ),
    st.dictionaries(names, st.integers(0, 3)).flatmap(
        lambda made: st.permutations([*made.items()]).map(dict)
    ),
    st.none() | st.integers(0, 5),
    st.lists(st.sampled_from("xy"), unique=True),
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'control.db'}"


@pytest.fixture
def models(bundle_folder: Path, tmp_path: Path) -> Models:
    made = Models(tmp_path / "models", consent=True)
    made.publish(bundle_folder)
    return made


@pytest.fixture
def proposals(url: str, models: Models) -> Proposals:
    return Proposals(url, models)


def rules_of(models: Models) -> list[str]:
    return [rule.name for rule in models.in_production()[1].policy.rules]


def test_what_waits_is_shown_however_much_was_decided_since(proposals: Proposals) -> None:
    waits = proposals.propose([DEAR], by=ADA)
    for _ in range(3):
        proposals.withdraw(proposals.propose_edit(HOST, by=ADA).id, by=ADA)
    assert [one.id for one in proposals.open()] == [waits.id]
    assert [one.id for one in proposals.decided(2)] == [4, 3]
    assert [one.id for one in proposals.latest()] == [4, 3, 2, waits.id]


@given(policies, policies)
def test_changes_between_two_policies_make_one_the_other(before: Policy, after: Policy) -> None:
    made = changes_between(before, after)
    assert changed(before, made) == after
    kept = msgspec.json.decode(msgspec.json.encode(made), type=list[Change])
    assert changed(before, kept) == after
    assert bool(made) == (before != after)


def test_the_control_lane_excepts_a_rule_under_its_new_name_and_none_that_is_removed() -> None:
    lane = ControlLane(money_per_day=100.0, except_rules=["a", "b"])
    policy = Policy(rules=[Rule("a", "amount > 1"), Rule("b", "amount > 2")], control=lane)
    made = changed(policy, [RemoveRule("a"), EditRule("b", Rule("c", "amount > 2"))])
    assert made.control is not None
    assert [*made.control.except_rules] == ["c"]
    less = changed(policy, [RemoveRule("a")])
    assert changes_between(policy, less) == [RemoveRule("a")], "the lane needs no change of its own"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (AddRule(Rule("blocked_host", "amount > 1")), "expected a new name for the rule"),
        (AddRule(Rule("r", "amount > 1"), before="blokked_host"), "did you mean `blocked_host`"),
        (EditRule("gone", Rule("gone", "amount > 1")), "expected a rule of the policy, got `gone`"),
        (RemoveRule("gone"), "expected a rule of the policy"),
        (OrderRules(("gone",)), "expected each rule of the policy once"),
        (SetFields({"reviews": 3}), "expected a field of a policy, got `reviews`"),
        (SetFields({"review_at": "high"}), "Expected `float | null`, got `str`"),
        (SetFields({"decline_at": 2.0}), "expected a probability above 0"),
        (AddRule(Rule("r", "ammount > 1")), "did you mean `amount`"),
        (EditRule("blocked_host", POLICY.rules[0]), "expected a change of the policy in force"),
    ],
)
def test_a_change_that_does_not_apply_is_one_sentence(
    proposals: Proposals, change: Change, sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence.replace("|", r"\|")):
        proposals.propose([change], by=ADA)
    assert proposals.latest() == []


def test_a_rule_goes_from_draft_to_live_by_two_people(models: Models, proposals: Proposals) -> None:
    one = proposals.propose([DEAR], by=ADA, note="cash out at night")
    assert (one.stage, one.makers, one.words) == (
        "draft",
        ("ada",),
        ("Add the rule `dear` (review where card_count_1d > 9).",),
    )
    with pytest.raises(ProposalConflict, match="it cannot become live"):
        proposals.approve(one.id, by=BOB)
    proposals.shadow(one.id, by=ADA)
    with pytest.raises(ConsentRequired, match="consent of an admin, got a modeller"):
        proposals.approve(one.id, by=Person("cleo", "modeller"))
    assert rules_of(models) == ["blocked_host"]
    live = proposals.approve(one.id, by=BOB, note="seen")
    assert rules_of(models) == ["blocked_host", "dear"]
    assert [(move.stage, move.by) for move in live.moves] == [
        ("draft", "ada"),
        ("shadow", "ada"),
        ("live", "bob"),
    ]
    change = models.pointers.changes[-1]
    assert (change.by, change.note) == ("ada, agreed by bob", "cash out at night")
    assert live.moves[-1].result == change.version == models.pointers.policy
    with pytest.raises(ProposalConflict, match="proposal 1 is live"):
        proposals.withdraw(one.id, by=ADA)


def test_one_person_alone_changes_nothing(
    url: str, models: Models, proposals: Proposals, bundle_folder: Path
) -> None:
    own = proposals.propose([DEAR], by=BOB)
    proposals.shadow(own.id, by=BOB)
    for same in (BOB, Person(" BOB", "admin")):
        with pytest.raises(ConsentRequired, match="who made the proposal"):
            proposals.approve(own.id, by=same)
    with pytest.raises(ConsentRequired, match="shroff policy propose"):
        models.publish_policy(msgspec.structs.replace(POLICY, review_at=0.2), by="bob")
    with pytest.raises(ConsentRequired):
        models.publish(bundle_folder, own_policy=True, by="bob")
    with pytest.raises(ConsentRequired, match="shroff lists add"):
        Lists(url, consent=True).edit("blocked", "10.1.1.1", "add", by="bob")
    with pytest.raises(ConsentRequired, match="modeller or admin to propose, got an analyst"):
        proposals.propose([DEAR], by=EVE)
    assert rules_of(models) == ["blocked_host"]
    assert Lists(url).edits() == []


def test_a_proposal_against_an_older_policy_is_refused_until_it_is_rebased(
    url: str, models: Models, proposals: Proposals
) -> None:
    first = proposals.propose([DEAR], by=ADA)
    second = proposals.propose([AddRule(Rule("night", "card_count_1d > 5"))], by=ADA)
    for one in (first, second):
        proposals.shadow(one.id, by=ADA)
    with pytest.raises(ProposalConflict, match="needs no rebase"):
        proposals.rebase(second.id, by=ADA)
    proposals.approve(first.id, by=BOB)
    with pytest.raises(ProposalConflict, match="rebase it"):
        proposals.approve(second.id, by=BOB)
    assert proposals.find(second.id).stage == "shadow"
    dan = Person("dan", "admin")
    # one that ends between its two steps leaves what was proposed
    times = [1]
    with pytest.raises(IndexError):
        Proposals(url, models, clock=times.pop).rebase(second.id, by=dan)
    assert (times, proposals.find(second.id).stage) == ([], "shadow")
    again = proposals.rebase(second.id, by=dan)
    assert (again.rebased, again.makers, again.stage) == (second.id, ("dan", "ada"), "draft")
    assert proposals.find(second.id).stage == "withdrawn"
    proposals.shadow(again.id, by=dan)
    with pytest.raises(ConsentRequired, match="who made the proposal"):
        proposals.approve(again.id, by=Person("ada", "admin"))
    proposals.approve(again.id, by=BOB)
    assert rules_of(models) == ["blocked_host", "dear", "night"]


def test_an_edit_of_a_list_waits_for_a_second_person(
    url: str, models: Models, proposals: Proposals
) -> None:
    with pytest.raises(NotFound, match="no list `blokked`"):
        proposals.propose_edit(ListChange(name="blokked", value="x", action="add"), by=ADA)
    with pytest.raises(ConfigurationError, match="in the future"):
        proposals.propose_edit(msgspec.structs.replace(HOST, until=1), by=ADA)
    one = proposals.propose_edit(HOST, by=BOB, note="seen twice")
    with pytest.raises(ConsentRequired, match="second person"):
        proposals.approve(one.id, by=BOB)
    assert Lists(url).edits() == []
    done = proposals.approve(one.id, by=Person("dan", "admin"))
    (edit,) = Lists(url).edits()
    assert (edit.value, edit.made_by, edit.note) == ("10.1.1.1", "bob, agreed by dan", "seen twice")
    assert done.moves[-1].result == str(edit.id)


def test_two_who_agree_at_once_put_one_change_in_force(
    url: str, models: Models, proposals: Proposals
) -> None:
    one = proposals.propose_edit(HOST, by=ADA)
    people = [Person(f"admin {n}", "admin") for n in range(6)]

    def agree(person: Person) -> bool:
        try:
            Proposals(url, models).approve(one.id, by=person)
        except ProposalConflict:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(agree, people)) == 1
    assert len(Lists(url).edits()) == 1


def test_who_dies_between_publishing_and_keeping_the_move_can_agree_again(
    models: Models, proposals: Proposals
) -> None:
    one = proposals.propose([DEAR], by=ADA)
    proposals.shadow(one.id, by=ADA)
    # the policy is in force and the move is not kept, as after a kill between both
    Models(models.folder).publish_policy(proposals.policy_of(one), by="ada, agreed by bob")
    moved = len(models.pointers.changes)
    assert proposals.approve(one.id, by=BOB).stage == "live"
    assert len(models.pointers.changes) == moved


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["edit", "rule", "rebase", "shadow", "live", "refused", "withdrawn"]),
            st.sampled_from(PEOPLE),
            st.integers(1, 4),
        ),
        min_size=4,
        max_size=14,
    )
)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_path_to_live_goes_without_a_second_person(
    tmp_path_factory: pytest.TempPathFactory,
    bundle_folder: Path,
    steps: list[tuple[str, Person, int]],
) -> None:
    folder = tmp_path_factory.mktemp("paths")
    models = Models(folder / "models", consent=True)
    models.publish(bundle_folder)
    before = len(models.pointers.changes)
    url = f"sqlite:///{folder / 'control.db'}"
    proposals = Proposals(url, models)
    wrote: dict[int, set[str]] = {}
    for step, (verb, person, number) in enumerate(steps):
        try:
            made = _step(proposals, verb, person, number, step)
        except (ConsentRequired, ProposalConflict, NotFound):
            continue
        own = {person.name.strip().lower()}
        if verb in ("edit", "rule", "rebase"):
            wrote[made.id] = own | wrote.get(made.rebased or 0, set())
        if made.stage == "live":
            assert person.role == "admin"
            assert not own & wrote[made.id]
            seen: list[Stage] = [move.stage for move in made.moves]
            assert seen == (["draft", "live"] if made.edit else ["draft", "shadow", "live"])
    lived = [one for one in proposals.latest() if one.stage == "live"]
    assert len(Lists(url).edits()) == sum(one.edit is not None for one in lived)
    assert len(models.pointers.changes) - before == sum(one.edit is None for one in lived)


def _step(proposals: Proposals, verb: str, person: Person, number: int, step: int) -> Proposal:
    if verb == "edit":
        return proposals.propose_edit(msgspec.structs.replace(HOST, value=f"h{step}"), by=person)
    if verb == "rule":
        return proposals.propose([AddRule(Rule(f"r{step}", "card_count_1d > 9"))], by=person)
    moves: dict[str, Callable[..., Proposal]] = {
        "rebase": proposals.rebase,
        "shadow": proposals.shadow,
        "live": proposals.approve,
        "refused": partial(proposals.refuse, note="no"),
        "withdrawn": proposals.withdraw,
    }
    return moves[verb](number, by=person)
