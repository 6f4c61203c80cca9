"""A raw file that needs more memory than there may be: the same features, by disk, from the command
line too.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from shroff import pipeline
from shroff.cli import app
from shroff.collect import CleanFiles
from shroff.features.engines.batch import compute_plan
from shroff.project import load_project
from shroff.simulate import simulate

PROJECT = Path(__file__).parents[1] / "examples" / "payments"
KEY = b"k" * 32


def test_features_by_disk_are_those_in_memory(tmp_path: Path) -> None:
    raw = tmp_path / "raw.parquet"
    simulate(5_000, days=20).sample(fraction=1.0, shuffle=True, seed=1).write_parquet(raw)
    project = load_project(PROJECT)
    memory = 8 << 20
    assert pipeline.is_large(project, raw, memory=memory)
    parts = pipeline.features_by_disk(
        project, raw, tmp_path / "features.parquet", key=KEY, memory=memory
    )
    assert parts.payments == 5_000
    expected = compute_plan(project.plan, pipeline.collect_table(project, raw, key=KEY).frame)
    assert_frame_equal(pl.read_parquet(tmp_path / "features.parquet"), expected, check_exact=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["features.parquet", "raw.parquet"]


def test_the_command_goes_by_disk_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    word = (
        pl.when(pl.int_range(pl.len()) % 20 == 0).then(pl.lit("N/A")).otherwise("request_country")
    )
    raw = simulate(2_000, days=20).with_columns(word.alias("request_country"))
    pl.concat([raw, raw[:3]]).write_parquet(tmp_path / "raw.parquet")
    monkeypatch.setenv("SHROFF_HOME", str(tmp_path / "home"))
    went: list[int] = []
    by_disk = pipeline.features_by_disk

    def watched(*args: object, **options: object) -> CleanFiles:
        went.append(1)
        return by_disk(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "features_by_disk", watched)
    written, said = [], []
    for name, large in (("memory", False), ("disk", True)):
        monkeypatch.setattr(pipeline.features, "fits", lambda *_, large=large: not large)
        out = tmp_path / f"{name}.parquet"
        command = [
            "features",
            str(PROJECT),
            "--data",
            str(tmp_path / "raw.parquet"),
            "--out",
            str(out),
        ]
        result = CliRunner().invoke(app, [*command, "--memory", "1GB"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert "of 2,000 payments" in result.output
        said.append(
            [line for line in result.output.splitlines() if line.startswith(("dropped", "notice"))]
        )
        written.append(pl.read_parquet(out))
    assert went == [1]
    assert said[0] == said[1]
    assert [line.split()[0] for line in said[0]] == ["dropped", "notice:"]
    assert "(first in row " in said[0][0]
    assert_frame_equal(*written, check_exact=True)


@pytest.mark.parametrize("size", ["8", "100MB", "8 GB", "-1GB"])
def test_a_size_that_is_none_is_refused(tmp_path: Path, size: str) -> None:
    command = [
        "features",
        str(PROJECT),
        "--data",
        "x.parquet",
        "--out",
        str(tmp_path / "f.parquet"),
        "--memory",
        size,
    ]
    with pytest.raises(ValueError, match="a size from 512MB on, such as `8GB`, got `"):
        CliRunner().invoke(app, command, catch_exceptions=False)
