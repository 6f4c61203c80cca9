"""A control lane is refused where it is wrong, planned where it is open, and drawn by a key."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from decide.test_choice import drawn
from decide.test_standing import OPEN
from serve.fixtures import fitted_model, make_bundle
from shroff import ControlLane, Policy, Rule
from shroff.decide.choice import choose
from shroff.decide.lane import Chance, Draws, Lane
from shroff.decide.standing import fit
from shroff.errors import ConfigurationError
from shroff.evaluate.expected import MAX_COST


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"money_per_day": 0.0}, "money_per_day=…"),
        ({"money_per_day": float("nan")}, "money_per_day=…"),
        ({"money_per_day": float("inf")}, "money_per_day=…"),
        ({"money_per_day": 10**400}, "money_per_day=…"),
        ({"money_per_day": "5"}, "above 0, got '5'"),
        ({"money_per_day": None}, "above 0, got None"),
        ({"share": "0.1"}, "up to 0.5, got '0.1'"),
        ({"share": float("nan")}, "above 0 and up to 0.5"),
        ({"max_loss": -1.0}, "max_loss=…"),
        ({"share": 0.0}, "above 0 and up to 0.5"),
        ({"share": 0.6}, "above 0 and up to 0.5"),
        ({"action": "decline"}, '"approve" or "review"'),
        ({"of": ["approve"]}, "got `approve`"),
        ({"of": "decline"}, "a list of texts"),
    ],
)
def test_a_lane_that_cannot_be_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        ControlLane(**{"money_per_day": 100.0, **wrong})


def test_an_excepted_rule_must_exist() -> None:
    lane = ControlLane(money_per_day=100.0, except_rules=["sanctions"])
    with pytest.raises(ConfigurationError, match="no rule `sanctions`"):
        Policy(control=lane)
    Policy(control=lane, rules=[Rule("sanctions", "amount > 1")])


def test_a_policy_with_a_lane_is_the_same_after_json() -> None:
    lane = ControlLane(money_per_day=100, of=["decline"], except_rules=["large"])
    policy = Policy(control=lane, rules=[Rule("large", "amount > 1")], control_loss=5)
    assert msgspec.json.decode(msgspec.json.encode(policy), type=Policy) == policy


def test_what_the_lane_may_lose_is_chosen_and_chosen_again() -> None:
    held_out, daily = drawn()
    found = []
    for money in (200.0, 1_000.0, 1e9):
        lane = ControlLane(share=0.3, money_per_day=money)
        policy = msgspec.structs.replace(OPEN, control=lane)
        found.append(choose(policy, held_out, daily).control_loss or 0.0)
    assert 0 < found[0] < found[1] < found[2] == MAX_COST
    bundle = make_bundle(fitted_model(), currency="EUR", held_out=held_out, daily=daily)
    standing = fit(msgspec.structs.replace(OPEN, control=lane), bundle)
    assert "control_loss" in standing.chosen
    assert standing.given.control_loss is None
    bare = make_bundle(fitted_model(), currency="EUR")
    given = msgspec.structs.replace(OPEN, review_at=0.2, decline_at=0.8, control=lane)
    with pytest.raises(ConfigurationError, match="gives no `control_loss`"):
        fit(given, bare)


def test_draws_are_uniform_and_another_key_draws_others() -> None:
    names = [f"p{number}" for number in range(20_000)]
    one, other = Draws(b"one"), Draws(b"other")
    places = np.array([one.place(name) for name in names])
    counts = np.histogram(places, bins=20, range=(0, 1))[0]
    assert ((counts - 1_000) ** 2 / 1_000).sum() < 50, "chi-square of 19 degrees, far beyond 99.9 %"
    again = np.array([other.place(name) for name in names])
    assert abs(np.corrcoef(places, again)[0, 1]) < 0.03
    assert one.mark != other.mark
    assert one.place("\ud800") == one.place("\ud800"), "a lone surrogate is refused elsewhere"


def test_no_payment_is_taken_that_exceeds_the_budget() -> None:
    policy = Policy(control=ControlLane(share=0.5, money_per_day=100.0))
    assert policy.control is not None
    lane, draws, spent = Lane(policy.control, policy.cost, None), Draws(b"key"), 0.0
    for number in range(500):
        chance = lane.chance((), 0.9, 7.0)
        assert chance == Chance(0.5, 7.0)
        found = lane.decide("decline", chance, draws, f"p{number}", spent=spent, budget=100.0)
        spent += found.at_stake if found.drawn else 0.0
        assert (found.kept == "budget") is (found.propensity == 0.0)
    assert spent == 98.0
