from hypothesis import given
from hypothesis import strategies as st

from shroff.telemetry import Histogram


@given(
    values=st.lists(st.integers(-5, 25)),
    bounds=st.lists(st.integers(0, 20), min_size=1, max_size=5, unique=True),
    read=st.integers(0, 10),
)
def test_deferred_values_count_as_added_ones(
    values: list[int], bounds: list[int], read: int
) -> None:
    added, deferred = Histogram(sorted(bounds)), Histogram(sorted(bounds))
    for at, value in enumerate(values):
        added.add(value)
        deferred.defer(value)
        if at == read:
            deferred.settle()
    assert (deferred.cumulative, deferred.total) == (added.cumulative, added.total)
