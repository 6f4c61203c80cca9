"""The budget of regular expressions: no text takes long or much, whatever patterns are accepted."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Callable

import pytest

from serve.fixtures import make_bundle
from shroff import Entity, FeatureGroup, Policy, Project, Rule, Schema, sql
from shroff.collect.values import LONGEST_NAME
from shroff.decide.decider import Decider
from shroff.decide.judge import check
from shroff.decide.standing import Standing, kinds_of, require_fits, states_together
from shroff.errors import InvalidExpression
from shroff.expression import parse
from shroff.expression.regular import Automaton
from shroff.features.group import Feature
from shroff.features.plan import Plan

SCHEMA = Schema(id="id", time="at", amount="amount", nominal=["mail", "city"])


def rule_set(patterns: list[str]) -> Policy:
    made = [
        Rule(f"r{at}", f"REGEXP_LIKE(mail, '{pattern}')") for at, pattern in enumerate(patterns)
    ]
    return Policy(rules=made)


def fits(patterns: list[str]) -> None:
    check(rule_set(patterns), SCHEMA.kinds)


def test_rules_together_have_a_budget() -> None:
    fits([f"a{at}" for at in range(64)])
    fits(["." * 256] * 4)
    with pytest.raises(InvalidExpression, match=r"the rules of the policy: .* 1,024 .* got 1,040"):
        fits([f"a{at}" for at in range(65)])
    with pytest.raises(InvalidExpression, match="got 7,680: make them fewer or shorter"):
        fits([f"(a|b)*a[^{chr(200 + at)}]" for at in range(480)])


def test_a_text_of_several_columns_costs_as_often() -> None:
    within = "REGEXP_LIKE(mail || city, 'x{256}') OR REGEXP_LIKE(mail || city, 'y{256}')"
    check(Policy(rules=[Rule("long", within)]), SCHEMA.kinds)
    # the same twice is computed once
    check(Policy(rules=[Rule("long", f"({within}) OR ({within})")]), SCHEMA.kinds)
    more = within.replace("mail ||", "mail || city ||")
    with pytest.raises(InvalidExpression, match="got 1,536"):
        check(Policy(rules=[Rule("long", more)]), SCHEMA.kinds)


def test_features_together_have_a_budget() -> None:
    card = Entity("card", "card_id")
    condition = "REGEXP_LIKE(mail, 'a{200}')"
    features: list[Feature] = [
        *card.count("1d", where=condition),
        *(sql(f"s{at}", condition.replace("200", f"20{at}")) for at in range(4)),
    ]
    Plan([FeatureGroup("g", features)], SCHEMA)
    one_more = sql("s", "REGEXP_LIKE(city, 'c{19}')")
    with pytest.raises(InvalidExpression, match=r"features: .* got 1,025"):
        Plan([FeatureGroup("g", [*features, one_more])], SCHEMA)


def test_rules_and_features_have_the_budget_together() -> None:
    """As one payment meets them: where the policy is published, and where it decides."""

    def project(rules: int, features: int) -> Project:
        made = [sql(f"s{at}", f"REGEXP_LIKE(mail, 'b{at}')") for at in range(features)]
        policy = rule_set([f"a{at}" for at in range(rules)])
        return Project(schema=SCHEMA, features=[FeatureGroup("g", made)], policy=policy)

    project(40, 24)
    with pytest.raises(
        InvalidExpression,
        match=r"^features \(400\) and the rules of the policy \(640\): .* 1,024 .* got 1,040",
    ):
        project(40, 25)


def test_a_policy_beside_a_model_of_conditions_has_the_budget_that_it_leaves(model: bytes) -> None:
    conditions = tuple(f"REGEXP_LIKE(mcc, 'a{at}')" for at in range(40))
    bundle = make_bundle(model, conditions=conditions)
    kinds = kinds_of(bundle)

    def policy(rules: int) -> Policy:
        made = [Rule(f"r{at}", f"REGEXP_LIKE(mcc, 'b{at}')") for at in range(rules)]
        return Policy(rules=made, review_at=0.5, decline_at=0.9)

    require_fits(policy(24), bundle)
    assert states_together(policy(24), bundle, kinds) == 1_024
    with pytest.raises(InvalidExpression, match=r"does not fit .* got 1,040"):
        require_fits(policy(25), bundle)
    with pytest.raises(InvalidExpression, match=r"conditions of the model \(640\) and the rules"):
        Decider(bundle, Standing(policy=policy(25)))


def test_a_pattern_has_a_length() -> None:
    Automaton(f"[{'ab' * 999}]")
    with pytest.raises(InvalidExpression, match="at most 2,000 characters, got one of 2,001"):
        Automaton(f"[{'a' * 1999}]")


DRAWN = random.Random(12)


def letters() -> str:
    return "".join(DRAWN.choices("abcdefghij", k=LONGEST_NAME))


def any_script() -> str:
    return "".join(chr(DRAWN.randrange(0x100, 0xD7FF)) for _ in range(LONGEST_NAME))


def classes(size: int) -> str:
    parts = ["[a-e]", "[c-j]", "[abgh]", "[^ab]", "[^ĀāĂ]", "."]
    return "(a|b|c|d|[^x])*" + "".join(DRAWN.choices(parts, k=size))


@pytest.mark.parametrize(
    "patterns", [[classes(251) for _ in range(4)], [classes(9) + f"{at}" for at in range(64)]]
)
@pytest.mark.parametrize("text", [letters, any_script])
def test_the_worst_texts_take_little_time_and_memory(
    patterns: list[str], text: Callable[[], str]
) -> None:
    fits(patterns)
    texts = [text() for _ in range(20)]
    tracemalloc.start()
    automata = [parse(one.condition, SCHEMA.kinds).closure() for one in rule_set(patterns).rules]
    for each in texts[:5]:
        for matches in automata:
            matches({"mail": each})
    assert tracemalloc.get_traced_memory()[0] < 16 << 20
    tracemalloc.stop()
    begin = time.process_time()
    for each in texts:
        for matches in automata:
            matches({"mail": each})
    assert (time.process_time() - begin) / len(texts) < 0.1
