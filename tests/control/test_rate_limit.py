"""Token buckets: one process alone, and several that share a limit whatever becomes of each."""

from __future__ import annotations

import errno
import os
import signal
import struct
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patience import until
from shroff.control import rate_limit as module
from shroff.control.rate_limit import Bucket

SECOND = 1_000_000
SPAWN = get_context("spawn")


def taken(folder: Path, tries: int) -> int:
    """How many of so many requests at one moment a process lets in."""
    bucket = Bucket(1_000, 0, folder=folder)
    return sum(bucket.take(0) for _ in range(tries))


def take_for_ever(folder: Path, let_in: Path) -> None:
    """Take at one moment until killed; each request let in is a byte of a file."""
    bucket = Bucket(1_000, 0, folder=folder)
    file = os.open(let_in, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        if bucket.take(0):
            os.write(file, b".")


def test_processes_that_share_a_limit_never_let_more_in(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=SPAWN) as pool:
        counts = list(pool.map(taken, [tmp_path / "bucket"] * 4, [900] * 4))
    assert sum(counts) == 1_000


@contextmanager
def competitor(folder: Path, let_in: Path) -> Iterator[BaseProcess]:
    process = SPAWN.Process(target=take_for_ever, args=(folder, let_in))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize("end", [signal.SIGSTOP, signal.SIGKILL])
def test_a_process_suspended_or_killed_at_any_moment_delays_nobody(
    tmp_path: Path, end: signal.Signals
) -> None:
    folder, let_in = tmp_path / "bucket", tmp_path / "let_in"
    bucket = Bucket(1_000, 0, folder=folder)
    mine = 0
    with competitor(folder, let_in) as process:
        until(lambda: let_in.exists() and let_in.stat().st_size > 0)
        assert process.pid is not None
        for _ in range(50):
            os.kill(process.pid, end)
            mine += sum(bucket.take(0) for _ in range(10))
            if end == signal.SIGSTOP:
                os.kill(process.pid, signal.SIGCONT)
        until(lambda: not bucket.take(0))
    # the request of a process killed between asking and answering is counted, and answered to
    # nobody
    assert mine + let_in.stat().st_size <= 1_000


@settings(max_examples=60)
@given(
    asked=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 400_000), st.integers(1, 4)), max_size=80
    ),
    size=st.integers(1, 9),
    rate=st.sampled_from([0.5, 1.0, 3.0, 10.0]),
)
def test_several_answer_as_one_across_the_turn_of_logs(
    tmp_path_factory: pytest.TempPathFactory,
    asked: list[tuple[int, int, int]],
    size: int,
    rate: float,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            module, "_MAX_LOG_BYTES", module._HEAD_FORMAT.size + size * module._REQUEST_FORMAT.size
        )
        folder = tmp_path_factory.mktemp("shared") / "bucket"
        several = [Bucket(rate, 0, folder=folder) for _ in range(3)]
        alone, now = Bucket(rate, 0), 0
        for who, passed, tokens in asked:
            now += passed
            assert several[who].take(now, tokens) == alone.take(now, tokens)
        assert len(list(folder.iterdir())) == 1, "a full log is removed by who leaves it last"


def test_clocks_read_in_another_order_than_appended_let_no_more_in() -> None:
    bucket = Bucket(10, 0)
    moments = [
        SECOND * turn + shift for turn in range(1, 11) for shift in (900_000, 0, 900_000, 100)
    ]
    assert sum(bucket.take(moment) for moment in moments for _ in range(10)) <= 10 + 10 * 10.9


def test_a_limit_holds_also_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    bucket = Bucket(2, 0, folder=tmp_path / "bucket")
    monkeypatch.setattr(os, "write", full)
    assert [bucket.take(0) for _ in range(3)] == [True, True, False]
    monkeypatch.undo()
    assert bucket.take(SECOND), "and is shared again when there is room"
    (log,) = (tmp_path / "bucket").iterdir()
    assert struct.unpack("<qq", log.read_bytes()[-16:]) == (SECOND, 1)
