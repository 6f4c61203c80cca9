"""Aggregates against their textbook definitions, to the tolerance that their descriptions
promise.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shroff import Entity, FeatureGroup, Schema
from shroff.features.aggregates import DECAY_WEIGHTS, MISSING, RECIPES, STEPS_PER_HALF_LIFE, term
from shroff.features.define import Aggregate
from shroff.features.engines.batch import compute
from shroff.features.engines.online.runtime import GLOBALS
from shroff.generated import define, function

HOUR = 3_600_000_000
card = Entity("card", "card")
SCHEMA = Schema(id="id", time="time", amount="amount", nominal=["country"], numeric=["quantity"])


def last(feature: tuple[Aggregate, ...], **columns: list[object]) -> float | None:
    """A feature of the last of these payments, an hour apart."""
    rows = max(map(len, columns.values()))
    frame = pl.DataFrame(
        {
            "id": [f"p{row}" for row in range(rows)],
            "time": pl.Series([row * HOUR for row in range(rows)]).cast(pl.Datetime("us", "UTC")),
            "amount": columns.get("amount", [100] * rows),
            "country": columns.get("country", ["DK"] * rows),
            "quantity": pl.Series(columns.get("quantity", [1.0] * rows), dtype=pl.Float64),
            "card": ["c"] * rows,
        }
    )
    value: float | None = compute([FeatureGroup("g", feature)], frame, SCHEMA)[feature[0].name][-1]
    return value


@settings(max_examples=60)
@given(
    measures=st.lists(st.integers(0, 10**15) | st.just(MISSING), min_size=2, max_size=2),
    constants=st.lists(st.floats(0, 1e6), min_size=2, max_size=2),
)
def test_an_inlined_formula_gives_the_bits_of_the_called_one(
    measures: list[int], constants: list[float]
) -> None:
    inlined = [recipe for recipe in RECIPES.values() if recipe.inline]
    assert inlined
    for recipe in inlined:
        given_ = [*measures[: len(recipe.measures)], *constants[: recipe.constants]]
        code = recipe.inline.format(*map(repr, given_))
        value: float | None = define(function("inlined()", [f"return {code}"]), dict(GLOBALS))()
        called = recipe.formula(*given_)
        assert value == (None if math.isnan(called) else called)


@settings(max_examples=60)
@given(minor=st.lists(st.integers(0, 10**7), min_size=1, max_size=30))
def test_std_is_that_of_the_population(minor: list[int]) -> None:
    value = last(card.std("amount", "30d", include_current=True), amount=list(minor))
    # NumPy's own deviation of near-equal large amounts is off in the eleventh digit
    assert value == pytest.approx(statistics.pstdev(minor) / 100, rel=1e-12, abs=1e-12)


def test_std_does_not_cancel() -> None:
    """Values that differ in the last digit only: one-pass formulas over doubles give 0 or worse."""
    minor = [10**13, 10**13 + 1, 10**13 + 2]
    value = last(card.std("amount", "30d", include_current=True), amount=list(minor))
    assert value == pytest.approx(math.sqrt(2 / 3) / 100, rel=1e-15)


@settings(max_examples=60)
@given(names=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=40))
def test_entropy_is_shannons(names: list[str]) -> None:
    shares = [count / len(names) for count in Counter(names).values()]
    value = last(card.entropy("country", "30d", include_current=True), country=list(names))
    assert value == pytest.approx(-sum(share * math.log(share) for share in shares), abs=1e-9)
    assert (value == 0.0) == (len(shares) == 1)
    top = last(card.top_share("country", "30d", include_current=True), country=list(names))
    assert top == max(shares)


def test_terms_of_a_hundred_million_payments_fit_64_bits() -> None:
    assert term(10**8) < 2**63


def test_decay_halves_every_half_life() -> None:
    assert DECAY_WEIGHTS[0] == 1.0
    assert DECAY_WEIGHTS[STEPS_PER_HALF_LIFE] == 0.5
    assert DECAY_WEIGHTS[10 * STEPS_PER_HALF_LIFE] == 2.0**-10
    assert last(card.decayed_count("1d", half_life="1h"), amount=[100] * 4) == 0.5 + 0.25 + 0.125
    assert (
        last(card.decayed_total("amount", "1d", half_life="1h"), amount=[800, 400, 200, 100])
        == 1.0 + 1.0 + 1.0
    )


def test_a_prior_counts_as_so_many_payments() -> None:
    schema = Schema(id="id", time="time", amount="amount", label="fraud", keys=["card"])
    frame = pl.DataFrame(
        {
            "id": ["a", "b", "c"],
            "time": pl.Series([0, HOUR, 2 * HOUR]).cast(pl.Datetime("us", "UTC")),
            "amount": [1, 1, 1],
            "fraud": [True, False, False],
            "card": ["c", "c", "c"],
        }
    )
    group = FeatureGroup(
        "g",
        [
            card.risk("7d", delay="1h", prior=0.01, weight=20, name="smooth"),
            card.risk("7d", delay="1h", name="raw"),
            card.frauds("7d", delay="1h", name="frauds"),
        ],
    )
    assert compute([group], frame, schema).rows() == [
        ("a", 0.01, 0.0, 0.0),
        ("b", 1.2 / 21, 1.0, 1.0),
        ("c", 1.2 / 22, 0.5, 1.0),
    ]


def test_a_number_beyond_the_largest_counts_as_that() -> None:
    huge = [1e300, -math.inf, 5.0]
    assert last(card.max("quantity", "30d", include_current=True), quantity=list(huge)) == 1e14
    assert last(card.min("quantity", "30d", include_current=True), quantity=list(huge)) == -1e14
