"""Frames of the spool: whatever happens to the file, what is whole is read and nothing else is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shroff.ledger import Entry
from shroff.ledger.frames import Frame, frame, read

ENTRIES = st.lists(
    st.builds(
        Entry,
        st.sampled_from(["payment", "result", "label"]),
        st.text(max_size=4),
        st.integers(-(2**63), 2**63 - 1),
        st.integers(0, 9),
        st.binary(max_size=4),
        st.binary(max_size=9) | st.just(b"shr\x01" * 3),
    ),
    max_size=3,
)
FRAMES = st.lists(
    st.builds(Frame, st.integers(0, 2**62), st.binary(max_size=3), ENTRIES), max_size=4
)


def written(frames: list[Frame]) -> list[bytes]:
    return [frame(one.seq, one.chain, one.entries) for one in frames]


@given(FRAMES)
def test_what_was_written_is_read(frames: list[Frame]) -> None:
    assert read(b"".join(written(frames))) == (frames, 0, 0)


@given(FRAMES.filter(bool), st.data())
def test_of_a_write_that_a_crash_cut_nothing_is_read(
    frames: list[Frame], data: st.DataObject
) -> None:
    *whole, last = written(frames)
    cut = data.draw(st.integers(0, len(last) - 1))
    found = read(b"".join([*whole, last[:cut]]))
    assert found == (frames[:-1], cut, 0)


@given(FRAMES, FRAMES.filter(bool), st.data())
def test_damage_is_told_and_spares_what_is_behind_it(
    before: list[Frame], behind: list[Frame], data: st.DataObject
) -> None:
    damaged = bytearray(frame(1, b"x", []))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 0xFF
    found = read(b"".join([*written(before), bytes(damaged), *written(behind)]))
    assert found == (before + behind, 0, len(damaged))


@given(st.binary(min_size=1).filter(lambda data: b"s" not in data))
def test_what_never_was_a_frame_is_damage(data: bytes) -> None:
    assert read(data) == ([], 0, len(data))
