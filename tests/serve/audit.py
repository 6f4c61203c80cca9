"""What the ledger says, checked against the batch engine and a fresh decider: the service's claims,
recomputed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import product
from typing import Any

import msgspec
import polars as pl
from polars.testing import assert_frame_equal

from shroff.collect import Payment
from shroff.collect.labels import with_labels
from shroff.collect.payment import Value
from shroff.decide.decider import Decider
from shroff.features.engines.batch import compute
from shroff.features.engines.online import OnlineEngine
from shroff.ledger import Ledger, StoredEntry
from shroff.package import Bundle
from shroff.scoring.scorer import Scorer

UTC = pl.Datetime("us", "UTC")
SOON = time.time_ns() // 1_000 + 60_000_000


def read_ledger(url: str) -> list[StoredEntry]:
    """All records of a ledger but those of starts; its chain holds."""
    ledger = Ledger(url)
    records = list(ledger.entries())
    assert ledger.verify().seq == len(records)
    ledger.close()
    return [record for record in records if record.kind != "start"]


def body(entry: StoredEntry) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(entry.body)
    return decoded


def payments(entries: Iterable[StoredEntry]) -> list[StoredEntry]:
    return [entry for entry in entries if entry.kind == "payment"]


def assert_equal_to_batch(bundle: Bundle, entries: list[StoredEntry], *, since: int = 0) -> None:
    """The features of every decision, from record `since` on, are what the batch engine computes
    over the ledger.
    """
    frame = _frame(bundle, entries)
    schema = msgspec.structs.replace(bundle.schema, arrived_at="arrived_at")
    judged = [entry for entry in payments(entries) if entry.seq >= since]
    expected = compute(bundle.groups, frame, schema)[-len(judged) :]
    rows = [{bundle.schema.id: entry.payment_id, **body(entry)["features"]} for entry in judged]
    assert_frame_equal(pl.DataFrame(rows, schema=expected.schema), expected, check_exact=True)


def assert_replays(bundle: Bundle, entries: list[StoredEntry]) -> None:
    """Each decision alone, made again from what the ledger kept, has the same bits."""
    decider = Decider(bundle)
    for entry in payments(entries):
        record = body(entry)
        (again,) = decider.assess([record["payment"]["values"] | record["features"]])
        assert (again.probability, again.verdict.action) == (
            record["probability"],
            record["action"],
        )


def _frame(bundle: Bundle, entries: list[StoredEntry]) -> pl.DataFrame:
    """The ledger's payments as a clean table with their arrivals, results and labels."""
    schema = bundle.schema
    later = {entry.payment_id: entry for entry in entries if entry.kind == "result"}
    rows = []
    for entry in payments(entries):
        payment = body(entry)["payment"]
        row = {**payment["values"], schema.id: entry.payment_id, schema.amount: payment["minor"]}
        row["arrived_at"] = entry.arrived
        known = later.get(entry.payment_id)
        row["result"] = None if known is None else body(known)["value"]
        row["result_at"] = None if known is None else known.arrived
        rows.append(row)
    types = {
        "amount": pl.Int64,
        "items": pl.Float64,
        "is_fraud": pl.Boolean,
        **dict.fromkeys(("created_at", "arrived_at", "result_at", "labelled_at"), pl.Int64),
    }
    names = [*schema.scales, "arrived_at"]
    frame = pl.DataFrame(rows, schema={name: types.get(name, pl.String) for name in names})
    frame = frame.with_columns(
        pl.col("created_at", "arrived_at", "result_at", "labelled_at").cast(UTC)
    )
    said = [
        (e.payment_id, body(e)["value"], e.arrived, body(e)["source"])
        for e in entries
        if e.kind == "label"
    ]
    columns: dict[str, Any] = {
        schema.id: pl.String,
        "is_fraud": pl.Boolean,
        "labelled_at": UTC,
        "source": pl.String,
    }
    return with_labels(frame, pl.DataFrame(said, schema=columns, orient="row"), schema)


def state(scorer: Scorer) -> tuple[object, ...]:
    """What a scorer's engine remembers: how much, and what payments of many keys would see now and
    an hour ago.
    """
    engine = scorer.state.engine
    assert isinstance(engine, OnlineEngine)
    seen = []
    for card, host, merchant in product(range(6), range(3), range(2)):
        for age in (0, 3_600_000_000):
            moment = SOON - age
            values: dict[str, Value] = {
                "created_at": moment,
                "amount": 1.0,
                "card_id": f"c{card}",
                "host_id": f"h{host}",
                "merchant_id": f"m{merchant}",
            }
            probe = Payment(
                id="probe", time=moment, arrived=0, minor=100, units=10_000, values=values
            )
            seen.append(engine.observe(probe))
            engine.forget(probe)
    return engine.keys, engine.events, engine.pending, seen
