"""Payments that await results and labels, and names that all timelines share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff.collect import Payment
from shroff.features.engines.online import pending
from shroff.features.engines.online.pending import Notice, PendingPayments
from shroff.features.engines.online.pending_block import PendingBlock
from shroff.features.engines.online.shared_names import SharedNames
from shroff.features.window import END_OF_TIME_US

# a block keeps ids of hexadecimal digits, all of one even length, as bytes
IDS = st.one_of(
    st.sampled_from([f"p{number}" for number in range(12)]),
    st.sampled_from([*(f"{number:04x}" for number in range(8)), "00A0", "00 a", "abc", "01234"]),
)


def paid(name: str, time: int) -> Payment:
    host = None if name.endswith("1") else "a host that others have too"
    return Payment(
        name, time, 0, 0, units_of(name), {"card": f"card of {name}", "host": host, "else": 1}
    )


def units_of(name: str) -> int:
    """Some amounts do not fit into 4 bytes."""
    return 10**12 if name.endswith("2") else 7


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "_BLOCK_PAYMENTS", 2)
    monkeypatch.setattr(pending, "_LOOK_PAYMENTS", 1)


@given(
    steps=st.lists(st.tuples(st.sampled_from(["put", "drop", "tell"]), IDS, st.integers(0, 3))),
    kept=st.integers(1, 12),
    asking=st.booleans(),
)
def test_what_is_packed_is_as_if_it_were_not(
    steps: list[tuple[str, str, int]], kept: int, *, asking: bool
) -> None:
    waiting, oracle, now = PendingPayments(["card", "host"]), dict[str, tuple[int, object]](), 1
    for what, name, step in steps:
        now += step
        if what == "put" and name not in oracle:
            waiting.put(paid(name, now), now - kept, now)
            oracle[name] = now, None
            # only a put moves the limit
            for old in [old for old, (time, _) in oracle.items() if time <= now - kept]:
                del oracle[old]
        elif what == "drop":
            waiting.drop(name)
            oracle.pop(name, None)
        elif what == "tell" and name in oracle:
            waiting.tell(name, "label", Notice(now, 0, now))
            oracle[name] = oracle[name][0], now
        if asking:
            assert (name in waiting) == (name in oracle)
    assert len(waiting) == len(oracle)
    found = [
        (one.payment.id, one.payment.time, known and known.value)
        for one in waiting
        for known in [one.known.get("label")]
    ]
    assert found == [(name, *said) for name, said in oracle.items()]
    for one in waiting:
        again = paid(one.payment.id, one.payment.time)
        kept_values = {name: again.values[name] for name in ("card", "host")}
        assert (one.payment.units, one.payment.values) == (again.units, kept_values)
    restored = PendingPayments(["card", "host"])
    for stretch in waiting.pack(3):
        assert len(stretch) <= 3
        restored.unpack(stretch)
    assert [*restored] == [*waiting]


@given(
    ids=st.sampled_from(["0a", "0aA "]).flatmap(
        lambda letters: st.lists(st.text(letters, min_size=1, max_size=6), min_size=1, unique=True)
    )
)
def test_a_block_finds_each_payment_whatever_its_id(ids: list[str]) -> None:
    block = PendingBlock({name: (place, 0) for place, name in enumerate(ids)})
    assert [*block] == [(name, (place, 0)) for place, name in enumerate(ids)]
    assert [block.find(name) for name in ids] == [*range(len(ids))]
    assert block.find("another") is None


def test_payments_from_the_future_block_no_others() -> None:
    waiting = PendingPayments(["card"])
    for number in range(5):
        waiting.put(paid(f"future{number}", 1_000), -1, 10)
    for number in range(20):
        waiting.put(paid(f"p{number}", 10 + number), 10 + number - 4, 10 + number)
    here = {one.payment.id for one in waiting}
    assert here == {f"future{number}" for number in range(5)} | {f"p{at}" for at in range(16, 20)}


def test_a_payment_put_while_others_are_packed_loses_none() -> None:
    waiting = PendingPayments(["card"])
    for number in range(9):
        waiting.put(paid(f"p{number}", number), -1, END_OF_TIME_US)
    packed = waiting.pack(2)
    seen = {name for name, _, _ in next(packed)}
    for number in range(9, 15):
        waiting.put(paid(f"p{number}", number), -1, END_OF_TIME_US)
    seen |= {name for stretch in packed for name, _, _ in stretch}
    assert seen >= {f"p{number}" for number in range(9)}


def test_names_that_nobody_holds_leave_the_table() -> None:
    names = SharedNames(few=8)
    held = [names.once(f"held {number}") for number in range(20)]
    for number in range(1_000):
        names.once(f"passing {number}")
        names.sweep()
    assert len(names) <= 2 * 21
    assert all(names.once("".join(name)) is name for name in held)
    assert names.all([1, None, True, "held 1"]) == [1, None, True, "held 1"]


def test_a_block_begins_with_a_payment_that_is_there() -> None:
    block = PendingBlock({"a": (1, 7), "b": (5, 7), "c": (9, 7), "d": (9, 7)})
    block.drop(1)
    assert block.drop_until(1) == [0]
    assert (block.oldest, block.name(block.first), len(block)) == (9, "c", 2)
    assert block.drop_until(8) == []
    assert (block.drop_until(9), len(block)) == ([2, 3], 0)
