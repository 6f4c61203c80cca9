"""The memory of a training: refused before it begins, and a large log read in slices."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from program import PAYMENTS, shroff
from shroff import Entity, FeatureGroup, Project, Schema, machine
from shroff.detect import LogisticRegression
from shroff.errors import ConfigurationError
from shroff.machine import available_bytes, most_bytes
from shroff.pipeline import logged_payments, payments
from shroff.pipeline.memory import (
    payment_rows,
    require_memory,
    training_bytes,
)
from shroff.project import load_project
from shroff.settings import Settings

PROJECT = Project(
    schema=Schema(id="id", time="at", amount="eur", label="fraud", nominal=["mcc"]),
    features=[FeatureGroup("velocity", [Entity("card", "card").count(["1h", "1d"])])],
    detectors=[LogisticRegression()],
)
GB = 10**9


def test_what_takes_more_than_there_is_is_refused_with_what_would_fit() -> None:
    rows = 10_000_000
    need = training_bytes(PROJECT, rows)
    require_memory(PROJECT, rows, need)
    with pytest.raises(ConfigurationError, match=r"takes about .* GB of memory, and 1\.0 GB"):
        require_memory(PROJECT, rows, GB)
    with pytest.raises(ConfigurationError) as refused:
        require_memory(PROJECT, rows, 2 * GB)
    fit = int(str(refused.value).split("latest ")[1].split(" payments")[0].replace(",", ""))
    assert 0 < fit < rows
    require_memory(PROJECT, fit, 2 * GB)
    with pytest.raises(ConfigurationError):
        require_memory(PROJECT, fit + 2_000, 2 * GB)
    # where the process alone takes more, no number of payments is advised
    with pytest.raises(ConfigurationError, match=r"0\.6 GB .* 0\.5 GB may be used: free some"):
        require_memory(PROJECT, 6_000, 580_000_000)


def test_without_a_limit_it_is_what_the_machine_has() -> None:
    assert GB // 10 < available_bytes() < 1 << 50
    require_memory(PROJECT, 1)
    with pytest.raises(ConfigurationError, match="may be used"):
        require_memory(PROJECT, 1 << 50)


def test_the_smallest_control_group_around_the_process_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = Path("/proc/self/cgroup").read_text()
    files = machine.limit_files(groups, tmp_path)
    if not files:
        pytest.skip("this machine has no control groups for memory")
    monkeypatch.setattr(machine, "_CONTROL_GROUPS", tmp_path)
    # each limits a little more than the group around it
    for limit, file in zip(range(GB // 100, 0, -1), reversed(files), strict=False):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("max\n")
        assert available_bytes() > limit
        file.write_text(f"{limit}\n")
        assert available_bytes() == most_bytes() == limit
        assert Settings().memory_bytes() == limit // 2


def test_a_parquet_log_is_refused_before_it_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log.parquet"
    # columns that no payment has: reading it would say so
    pl.select(n=pl.repeat(0, 2_000_000)).write_parquet(log)
    assert payment_rows(log) == 2_000_000
    assert payment_rows(tmp_path / "none.parquet") == payment_rows("log.csv") == 0
    done = shroff(tmp_path, "train", PAYMENTS, "--data", log, "--memory", "512MB")
    assert done.returncode == 2
    assert "to train on 2,000,000 payments takes about" in done.stderr
    assert "--memory (SHROFF_MEMORY)" in " ".join(done.stderr.split())


def test_other_logs_are_refused_before_they_are_read(tmp_path: Path) -> None:
    # values that no payment has: reading them would say so
    log, database = tmp_path / "log.csv", tmp_path / "log.db"
    log.write_text("n\n" + "0\n" * 100_000)
    with closing(sqlite3.connect(database)) as connection:
        columns = ", ".join(f'"{name}"' for name in load_project(PAYMENTS).schema.scales)
        connection.execute(f"CREATE TABLE log ({columns})")
        connection.execute("INSERT INTO log DEFAULT VALUES")
        connection.commit()
    for data, rows in ((log, "100,000"), (f"sqlite:///{database}?table=log", "1")):
        done = shroff(tmp_path, "train", PAYMENTS, "--data", data, "--memory", "512MB")
        assert done.returncode == 2
        assert f"to train on {rows} payments takes about" in done.stderr


def test_payments_that_are_read_do_not_count_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log.csv"
    assert shroff(tmp_path, "simulate", log, "--payments", "1000").returncode == 0
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:51]))
    left = iter([1 << 50, 0])
    monkeypatch.setattr(machine, "available_bytes", lambda: next(left))
    done = shroff(tmp_path, "train", PAYMENTS, "--data", log)
    assert done.returncode == 2
    assert "of memory" not in done.stderr, "fifty payments are too few, not too many"
    assert list(left) == [0]


def test_a_large_log_is_read_in_slices_to_the_same_payments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = datetime(2024, 5, 4, tzinfo=UTC)
    log = pl.DataFrame(
        {
            "id": [f"p{at % 95}" for at in range(100)],
            "at": [start + timedelta(minutes=at * 37 % 1_000) for at in range(100)],
            "eur": [None if at == 50 else f"{at}.10" for at in range(100)],
            "mcc": ["5411", None] * 50,
            "card": [f"c{at % 7}" for at in range(100)],
            "fraud": [at % 9 == 0 for at in range(100)],
            "email": [f"{at}@shop.example" for at in range(100)],
        }
    )
    log.write_parquet(tmp_path / "log.parquet")

    def read() -> payments.Payments:
        return logged_payments(PROJECT, tmp_path / "log.parquet", key=b"k" * 32, max_bad=0.2)

    once = read()
    monkeypatch.setattr(payments, "_AT_ONCE", 99)
    monkeypatch.setattr(payments, "_SLICE_ROWS", 16)
    monkeypatch.setattr(payments, "collect_table", lambda *_, **__: pytest.fail("all at once"))
    sliced = read()
    assert len(once.frame) == 94
    assert_frame_equal(sliced.frame, once.frame)
    assert sliced.dropped == once.dropped
    assert sliced.notices == once.notices
