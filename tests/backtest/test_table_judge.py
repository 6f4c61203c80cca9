"""A table judged at once gives what the decider gives, payment by payment, to the bit."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from shroff import Challenge, ControlLane, Cost, Policy, Review, Rule
from shroff.backtest.listed import ListedThen
from shroff.backtest.table_judge import TableJudge
from shroff.collect.schema import Kind
from shroff.decide import Judge
from shroff.decide.lists import Edit, effective
from shroff.evaluate.cost import ACTIONS
from shroff.evaluate.expected import MAX_COST

KINDS: dict[str, Kind] = {"eur": "number", "country": "text", "margin": "number", "count": "number"}
TYPES = {"eur": pl.Float64, "country": pl.String, "margin": pl.Float64, "count": pl.Float64}
NAMES = ("red", "grey")
CONDITIONS = (
    "country IN red",
    "country NOT IN red",
    "eur > 100",
    "country IN grey OR count > 2",
    "NOT (country IN red AND country IN grey)",
    "CASE WHEN country IN red THEN 'B' ELSE country END IN grey",
    "margin / count > 0.5",
    "country IS NULL",
    "TRUE",
    "LOWER(country) IN grey",
)
VALUES = st.sampled_from(["A", "B", "a", "C"])
MOMENTS = st.integers(0, 12)


@st.composite
def edits(draw: st.DrawFn) -> list[Edit]:
    made: list[Edit] = []
    for number in range(draw(st.integers(0, 8))):
        since = draw(MOMENTS)
        made.append(
            Edit(
                id=number + 1,
                name=draw(st.sampled_from(NAMES)),
                value=draw(VALUES),
                action=draw(st.sampled_from(["add", "remove"])),
                since=since,
                until=draw(st.none() | st.integers(since + 1, 15)),
                note=None,
                made_by="ada",
                made_at=draw(MOMENTS),
            )
        )
    return made


NUMBERS = st.none() | st.sampled_from([0.0, 1.0, 2.0, 3.0, 120.0, 2 * MAX_COST, -5.0])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "eur": NUMBERS,
            "country": st.none() | VALUES,
            "margin": NUMBERS,
            "count": NUMBERS,
            "probability": st.none() | st.sampled_from([0.0, 0.2, 0.5, 1.0]) | st.floats(0, 1),
            "moment": st.integers(0, 16),
        }
    ),
    min_size=1,
    max_size=12,
)
COSTS = st.builds(
    Cost,
    review=st.sampled_from(
        [
            0.0,
            4.0,
            "margin",
            Review(3.0, 40.0, within_days=1, expired="decline", expiry=0.25),
            Review("count", 40.0, within_days=1, expiry=0.5),
        ]
    ),
    missed=st.sampled_from(["amount", 50.0, "CASE WHEN country = 'A' THEN 0 ELSE eur END"]),
    declined=st.sampled_from([15.0, "margin + 0.1 * eur"]),
    miss_rate=st.sampled_from([0.0, 0.2]),
    challenge=st.none() | st.just(Challenge(passed=0.1, abandoned=0.05, cost=0.2)),
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    conditions = draw(st.lists(st.sampled_from(CONDITIONS), max_size=4))
    rules = [
        Rule(f"r{place}", condition, action=draw(st.sampled_from(ACTIONS)))
        for place, condition in enumerate(conditions)
    ]
    review = draw(st.none() | st.sampled_from([0.2, 0.5]))
    return Policy(
        declines_from=draw(st.none() | st.sampled_from([0.3, 0.8])),
        cost=draw(COSTS),
        rules=rules,
        lists={name: draw(st.lists(VALUES, max_size=2)) for name in NAMES},
        review_at=review,
        decline_at=draw(st.none() | st.sampled_from([0.5, 0.9])),
        degraded=draw(st.sampled_from(ACTIONS)),
        decide_by=draw(st.sampled_from(["cost", "thresholds", None])),
        review_price=draw(st.none() | st.sampled_from([0.0, 2.0])),
    )


def judged(policy: Policy, rows: list[dict[str, Any]], made: list[Edit]) -> list[Any]:
    """Actions and rules of payments that are judged as a table."""
    table = pl.DataFrame([{name: row[name] for name in TYPES} for row in rows], schema=TYPES)
    probability = np.array([row["probability"] for row in rows], dtype=np.float64)
    moments = np.array([row["moment"] for row in rows], dtype=np.int64)
    found = TableJudge(policy, KINDS, amount="eur").judge(table, probability, moments, made)
    return [
        (
            ACTIONS[action],
            tuple(name for name, hits in found.hits.items() if at in hits),
        )
        for at, action in enumerate(found.action)
    ]


def one_by_one(policy: Policy, rows: list[dict[str, Any]], made: list[Edit]) -> list[Any]:
    """The same by the decider's judge, each with the lists that were known then."""
    found = []
    for row in rows:
        known = [edit for edit in made if edit.made_at <= row["moment"]]
        lists = effective(policy.lists, known, row["moment"]).values
        judge = Judge(msgspec.structs.replace(policy, lists=lists), KINDS, amount="eur")
        verdict = judge.decide({name: row[name] for name in KINDS}, row["probability"])
        found.append((verdict.action, verdict.rules))
    return found


@given(policies(), ROWS, edits())
def test_a_table_is_judged_as_each_payment_is(
    policy: Policy, rows: list[dict[str, Any]], made: list[Edit]
) -> None:
    assert judged(policy, rows, made) == one_by_one(policy, rows, made)


@settings(max_examples=40)
@given(policies(), ROWS, edits(), st.integers(0, 16))
def test_what_is_listed_later_changes_no_earlier_decision(
    policy: Policy, rows: list[dict[str, Any]], made: list[Edit], now: int
) -> None:
    """Whatever an edit says of its beginning, it is not known before it is made."""
    earlier = [row | {"moment": min(row["moment"], now)} for row in rows]
    known = [edit for edit in made if edit.made_at <= now]
    assert judged(policy, earlier, made) == judged(policy, earlier, known)


def test_a_null_is_in_no_empty_list_and_perhaps_in_another() -> None:
    add = Edit(
        id=1,
        name="red",
        value="A",
        action="add",
        since=5,
        until=7,
        note=None,
        made_by="",
        made_at=0,
    )
    listed = ListedThen({"red": []}, [add])
    nobody = pl.Series([None] * 3, dtype=pl.String)
    assert listed.has("red", nobody, np.array([4, 5, 7])).to_list() == [False, None, False]


def test_a_policy_weighs_alike_whatever_its_rules_and_the_lane_that_excepts_them() -> None:
    lane = ControlLane(money_per_day=100.0, except_rules=["big"])
    policy = Policy(rules=[Rule("big", "eur > 100")], control=lane, review_at=0.2, decline_at=0.8)
    without = Policy(review_at=0.2, decline_at=0.8)
    judge = TableJudge(policy, KINDS, amount="eur")
    assert judge.weighs_as(TableJudge(without, KINDS, amount="eur"))
    stricter = msgspec.structs.replace(policy, decline_at=0.5)
    assert not judge.weighs_as(TableJudge(stricter, KINDS, amount="eur"))
