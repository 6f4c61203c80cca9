"""One test body over all engines: each gives exactly what the oracle gives."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from polars.testing import assert_frame_equal

from contract.engines import Engine
from contract.strategies import Ask, Log, cases
from shroff import FeatureGroup
from shroff.features.aggregates import RECIPES, Function


def expected(log: Log, asks: list[Ask]) -> pl.DataFrame:
    return pl.DataFrame([log.frame["id"], *(ask.column(log) for ask in asks)])


@settings(max_examples=100)
@given(case=cases())
def test_engine_equals_the_oracle(
    engine: Engine, case: tuple[Log, FeatureGroup, list[Ask]]
) -> None:
    log, group, asks = case
    assert_frame_equal(
        engine([group], log.frame, log.schema), expected(log, asks), check_exact=True
    )


@pytest.mark.parametrize("function", RECIPES)
def test_each_aggregate_equals_the_oracle(engine: Engine, function: Function) -> None:
    @settings(max_examples=25)
    @given(case=cases([function]))
    def check(case: tuple[Log, FeatureGroup, list[Ask]]) -> None:
        log, group, asks = case
        assert_frame_equal(
            engine([group], log.frame, log.schema), expected(log, asks), check_exact=True
        )

    check()


NUMBERS: list[Function] = [
    function for function, recipe in RECIPES.items() if recipe.column[:1] == ("amount",)
]


@pytest.mark.parametrize("function", NUMBERS)
def test_amounts_and_numbers_at_the_limit_are_summed_exactly(
    engine: Engine, function: Function
) -> None:
    @settings(max_examples=25)
    @given(case=cases([function], most=True))
    def check(case: tuple[Log, FeatureGroup, list[Ask]]) -> None:
        log, group, asks = case
        assert_frame_equal(
            engine([group], log.frame, log.schema), expected(log, asks), check_exact=True
        )

    check()
