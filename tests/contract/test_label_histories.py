"""Labels that change: a payment sees of others what stood when it arrived, in every engine."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as with_changes
from polars.testing import assert_frame_equal

from contract.engines import Engines
from contract.examples import examples
from contract.oracle import Row, Said
from contract.strategies import MINUTE, SPENDING, UTC, Ask, Log, asks, logs, table
from shroff import FeatureGroup
from shroff.collect.labels import HISTORY, with_labels
from shroff.features.aggregates import RECIPES, Function

SOURCES = ("chargeback", "analyst", "rule")
Case = tuple[Log, FeatureGroup, list[Ask]]


def said_of(log: Log) -> pl.DataFrame:
    """All that was said of the payments of a log, as a table of labels."""
    every = [(f"p{row.place}", said) for row in log.rows for said in row.said or ()]
    return pl.DataFrame(
        {
            "id": pl.Series([name for name, _ in every], dtype=pl.String),
            "label": pl.Series([said.fraud for _, said in every], dtype=pl.Boolean),
            "labelled_at": pl.Series([said.at for _, said in every], dtype=pl.Int64).cast(UTC),
            "source": pl.Series([said.source for _, said in every], dtype=pl.String),
        }
    )


@st.composite
def histories(draw: st.DrawFn) -> Log:
    """A log with up to five labels of each payment, by sources that are ranked or not."""
    log = draw(logs(labels_arrive=True))
    ranked = draw(st.sampled_from([(), SOURCES, SOURCES[:1]]))
    delays = st.sampled_from([-1, 0, 1, MINUTE, 3 * MINUTE, 10 * MINUTE])
    rows = []
    for row in log.rows:
        drawn = draw(
            st.lists(st.tuples(delays, st.booleans(), st.sampled_from(SOURCES)), max_size=5)
        )
        said = [
            Said(
                row.arrived + delay,
                fraud,
                source,
                ranked.index(source) if source in ranked else len(ranked),
            )
            for delay, fraud, source in drawn
        ]
        rows.append(replace(row, label=None, labelled_at=None, said=tuple(said)))
    schema = with_changes(log.schema, label_sources=ranked)
    log = Log(schema, table(schema, rows), tuple(rows))
    return replace(log, frame=with_labels(log.frame, said_of(log), schema))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    log = draw(histories())
    groups: list[tuple[Function, ...]] = [
        tuple(RECIPES),
        ("frauds", "risk", "share"),
        ("last", "first"),
    ]
    functions = draw(st.sampled_from(groups))
    about_labels = asks(log.schema, functions, labels=True)
    drawn = draw(
        st.lists(about_labels, min_size=1, max_size=4, unique_by=lambda ask: ask.feature.name)
    )
    return log, FeatureGroup("random", [ask.feature for ask in drawn], vectors=[SPENDING]), drawn


def expected(log: Log, drawn: list[Ask]) -> pl.DataFrame:
    return pl.DataFrame([log.frame["id"], *(ask.column(log) for ask in drawn)])


@examples(40)
@given(case=cases())
def test_engines_equal_the_oracle(engines: Engines, case: Case) -> None:
    log, group, drawn = case
    right = expected(log, drawn)
    for engine in engines:
        assert_frame_equal(engine([group], log.frame, log.schema), right, check_exact=True)


@examples(15)
@given(case=cases(), data=st.data())
def test_what_is_said_later_changes_nothing(
    engines: Engines, case: Case, data: st.DataObject
) -> None:
    log, group, _ = case
    at = data.draw(st.integers(0, len(log.rows) - 1))
    now = log.rows[at].arrived
    known = with_labels(
        log.frame.drop(HISTORY)
        .with_columns(label=None, labelled_at=None)
        .cast({"label": pl.Boolean, "labelled_at": UTC}),
        said_of(log).filter(pl.col("labelled_at").dt.epoch("us") < now),
        log.schema,
    )
    before = engines.first([group], known, log.schema).head(at + 1)
    for engine in engines:
        after = engine([group], log.frame, log.schema).head(at + 1)
        assert_frame_equal(after, before, check_exact=True)


def test_the_oracle_lets_ranks_stand() -> None:
    """The judge itself, on the smallest histories: in every order of two sources the ranked one
    stands.
    """
    first, second = Said(10, True, "chargeback", 0), Said(20, False, "analyst", 1)
    for one, other in combinations([first, second, replace(first, at=30)], 2):
        row = Row(0, 0, 0, 0, {}, None, None, None, None, None, said=(one, other))  # type: ignore[arg-type]
        assert row.known(40).label is True
    assert replace(row, said=(replace(second, rank=0), first)).known(40).label is False
