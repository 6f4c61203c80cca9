"""What is known of a payment, against a slow reading of the rules; and whom the lane stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shroff import Schema
from shroff.collect.times import DAY_US
from shroff.ledger import StoredEntry
from shroff.retrain.outcomes import (
    HIDDEN,
    IMMATURE,
    MOST_PER_PAYMENT,
    REPRESENTED,
    outcomes,
    shared_out,
)

SCHEMA = Schema(
    id="id", time="at", amount="amount", label="fraud", label_sources=["analyst", "bank"]
)
PAYMENT = st.tuples(
    st.integers(0, 9),
    st.sampled_from(["approve", "challenge", "review", "decline"]),
    st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from(["analyst", "bank", None]), st.booleans()),
        max_size=3,
    ),
    st.booleans(),
)


def record(action: str, lane: dict[str, Any] | None = None) -> bytes:
    return msgspec.json.encode({"action": action} | ({} if lane is None else {"lane": lane}))


def said(fraud: bool, source: str | None, number: int) -> bytes:
    return msgspec.json.encode({"value": fraud, "source": source, "event": number})


def stored(kind: str, name: str, body: bytes, day: float, *, gone: bool = False) -> StoredEntry:
    at = int(day * DAY_US)
    forgotten = 1 if gone else None
    return StoredEntry(
        kind,  # type: ignore[arg-type]  # kinds of this test
        name,
        at,
        at,
        bytes(32),
        body,
        seq=1,
        chain=bytes(32),
        forgotten=forgotten,
    )


@given(st.lists(PAYMENT, max_size=12), st.integers(0, 9))
def test_outcomes_are_those_of_the_rules(
    payments: list[tuple[int, str, list[tuple[int, str | None, bool]], bool]], mature: int
) -> None:
    entries = list[StoredEntry]()
    expected = list[tuple[str, bool | None, str | None, str | None]]()
    for number, (day, action, labels, gone) in enumerate(payments):
        name = f"p{number}"
        entries.append(stored("payment", name, record(action), day, gone=gone))
        entries += [
            stored("label", name, said(fraud, source, at), day + late, gone=gone)
            for at, (late, source, fraud) in enumerate(labels)
        ]
        if gone:
            continue
        known = sorted(labels, key=lambda one: one[0])
        best = [[one for one in known if one[1] == source] for source in ("analyst", "bank", None)]
        stands = next((each[-1] for each in best if each), None)
        if stands is not None:
            expected.append((name, stands[2], stands[1], None))
        elif action in ("decline", "challenge"):
            expected.append((name, None, None, HIDDEN))
        elif day > mature:
            expected.append((name, None, None, IMMATURE))
        else:
            expected.append((name, False, None, None))
    found = outcomes(entries, SCHEMA, mature=mature * DAY_US)
    assert found.select("id", "fraud", "source", "why").rows() == expected
    assert (found["stands"] == 1).all()


def test_the_control_lane_stands_for_those_that_were_not_let_pass() -> None:
    lane = {"decided": "decline", "action": "approve", "propensity": 0.1}
    entries = [stored("payment", f"d{number}", record("decline", lane), 1) for number in range(38)]
    entries += [
        stored("payment", f"l{number}", record("approve", lane | {"drawn": True}), 1)
        for number in range(2)
    ]
    entries += [
        # no chance, an early one, and one that the lane took though it was to be reviewed only
        stored("payment", "never", record("decline", lane | {"propensity": 0.0}), 1),
        stored("payment", "young", record("approve", lane | {"drawn": True}), 9),
        stored(
            "payment", "seen", record("approve", lane | {"decided": "review", "drawn": True}), 1
        ),
        stored("label", "l0", said(True, "bank", 1), 2),
        stored("label", "d0", said(True, "analyst", 1), 2),
    ]
    found = {row["id"]: row for row in outcomes(entries, SCHEMA, mature=5 * DAY_US).to_dicts()}
    stands = {name: row["stands"] for name, row in found.items() if row["stands"] > 1}
    # 37 have no label, and the one that was labelled stands for itself
    assert set(stands) == {"l0", "l1"}
    assert 38 <= sum(stands.values()) <= 40
    assert (found["l0"]["fraud"], found["l1"]["fraud"], found["d0"]["fraud"]) == (True, False, True)
    assert (found["d1"]["why"], found["never"]["why"]) == (REPRESENTED, HIDDEN)
    assert (found["young"]["why"], found["seen"]["fraud"]) == (IMMATURE, False)


@given(
    st.integers(0, 500),
    st.lists(st.floats(0.02, 0.5), min_size=1, max_size=40),
)
def test_weights_are_in_proportion_and_add_up(others: int, propensity: list[float]) -> None:
    chances = np.array(propensity)
    found = shared_out(others, chances, [f"p{number}" for number in range(len(chances))])
    left = (1 - chances) / chances
    exact = np.minimum(1 + others * left / left.sum(), MOST_PER_PAYMENT)
    assert (np.abs(found - exact) < 1).all()
    assert (found >= 1).all()


def test_weighted_figures_are_those_of_the_truth_on_average() -> None:
    """Of 4,000 that were declined a twentieth is seen: the share of frauds is right on average."""
    random = np.random.default_rng(4)
    truth = random.random(4_000) < 0.6
    chance = np.where(truth, 0.03, 0.1)  # the lane takes fewer of those that look worse
    errors = list[float]()
    for turn in range(60):
        drawn = np.flatnonzero(random.random(truth.size) < chance)
        names = [f"{turn}-{one}" for one in drawn]
        weight = shared_out(truth.size - drawn.size, chance[drawn], names)
        errors.append(float((weight * truth[drawn]).sum() / weight.sum() - truth.mean()))
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(len(errors)) + 0.002
    unweighted = float(np.mean(truth[np.flatnonzero(random.random(truth.size) < chance)]))
    assert unweighted < 0.45


def test_records_are_read_by_what_they_say(entry: Callable[..., StoredEntry]) -> None:
    known = outcomes([entry("payment", "p", record("approve"), 1)], SCHEMA, mature=2 * DAY_US)
    assert known.row(0) == ("p", False, None, None, None, 1)
