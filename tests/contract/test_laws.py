"""Metamorphic laws: what arrives later changes nothing that was answered before, in any engine.

What was answered before is asked of one engine: that all give the same, `test_engines` proves.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from contract.engines import Engines
from contract.examples import examples
from contract.oracle import Row
from contract.strategies import INSTANTS, Ask, Log, cases, table
from shroff import FeatureGroup

Case = tuple[Log, FeatureGroup, list[Ask]]


def assert_same_past(engines: Engines, case: Case, rows: list[Row], kept: int) -> None:
    """The first `kept` payments have the values they had, whatever the rest of the table says
    now.
    """
    log, group, _ = case
    before = engines.first([group], log.frame, log.schema).head(kept)
    for engine in engines:
        after = engine([group], table(log.schema, rows), log.schema).head(kept)
        assert_frame_equal(after, before, check_exact=True)


@examples(20)
@given(case=cases(), time=INSTANTS, data=st.data())
def test_a_payment_that_arrives_later_changes_nothing(
    engines: Engines, case: Case, time: int, data: st.DataObject
) -> None:
    log = case[0]
    rows = list(log.rows)
    twin = data.draw(st.sampled_from(rows))
    last = rows[-1].arrived
    # without arrivals of their own, payments arrive when they happen
    moved = time if log.schema.arrived_at else last
    late = replace(twin, place=len(rows), arrived=last, time=moved, amount=twin.amount + 1)
    assert_same_past(engines, case, [*rows, late], len(rows))


@examples(20)
@given(case=cases(), data=st.data())
def test_later_labels_and_results_change_nothing(
    engines: Engines, case: Case, data: st.DataObject
) -> None:
    log = case[0]
    at = data.draw(st.integers(0, len(log.rows) - 1))
    now = log.rows[at].arrived
    rows = [
        replace(
            row,
            label=not row.label
            if row.labelled_at is not None and row.labelled_at >= now
            else row.label,
            result="reversed" if row.result_at is not None and row.result_at >= now else row.result,
        )
        for row in log.rows
    ]
    assert_same_past(engines, case, rows, at + 1)


@examples(20)
@given(case=cases(), data=st.data())
def test_the_order_of_the_rows_of_a_table_does_not_matter(
    engines: Engines, case: Case, data: st.DataObject
) -> None:
    log, group, _ = case
    ties = len({row.arrived for row in log.rows}) < len(log.rows)
    if ties:
        return
    order = data.draw(st.permutations(range(len(log.rows))))
    kept = engines.first([group], log.frame, log.schema)[order]
    for engine in engines:
        shuffled = engine([group], log.frame[order], log.schema)
        assert_frame_equal(shuffled, kept, check_exact=True)
