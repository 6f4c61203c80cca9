"""Histories so long that engines keep and search them another way, against the oracle."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from itertools import product
from random import Random

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from contract.engines import ENGINES, Engine, engine_of
from contract.oracle import WITH_ITS_PAYMENT, Question, Row
from contract.strategies import MINUTE, START, Ask, Log, table
from shroff import Entity, FeatureGroup, Schema
from shroff.features.aggregates import Function
from shroff.features.define import Aggregate

ROWS = 420
SCHEMA = Schema(
    id="id", time="time", amount="amount", currency="currency", label="label", result="result",
    arrived_at="arrived_at", numeric=["quantity"], nominal=["country"], keys=["card", "host"],
)  # fmt: skip
FUNCTIONS: list[Function] = ["last", "first", "quantile", "median", "mode", "min", "max"]


@pytest.fixture(params=[*ENGINES, "disk"], scope="module")
def engine(request: pytest.FixtureRequest) -> Engine:
    return engine_of(request.param, request)


def long_log() -> Log:
    """One card's payments over some hours, late ones among them."""
    random = Random(7)
    rows = []
    for _ in range(ROWS):
        time = START + random.randrange(300) * MINUTE
        rows.append(
            Row(
                place=0,
                arrived=time + random.choice([0, 0, 0, 1, 40]) * MINUTE,
                time=time,
                amount=Fraction(random.randrange(2_000), 100),
                values={
                    "card": "a",
                    "host": f"h{random.randrange(ROWS)}",
                    "country": None,
                    "currency": "EUR",
                },
                quantity=random.choice([None, Fraction(random.randrange(-9, 9), 16)]),
                result=None,
                result_at=WITH_ITS_PAYMENT,
                label=None,
                labelled_at=WITH_ITS_PAYMENT,
            )
        )
    rows.sort(key=lambda row: row.arrived)
    rows = [Row(**{**vars(row), "place": place}) for place, row in enumerate(rows)]
    return Log(SCHEMA, table(SCHEMA, rows), tuple(rows))


def questions() -> list[Ask]:
    """Each function over each kind of column, over a short window and one that holds nearly all."""
    found = []
    for function, column, window in product(
        FUNCTIONS, ("amount", "quantity", "host"), ("5m", "6h")
    ):
        if column == "host" and function not in ("last", "first", "mode"):
            continue
        if column == "quantity" and window == "5m":
            continue
        n, q = (
            (3, None)
            if function in ("last", "first")
            else (1, 0.9 if function == "quantile" else None)
        )
        delay = "10m" if function == "quantile" else None
        question = Question(
            function=function, keys=("card",), window=window, column=column, n=n, q=q, delay=delay
        )
        options = {key: value for key, value in vars(question).items() if key != "keys"}
        found.append(Ask(Aggregate(entity=Entity("card", "card"), **options), question))
    return found


@cache
def expected() -> pl.DataFrame:
    """What the oracle, who takes seconds, answers."""
    log = long_log()
    return pl.DataFrame([log.frame["id"], *(ask.column(log) for ask in questions())])


def test_long_histories_equal_the_oracle(engine: Engine) -> None:
    group = FeatureGroup("long", [ask.feature for ask in questions()])
    assert_frame_equal(engine([group], long_log().frame, SCHEMA), expected(), check_exact=True)
