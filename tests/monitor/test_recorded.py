"""The ledger as a table: equal to a dictionary of rows, however it is sliced."""

from __future__ import annotations

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff import Entity, FeatureGroup, Schema
from shroff.collect.labels import HISTORY
from shroff.ledger import Kind, StoredEntry
from shroff.monitor import recorded
from shroff.monitor.recorded import plan_over_ledger, recorded_payments

SCHEMA = Schema(
    id="id",
    time="at",
    amount="amount",
    keys=["card"],
    result="result",
    label="fraud",
    numeric=["n"],
)
PLAN = plan_over_ledger([FeatureGroup("g", [Entity("card", "card").count("1d")])], SCHEMA)
EVENTS = st.lists(
    st.tuples(st.sampled_from(("payment", "result", "label")), st.integers(0, 5), st.booleans()),
    max_size=20,
)


def entry(seq: int, kind: Kind, payment: int, yes: bool) -> StoredEntry:
    values = {"at": f"2024-01-01T00:00:{seq:02}Z", "card": "c" if yes else None, "n": seq / 2}
    bodies: dict[Kind, dict[str, object]] = {
        "payment": {"payment": {"minor": seq, "values": values | {"at": seq, "amount": seq / 100}}},
        "result": {"value": "failed" if yes else "authorised"},
        "label": {"value": yes},
    }
    body = bodies[kind]
    return StoredEntry(
        kind, f"p{payment}", seq, seq, bytes(32), msgspec.json.encode(body), seq=seq, chain=b""
    )


@pytest.mark.parametrize("rows", [1, 3, 50_000])
@given(events=EVENTS)
def test_the_table_is_that_of_a_dictionary_of_rows(
    rows: int, events: list[tuple[Kind, int, bool]]
) -> None:
    kept, seen = list[StoredEntry](), set[tuple[str, int, bool | None]]()
    for kind, payment, yes in events:
        unique = kind, payment, yes if kind == "label" else None
        if unique not in seen and (kind == "payment" or ("payment", payment, None) in seen):
            seen.add(unique)
            kept.append(entry(len(kept) + 1, kind, payment, yes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorded, "_SLICE_ROWS", rows)
        found = recorded_payments(PLAN, iter(kept))
    payments = [one for one in kept if one.kind == "payment"]
    first = {one.payment_id: one for one in reversed(kept) if one.kind == "result"}
    schema = PLAN.schema
    assert found["id"].to_list() == [one.payment_id for one in payments]
    assert found["amount"].to_list() == [one.seq for one in payments]
    arrived, moment = found[str(schema.arrived_at)], found[str(schema.result_at)]
    assert arrived.dt.epoch("us").to_list() == [one.arrived for one in payments]
    results = [first.get(one.payment_id) for one in payments]
    assert moment.dt.epoch("us").to_list() == [one and one.arrived for one in results]
    assert found["result"].to_list() == [
        one and msgspec.json.decode(one.body)["value"] for one in results
    ]
    assert found.schema["result"] == pl.String
    said = {one.payment_id for one in kept if one.kind == "label"}
    assert HISTORY in found.columns or not said
    assert set(found.filter(pl.col("fraud").is_not_null())["id"]) == said
