"""Files of tables by somebody who wants to harm the machine: refused in one sentence, before they
are read.
"""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import tracemalloc
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest

from shroff import ReferenceTable
from shroff.collect import sources
from shroff.collect.parquet_footer import ParquetExtent, parquet_extent
from shroff.collect.rates import Rates
from shroff.errors import BadFile, ConfigurationError


def read(path: Path) -> ReferenceTable:
    return ReferenceTable.read(path, key="mcc", name="mcc")


def parquet(folder: Path, frame: pl.DataFrame) -> Path:
    frame.write_parquet(folder / "mcc.parquet")
    return folder / "mcc.parquet"


def csv(folder: Path, text: str) -> Path:
    (folder / "mcc.csv").write_text(text)
    return folder / "mcc.csv"


def repeated(rows: int) -> pl.DataFrame:
    return pl.select(pl.repeat("5411", rows).alias("mcc"), pl.repeat(1, rows).alias("risk"))


@pytest.mark.parametrize("kind", [".csv", ".parquet"])
def test_only_a_regular_file_is_read(tmp_path: Path, kind: str) -> None:
    pipe, device, loop = (tmp_path / f"{name}{kind}" for name in ("pipe", "device", "loop"))
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    loop.symlink_to(loop)
    with pytest.raises(BadFile, match="expected a regular file, got a named pipe"):
        read(pipe)
    with pytest.raises(BadFile, match="expected a regular file, got a device"):
        Rates.read(device)
    with pytest.raises(BadFile, match="symbolic link"):
        read(loop)
    table = csv(tmp_path, "mcc,risk\n5411,low\n")
    (tmp_path / "link.csv").symlink_to(table)
    assert read(tmp_path / "link.csv") == read(table)


def test_a_file_of_more_bytes_is_refused(tmp_path: Path) -> None:
    path = csv(tmp_path, "mcc,risk\n")
    os.truncate(path, (64 << 20) + 1)
    with pytest.raises(BadFile, match="expected at most 67,108,864 bytes"):
        read(path)


def test_the_extent_of_parquet_is_known_before_it_is_decoded() -> None:
    file = io.BytesIO()
    repeated(7).write_parquet(file, row_group_size=2, compression="snappy")
    assert parquet_extent(file.getvalue())[:2] == (7, 2)
    file = io.BytesIO()
    pl.DataFrame({"text": ["x" * 1_000_000]}).write_parquet(file)
    assert len(file.getvalue()) < 10_000
    assert parquet_extent(file.getvalue()) == ParquetExtent(1, 1, 1_000_012)


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (repeated(3_000_000), "at most 500,000 rows, 100 columns and 5,000,000 cells, got more"),
        (pl.DataFrame({f"c{at}": ["x"] for at in range(101)}), "100 columns"),
        (
            pl.select(pl.repeat("x", 60_000).alias(f"c{at}") for at in range(90)),
            "5,000,000 cells",
        ),
        (pl.DataFrame({"mcc": ["x" * 100_000_000]}), "67,108,864 bytes without compression"),
        (pl.DataFrame({"mcc": ["x" * 10_000], "risk": [1]}), "`mcc`: .* 1,000 characters"),
        (pl.DataFrame({"mcc": ["1"], "risk": [b"x" * 10_000]}), "`risk`: .* got type Binary"),
        (
            pl.select(pl.repeat("x" * 900, 100_000).alias("mcc")),
            "67,108,864 bytes without compression, got 90,000,000",
        ),
        (pl.DataFrame({"mcc": ["1"], "risk": [[1, 2]]}), "its columns are nested"),
    ],
)
def test_parquet_that_takes_more_than_it_is_worth_is_refused(
    frame: pl.DataFrame, sentence: str, tmp_path: Path
) -> None:
    path = parquet(tmp_path, frame)
    assert path.stat().st_size < 1_000_000
    tracemalloc.start()
    with pytest.raises(BadFile, match=sentence):
        read(path)
    assert tracemalloc.get_traced_memory()[1] < 16_000_000
    tracemalloc.stop()


def test_rows_hold_no_more_than_a_file() -> None:
    """As those of a bundle, which come from no file."""
    wide = {f"c{at}": "1" for at in range(101)}
    with pytest.raises(ConfigurationError, match="at most 100 columns and 5,000,000 cells"):
        ReferenceTable.of("wide", [wide], key="c0")
    long = [{f"c{at}": str(row) for at in range(60)} for row in range(90_000)]
    with pytest.raises(ConfigurationError, match="at most 100 columns and 5,000,000 cells"):
        ReferenceTable.of("long", long, key="c0")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("mcc,risk\n" + "1,2\n" * 500_001, "at most 500,000 rows"),
        (",".join(f"c{at}" for at in range(101)) + "\n", "100 columns"),
        ("a," * 1_000_000, "rows of at most 262,144 characters"),
        ("mcc,risk\n1," + '"x\n",' * 1_000_000, "a quote may be open"),
        (f"mcc,risk\n1,{'x' * 1_001}\n", "line 2: expected cells of at most 1,000 characters"),
    ],
)
def test_csv_that_takes_more_than_it_is_worth_is_refused(
    text: str, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(BadFile, match=sentence):
        read(csv(tmp_path, text))


def with_page_of(values: int) -> bytes:
    """A Parquet file whose only page says that it has so many values."""
    file = io.BytesIO()
    pl.DataFrame({"mcc": ["5411"]}).write_parquet(file, compression="uncompressed")
    sound = file.getvalue()
    # behind the mark of the file and the page's kind and lengths: `values` is the first field of
    # its struct, a number whose sign is in its last bit, and here one byte
    at = sound.index(b"\x2c\x15\x02") + 2
    return sound[:at] + bytes([2 * values if values >= 0 else -2 * values - 1]) + sound[at + 1 :]


READ_POLARS = """
import sys, polars
polars.read_parquet(sys.argv[1], glob=False)
"""


def test_a_page_of_fewer_than_no_values_is_refused_wherever_parquet_is_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "mcc.parquet"
    path.write_bytes(with_page_of(1))
    assert sources.read(path)["mcc"].to_list() == ["5411"]
    path.write_bytes(with_page_of(-1))
    # the reason for all this; once it does not hold any more, Polars may judge alone
    command = [sys.executable, "-c", READ_POLARS, str(path)]
    polars = subprocess.run(command, capture_output=True, check=False)
    assert polars.returncode == -signal.SIGABRT
    for read_file in (sources.read, sources.scan, sources.parquet_rows, read, Rates.read):
        with pytest.raises(BadFile, match="expected a Parquet file"):
            read_file(path)


def test_no_byte_of_a_footer_ends_in_anything_but_an_extent_or_a_reason() -> None:
    file, drawn = io.BytesIO(), random.Random(12)
    repeated(5).write_parquet(file)
    sound = file.getvalue()
    for _ in range(20_000):
        changed = bytearray(sound)
        for _ in range(drawn.choice([1, 1, 4])):
            changed[drawn.randrange(len(sound))] = drawn.choice([0, 1, 127, 128, 255])
        with suppress(ValueError):
            assert parquet_extent(bytes(changed[: drawn.choice([len(sound), 90])])).rows >= 0
