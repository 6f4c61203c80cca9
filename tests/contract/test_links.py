"""What is linked by a shared value, against the oracle, in every engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from random import Random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from contract.engines import ENGINES, Engine, Engines, engine_of
from contract.examples import examples
from contract.link_oracle import LinkQuestion, link_answer, linked
from contract.oracle import Condition, Row
from contract.strategies import CONDITIONS, MINUTE, START, Log, logs, table
from contract.test_label_histories import histories, said_of
from shroff import Entity, FeatureGroup, Schema
from shroff.collect.labels import HISTORY, with_labels
from shroff.features.links import LinkFeature

COLUMNS = ("host", "country", "currency")
FUNCTIONS = [("count", None), ("frauds", None), *(("distinct", column) for column in COLUMNS)]


@pytest.fixture(params=[*ENGINES, "disk"], scope="module")
def engine(request: pytest.FixtureRequest) -> Engine:
    return engine_of(request.param, request)


@dataclass(frozen=True)
class LinkAsk:
    """A feature of what is linked: its definition and the oracle's question for it."""

    feature: LinkFeature
    question: LinkQuestion

    def column(self, log: Log) -> pl.Series:
        answers = [link_answer(self.question, log.rows, row) for row in log.rows]
        return pl.Series(self.feature.name, answers, dtype=pl.Float64)


Case = tuple[Log, list[LinkAsk]]


def ask(
    function: str,
    column: str | None,
    key: str,
    by: str,
    window: str,
    hops: int,
    where: Condition | None = None,
) -> LinkAsk:
    links = Entity(key, key).linked_by(by, window, hops=hops, where=where.sql if where else None)
    (feature,) = getattr(links, function)(*([] if column is None else [column]))
    question = LinkQuestion(
        function=function, key=key, by=by, window=window, hops=hops, column=column, where=where
    )
    return LinkAsk(feature, question)


@st.composite
def asks(draw: st.DrawFn) -> LinkAsk:
    key, by = draw(
        st.sampled_from([("card", "host"), ("card", "host"), ("host", "card"), ("card", "country")])
    )
    function, column = draw(st.sampled_from(FUNCTIONS))
    window, hops = draw(st.sampled_from(["1m", "5m", "1h"])), draw(st.sampled_from([1, 2]))
    unlabelled = [one for one in CONDITIONS if "label" not in one.needs]
    where = draw(st.none() | st.sampled_from(unlabelled))
    return ask(function, column if column != key else "country", key, by, window, hops, where)


