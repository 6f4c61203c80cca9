"""Writing the simulated log: the same bytes each time, whole or not at all."""

from __future__ import annotations

import gzip
import hashlib
import os
import resource
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from shroff.errors import BadFile, ConfigurationError
from shroff.simulate import simulate, write

ENDINGS = (".csv", ".csv.gz", ".parquet")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    tmp_path: Path, ending: str
) -> None:
    paths = [tmp_path / f"{name}{ending}" for name in ("once", "again", "other")]
    for path, seed in zip(paths, (3, 3, 4), strict=True):
        write(simulate(2_000, seed=seed), path)
    assert digest(paths[0]) == digest(paths[1])
    assert digest(paths[0]) != digest(paths[2])


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    program = (
        "import sys; from shroff.simulate import simulate, write; write(simulate(2_000, "
        "seed=3), sys.argv[1])"
    )
    elsewhere = tmp_path / "elsewhere.csv.gz"
    subprocess.run(
        [sys.executable, "-c", program, str(elsewhere)],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
    )
    write(simulate(2_000, seed=3), tmp_path / "here.csv.gz")
    assert digest(elsewhere) == digest(tmp_path / "here.csv.gz")


def test_the_packed_file_holds_the_plain_one_and_no_time(tmp_path: Path) -> None:
    log = simulate(500)
    write(log, tmp_path / "log.csv")
    write(log, tmp_path / "log.csv.gz")
    packed = (tmp_path / "log.csv.gz").read_bytes()
    assert gzip.decompress(packed) == (tmp_path / "log.csv").read_bytes()
    assert packed[4:8] == bytes(4)


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_read_is_what_was_written(tmp_path: Path, ending: str) -> None:
    log = simulate(1_000)
    path = tmp_path / f"new folder/log{ending}"
    write(log, path)
    if ending == ".parquet":
        assert pl.read_parquet(path).equals(log)
        return
    texts = pl.read_csv(path, infer_schema=False)
    assert texts["created_at"].str.contains(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$").all()
    times = pl.col("created_at", "result_at", "labelled_at").str.to_datetime(
        "%Y-%m-%dT%H:%M:%S%.6fZ", time_zone="UTC"
    )
    assert texts.with_columns(
        times, pl.col("amount").cast(float), pl.col("is_fraud").cast(pl.Int8)
    ).equals(log)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_that_finds_no_room_is_told_as_what_it_is(tmp_path: Path, ending: str) -> None:
    log, most = simulate(2_000), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, most[1]))
    try:
        with pytest.raises(BadFile, match=r"cannot be written: File too large\.$"):
            write(log, tmp_path / f"log{ending}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"log{ending}"
    write(simulate(50), path)
    before = digest(path)

    def full(descriptor: int) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadFile, match="cannot be written: no space left"):
        write(simulate(60), path)
    assert digest(path) == before
    assert list(tmp_path.iterdir()) == [path]


def test_another_ending_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\.csv, \.csv\.gz or \.parquet"):
        write(simulate(10), tmp_path / "folder/log.xlsx")
    assert not list(tmp_path.iterdir())
