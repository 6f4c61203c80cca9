"""Decision ids and arrivals."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from shroff.ledger.decision_ids import decision_id
from shroff.state.arrivals import Arrivals

MOMENTS = st.integers(0, 4_000_000_000_000_000)


@given(MOMENTS)
def test_an_id_is_a_uuid_of_version_7_with_its_time(micros: int) -> None:
    made = UUID(decision_id(micros))
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == micros // 1_000


@given(MOMENTS, MOMENTS)
def test_ids_sort_as_their_times(first: int, second: int) -> None:
    if first != second:
        assert (decision_id(first) < decision_id(second)) == (first < second)


def test_ids_of_one_moment_differ() -> None:
    assert len({decision_id(1_700_000_000_000_000) for _ in range(1_000)}) == 1_000


@given(st.lists(st.integers(0, 100), min_size=2))
def test_arrivals_grow_whatever_the_clock_does(readings: list[int]) -> None:
    clock = iter(readings)
    arrivals = Arrivals(lambda: next(clock))
    made = [arrivals.next() for _ in readings]
    assert made == sorted(set(made))
    assert all(arrival >= reading for arrival, reading in zip(made, readings, strict=True))
