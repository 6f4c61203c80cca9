"""The window law's bounds: what they mean, event by event."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shroff.features.window import after, micros, upto

TIMES = st.integers(-(10**6), 10**6)
SPANS = st.integers(1, 10**4)
GRAINS = st.integers(1, 10**3)


@given(event=TIMES, time=TIMES, window=SPANS, delay=st.integers(0, 10**4), grain=GRAINS)
def test_a_resolution_floors_both_sides(
    event: int, time: int, window: int, delay: int, grain: int
) -> None:
    assert (event > after(time, window, delay, grain)) == (
        event // grain > (time - delay - window) // grain
    )
    assert (event <= upto(time, delay, grain)) == (event // grain <= (time - delay) // grain)


@given(event=TIMES, time=TIMES, window=SPANS, delay=st.integers(0, 10**4))
def test_the_finest_resolution_is_none(event: int, time: int, window: int, delay: int) -> None:
    assert after(time, window, delay, 1) == after(time, window, delay, 0) == time - delay - window
    assert upto(time, delay, 1) == upto(time, delay, 0) == time - delay


def test_durations_are_exact_microseconds() -> None:
    assert [micros(text) for text in ("1s", "1m", "1h", "1d", "30d")] == [
        10**6,
        60 * 10**6,
        3_600 * 10**6,
        86_400 * 10**6,
        30 * 86_400 * 10**6,
    ]
