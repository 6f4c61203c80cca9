"""The spool's files: one a process, bounded, and never half written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shroff.errors import LedgerUnavailable
from shroff.ledger import Entry
from shroff.ledger.database import Head
from shroff.ledger.spool import Spool

MakeEntry = Callable[..., Entry]
HEAD = Head(7, b"chain")


def opened(folder: Path, *, limit: int = 1_000_000) -> Spool:
    spool = Spool(folder, limit=limit)
    spool.open()
    return spool


def left(spool: Spool) -> list[Entry]:
    return [entry for frames in spool.leftovers() for frame in frames for entry in frame.entries]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=False
    )
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_each_process_has_a_file_and_the_next_one_what_is_left(
    tmp_path: Path, entry: MakeEntry
) -> None:
    one, two = opened(tmp_path / "spool"), opened(tmp_path / "spool")
    one.add(HEAD, [entry(1), entry(2)])
    two.add(HEAD, [entry(3)])
    two.add(HEAD, [entry(4)])
    one.close()
    third = opened(tmp_path / "spool")
    assert left(third) == [entry(1), entry(2)]
    two.close()
    third.close()
    fourth = opened(tmp_path / "spool")
    assert left(fourth) == [entry(3), entry(4)]
    assert left(opened(tmp_path / "spool")) == []
    assert fourth.size == 0
    fourth.close()


def test_a_full_spool_refuses_and_keeps_what_it_has(tmp_path: Path, entry: MakeEntry) -> None:
    spool = opened(tmp_path, limit=1_000)
    spool.add(HEAD, [entry(1)])
    size = spool.size
    with pytest.raises(LedgerUnavailable, match="the spool is full"):
        spool.add(HEAD, [entry(number) for number in range(20)])
    spool.add(HEAD, [entry(2)])
    assert spool.size == 2 * size <= 1_000
    spool.close()
    assert left(opened(tmp_path)) == [entry(1), entry(2)]


def test_a_full_disk_refuses_and_keeps_what_it_has(small_disk: Path, entry: MakeEntry) -> None:
    spool = opened(small_disk)
    spool.add(HEAD, [entry(1)])
    with pytest.raises(LedgerUnavailable, match=r"cannot be written \(No space left on device\)"):
        spool.add(HEAD, [entry(number) for number in range(2, 1_000)])
    spool.add(HEAD, [entry(2)])
    spool.close()
    again = opened(small_disk)
    assert left(again) == [entry(1), entry(2)]
    again.close()


def test_a_write_that_a_crash_cut_is_dropped(
    tmp_path: Path, entry: MakeEntry, caplog: pytest.LogCaptureFixture
) -> None:
    spool = opened(tmp_path)
    spool.add(HEAD, [entry(1)])
    whole = spool.size
    spool.add(HEAD, [entry(2), entry(3)])
    spool.close()
    (file,) = tmp_path.iterdir()
    os.truncate(file, whole + 50)
    assert left(opened(tmp_path)) == [entry(1)]
    assert "the last 50 bytes" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_damage_is_kept_for_a_person_and_spares_the_rest(
    tmp_path: Path, entry: MakeEntry, caplog: pytest.LogCaptureFixture
) -> None:
    spool = opened(tmp_path)
    for number in range(3):
        spool.add(HEAD, [entry(number)])
    size = spool.size // 3
    spool.close()
    (file,) = tmp_path.iterdir()
    data = bytearray(file.read_bytes())
    data[size + 30] ^= 1
    file.write_bytes(data)
    assert left(opened(tmp_path)) == [entry(0), entry(2)]
    assert f"{size} bytes of the spool" in caplog.text
    (kept,) = tmp_path.glob("*.damaged")
    assert kept.read_bytes() == data
    assert file.stat().st_size == 0


def test_garbage_is_no_reason_to_stop(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "1.spool").write_bytes(os.urandom(10_000))
    assert left(opened(tmp_path)) == []
    assert "could not be read" in caplog.text
    assert len(list(tmp_path.glob("*.damaged"))) == 1
