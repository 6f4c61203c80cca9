"""Writers that are killed, that write at once, whose answer is lost: nothing is in twice, nothing
is in half.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from patience import until
from shroff.errors import BatchConflict, StoreUnavailable
from shroff.store import FeatureStore, GroupTable
from shroff.store.delta import Place
from store.world import LIMITS, limits
from store.writer import batch

TESTS = Path(__file__).parents[1]


def started(root: Path, name: str, first: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "store.writer", str(root), name, str(first)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
    )


def killed(process: subprocess.Popen[str], after: float) -> list[str]:
    """The batches that a writer said were in before it was killed, so long after the first."""
    with process:
        assert process.stdout is not None
        first = process.stdout.readline().strip()
        with suppress(subprocess.TimeoutExpired):
            process.wait(after)
        process.kill()
        return [first, *process.stdout.read().split()]


@pytest.mark.parametrize("seed", range(3))
def test_a_writer_killed_at_any_moment_leaves_whole_batches(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    table = FeatureStore(tmp_path).group(LIMITS)
    first = 0
    for _ in range(3):
        said = killed(started(tmp_path, "w", first), chance.uniform(0, 0.15))
        there = [one.batch for one in table.versions()]
        assert set(said) <= set(there)
        assert len(set(there)) == len(there)
        assert len(table.read([])) == 20_000 * len(there)
        # whoever does not know writes the same again
        first = int(said[-1].split("-")[1])
        for number in (first, first + 1):
            name, rows = batch("w", number)
            table.write(limits(rows), batch=name)
        first += 2
    names = [one.batch for one in table.versions()]
    assert sorted(names, key=lambda name: int(name.split("-")[1])) == [
        f"w-{n}" for n in range(len(names))
    ]
    assert len(table.read([])) == 20_000 * len(names)


def test_of_several_writers_at_once_none_is_lost(tmp_path: Path) -> None:
    """Two processes and two threads, on one table; and the same batches from both threads."""
    table = FeatureStore(tmp_path).group(LIMITS)
    writers = [started(tmp_path, name, 0) for name in "ab"]

    def write(number: int) -> int:
        name, rows = batch("t", number, rows=10)
        return FeatureStore(tmp_path).table("limits").write(limits(rows), batch=name).number

    with ThreadPoolExecutor(2) as pool:
        numbers = list(pool.map(write, [0, 0, 1, 1, 2, 2]))
    until(
        lambda: {"a-1", "b-1"} <= {one.batch for one in table.versions()},
        said=lambda: "no two batches of each",
    )
    said = [name for one in writers for name in killed(one, 0)]
    there = [one.batch for one in table.versions()]

    assert numbers[0::2] == numbers[1::2]
    assert len(set(there)) == len(there)
    assert {*said, "t-0", "t-1", "t-2"} <= set(there)
    assert len(table.read([])) == sum(one.rows for one in table.versions())


def test_a_lost_answer_is_no_second_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = FeatureStore(tmp_path).group(LIMITS)
    _, rows = batch("w", 0, rows=10)
    append = Place.append

    def lost(*words: object, **more: object) -> int:
        append(*words, **more)  # type: ignore[arg-type]  # as it was called
        raise StoreUnavailable("the connection broke while the answer was on its way")

    monkeypatch.setattr(Place, "append", lost)
    with pytest.raises(StoreUnavailable):
        table.write(limits(rows), batch="one")
    monkeypatch.undo()
    assert table.write(limits(rows), batch="one").number == table.versions()[0].number
    assert (len(table.versions()), len(table.read())) == (1, 10)


def test_a_batch_that_two_write_with_other_rows_is_of_the_first(tmp_path: Path) -> None:
    root = FeatureStore(tmp_path)
    root.group(LIMITS)

    def write(number: int) -> str:
        table: GroupTable = root.table("limits")
        try:
            table.write(limits([("c", number, number, 1.0)]), batch="one")
        except BatchConflict:
            return "refused"
        return "in"

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(write, range(4))) == ["in", "refused", "refused", "refused"]
    assert len(root.table("limits").read()) == 1


def test_a_group_that_several_make_at_once_is_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        tables = list(pool.map(lambda _: FeatureStore(tmp_path).group(LIMITS), range(4)))
    assert len({one.place.uri for one in tables}) == 1
    assert len(FeatureStore(tmp_path).groups()) == 1
    tables[3].write(limits([("c", 0, 0, 1.0)]), batch="one")
    assert tables[0].read()["limit"].to_list() == [1.0]
