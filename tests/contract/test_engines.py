"""One test body over all engines: each gives exactly what the oracle gives."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from polars.testing import assert_frame_equal

from contract.engines import ENGINES, Engines
from contract.examples import examples
from contract.strategies import Ask, Log, cases
from shroff import FeatureGroup
from shroff.features.aggregates import RECIPES, Function


def expected(log: Log, asks: list[Ask]) -> pl.DataFrame:
    return pl.DataFrame([log.frame["id"], *(ask.column(log) for ask in asks)])


Case = tuple[Log, FeatureGroup, list[Ask]]


@pytest.fixture(scope="module")
def engines(request: pytest.FixtureRequest) -> Engines:
    """Not by disk, which runs the kernels of `batch`."""
    return Engines(request, *ENGINES, "resumed")


def require_equal(engines: Engines, case: Case) -> None:
    """Every engine gives what the oracle gives."""
    log, group, asks = case
    right = expected(log, asks)
    for engine in engines:
        assert_frame_equal(engine([group], log.frame, log.schema), right, check_exact=True)


@examples(60)
@given(case=cases())
def test_engines_equal_the_oracle(engines: Engines, case: Case) -> None:
    require_equal(engines, case)


@pytest.mark.parametrize("function", RECIPES)
def test_each_aggregate_equals_the_oracle(engines: Engines, function: Function) -> None:
    @examples(16)
    @given(case=cases([function]))
    def check(case: Case) -> None:
        require_equal(engines, case)

    check()


NUMBERS: list[Function] = [
    function for function, recipe in RECIPES.items() if recipe.column[:1] == ("amount",)
]


@pytest.mark.parametrize("function", NUMBERS)
def test_amounts_and_numbers_at_the_limit_are_summed_exactly(
    engines: Engines, function: Function
) -> None:
    @examples(16)
    @given(case=cases([function], most=True))
    def check(case: Case) -> None:
        require_equal(engines, case)

    check()
