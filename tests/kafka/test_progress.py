"""Offsets in order, whatever order things are done in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shroff.kafka.progress import Progress


@given(st.data())
def test_nothing_undone_is_below_the_position_and_nothing_done_is_left_above(
    data: st.DataObject,
) -> None:
    offsets = data.draw(st.lists(st.integers(0, 60), unique=True, min_size=1).map(sorted))
    progress, begun, done = Progress(), list[int](), set[int]()
    while len(done) < len(offsets):
        waiting = [offset for offset in begun if offset not in done]
        if len(begun) < len(offsets) and (not waiting or data.draw(st.booleans())):
            begun.append(offsets[len(begun)])
            progress.begin(begun[-1])
        else:
            offset = data.draw(st.sampled_from(waiting))
            done.add(offset)
            progress.done(offset)
        left = [offset for offset in begun if offset not in done]
        finished = [offset for offset in begun if not left or offset < left[0]]
        assert progress.position == (finished[-1] + 1 if finished else None)
        assert progress.idle == (not left)


def test_what_did_not_begin_here_is_ignored() -> None:
    progress = Progress()
    progress.begin(7)
    progress.done(3)
    assert not progress.idle
    for _ in range(2):
        progress.done(7)
    assert (progress.position, progress.idle) == (8, True)