def with_keys(log: Log, random: Random, cards: int, hosts: int) -> Log:
    """The same payments, of so many cards and hosts, of which one in ten is missing."""

    def one_of(many: int) -> str | None:
        return None if random.random() < 0.1 else f"k{random.randrange(many)}"

    rows = tuple(
        replace(row, values=row.values | {"card": one_of(cards), "host": one_of(hosts)})
        for row in log.rows
    )
    frame = table(log.schema, list(rows))
    if HISTORY in log.frame.columns:
        frame = with_labels(frame, said_of(replace(log, rows=rows)), log.schema)
    return Log(log.schema, frame, rows)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Few payments of few cards and hosts, so that most are linked."""
    whole = draw(st.sampled_from([logs(max_rows=30, labels_arrive=True), histories()]))
    random = Random(draw(st.integers(0, 2**32)))
    log = with_keys(draw(whole), random, draw(st.integers(2, 6)), draw(st.integers(1, 5)))
    drawn = st.lists(asks(), min_size=1, max_size=4, unique_by=lambda one: one.feature.name)
    return log, draw(drawn)


def crowd(random: Random, rows: int, cards: int, hosts: int) -> Log:
    """Many payments at a few instants, some of them late and labelled later."""
    made = []
    for _ in range(rows):
        time = START + random.randrange(8) * MINUTE
        arrived = time + random.choice([0, 0, 0, 1, 4 * MINUTE])
        host = None if random.random() < 0.05 else f"h{int(hosts * random.random() ** 2)}"
        made.append(
            Row(
                place=0,
                arrived=arrived,
                time=time,
                amount=Fraction(1),
                values={
                    "card": f"c{int(cards * random.random() ** 1.5)}",
                    "host": host,
                    "country": random.choice(["DK", "SE", None]),
                    "currency": "EUR",
                },
                quantity=None,
                result=None,
                result_at=None,
                label=random.random() < 0.3,
                labelled_at=arrived + random.choice([0, MINUTE, 5 * MINUTE]),
            )
        )
    made.sort(key=lambda row: row.arrived)
    ordered = [replace(row, place=place) for place, row in enumerate(made)]
    schema = logs_schema()
    return Log(schema, table(schema, ordered), tuple(ordered))


def logs_schema() -> Schema:
    return Schema(
        id="id",
        time="time",
        amount="amount",
        currency="currency",
        label="label",
        result="result",
        arrived_at="arrived_at",
        result_at="result_at",
        labelled_at="labelled_at",
        numeric=["quantity"],
        nominal=["country"],
        keys=["card", "host"],
    )


CROWDS = ((130, 3), (90, 90), (4, 60))
"""How many cards and hosts: values that are popular, long ways from card to card, cards of more
values than are walked.
"""
BOUNDS = [
    ask(function, column, key, by, window, hops)
    for function, column, key, by, window, hops in (
        ("count", None, "card", "host", "5m", 1),
        ("count", None, "host", "card", "1h", 2),
        ("frauds", None, "card", "host", "2m", 2),
        ("distinct", "country", "card", "host", "1h", 2),
        ("distinct", "card", "host", "country", "1m", 1),
    )
]


@cache
def of_crowd(cards: int, hosts: int) -> tuple[Log, pl.DataFrame]:
    """A crowd, and what the oracle, who takes seconds, answers."""
    log = crowd(Random(cards), 260, cards, hosts)
    return log, pl.DataFrame([log.frame["id"], *(one.column(log) for one in BOUNDS)])


@examples(30)
@given(case=cases())
def test_links_equal_the_oracle(engines: Engines, case: Case) -> None:
    log, asked = case
    group = FeatureGroup("links", [one.feature for one in asked])
    expected = pl.DataFrame([log.frame["id"], *(one.column(log) for one in asked)])
    for engine in engines:
        assert_frame_equal(engine([group], log.frame, log.schema), expected, check_exact=True)


def test_a_column_without_any_value_has_no_different_ones(engine: Engine) -> None:
    rows = [replace(row, values=row.values | {"country": None}) for row in of_crowd(4, 60)[0].rows]
    asked = ask("distinct", "country", "card", "host", "1h", 1)
    found = engine([FeatureGroup("g", [asked.feature])], table(logs_schema(), rows), logs_schema())
    assert found[asked.feature.name].to_list() == [0.0] * len(rows)


@pytest.mark.parametrize(("cards", "hosts"), CROWDS)
def test_bounds_equal_the_oracle(engine: Engine, cards: int, hosts: int) -> None:
    log, expected = of_crowd(cards, hosts)
    group = FeatureGroup("links", [one.feature for one in BOUNDS])
    assert_frame_equal(engine([group], log.frame, log.schema), expected, check_exact=True)


def test_the_crowds_meet_every_bound() -> None:
    """So that the test above tests them."""
    popular, few = of_crowd(130, 3)[0], of_crowd(4, 60)[0]
    one = ask("count", None, "card", "host", "1h", 1).question
    me = popular.rows[-1]
    users = {row.values["card"] for row in popular.rows if row.values["host"] == "h0"}
    assert len(users) > 50
    assert linked(one, popular.rows, replace(me, values=me.values | {"host": "h2"}))
    used = {row.values["host"] for row in few.rows if row.values["card"] == "c0"}
    assert len(used) > 20
