"""`shroff init`: a project for a log of one's own, which reads that log and computes features."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commands import answer, run
from shroff.errors import BadFile, ConfigurationError, DataError, ShroffError
from shroff.pipeline.starter import start_project
from shroff.project import load_project
from shroff.simulate import simulate, write

KEY = b"k" * 32


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("log") / "my payments.csv"
    write(simulate(2_000, days=20, seed=2), file)
    return file


def test_from_a_log_to_features(csv: Path, tmp_path: Path) -> None:
    project = tmp_path / "mine" / "project.py"
    found = answer("init", "--data", csv, "--out", project, home=tmp_path)
    assert (found["rows"], found["kept"], found["dropped"]) == (2_000, 2_000, {})
    assert {"column": "card_id", "role": "keys"}.items() <= found["columns"][4].items()
    features = tmp_path / "features.parquet"
    run("features", project, "--data", csv, "--out", features, home=tmp_path)
    table = pl.read_parquet(features)
    assert table.filter(pl.col("card_count_7d") > 1).height > 100
    assert table.filter(pl.col("card_distinct_account_1d") > 0).height > 100
    assert "card_mean_30d" not in table.columns, "amounts are in several currencies"


def test_the_text_is_python_within_100_columns_that_says_every_guess(
    csv: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project.py"
    told = run("init", "--data", csv, "--out", project, "--currency", "DKK", home=tmp_path)
    text = project.read_text()
    assert max(map(len, text.splitlines())) <= 100
    assert 'id="transaction_id",  # a different value in each row' in text
    assert "train . --data LOG" in text, "a name with a blank is no argument"
    assert "2,000 rows 2,000 can be used" in told
    assert load_project(project).schema.label == "is_fraud"


NAMES = [
    "select",
    "case",
    "true",
    "and",
    "a\\",
    'a"b',
    "a\nb",
    "a\U000e0041b",
    "count",
    "rows",
    "🂡 card",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("column", ["amount", "card_id"])
def test_a_column_may_have_any_name(tmp_path: Path, column: str, name: str) -> None:
    """A word of SQL, one that no payment can have a field of, one of our own tables."""
    log, project = tmp_path / "log.parquet", tmp_path / "project.py"
    rows = range(60)
    table = pl.DataFrame(
        {
            "id": [f"p{row}" for row in rows],
            "at": [f"2024-05-04T10:00:{row:02}Z" for row in rows],
            "amount": [1.5 + row for row in rows],
            "price": [2.5 + row for row in rows],
            "card_id": [f"c{row % 7}" for row in rows],
            "list": [[row] for row in rows],
            "bytes": [b"\xff" for _ in rows],
        }
    )
    table.rename({column: name}).write_parquet(log)
    answer("init", "--data", log, "--out", project, home=tmp_path)
    features = tmp_path / "features.parquet"
    run("features", project, "--data", log, "--out", features, home=tmp_path)
    assert len(pl.read_parquet(features)) == 60


def test_a_project_that_cannot_be_read_is_not_left(tmp_path: Path) -> None:
    log, project = tmp_path / "log.csv", tmp_path / "project.py"
    log.write_text("id,at,amount\np1,2024-05-04T10:00:00Z,1\np2,2024-05-04T10:00:00Z,2\n")
    with pytest.raises(ConfigurationError, match="no ISO 4217 code"):
        run("init", "--data", log, "--out", project, "--currency", 'EU"R', home=tmp_path)
    assert not project.exists()


def test_what_is_there_is_not_overwritten(csv: Path, tmp_path: Path) -> None:
    project = tmp_path / "project.py"
    project.write_text("mine = 1\n")
    with pytest.raises(ConfigurationError, match="expected a file that is not there yet"):
        run("init", "--data", csv, "--out", project, home=tmp_path)
    assert project.read_text() == "mine = 1\n"


def test_a_log_without_labels_or_a_zone_says_what_is_to_do(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = "".join(
        f"{number},2024-01-01 10:{number:02}:00,9.5{number % 7}\n" for number in range(50)
    )
    log.write_text(f"id,at,amount\n{rows}")
    project = tmp_path / "project.py"
    told = run("init", "--data", log, "--out", project, home=tmp_path)
    assert "needs one (--label)" in told
    assert project.read_text().count("TODO") == 4


def test_a_log_that_cannot_be_read_leaves_no_project(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="found no such file"):
        run("init", "--data", tmp_path / "no.csv", "--out", tmp_path / "p.py", home=tmp_path)
    (tmp_path / "words.csv").write_text("a,b\nx,y\n")
    with pytest.raises(DataError, match="expected a column of times"):
        run("init", "--data", tmp_path / "words.csv", "--out", tmp_path / "p.py", home=tmp_path)
    assert not (tmp_path / "p.py").exists()


def test_no_entity_takes_a_name_that_the_project_uses(tmp_path: Path) -> None:
    rows = range(60)
    table = pl.DataFrame(
        {
            "payment": [f"p{number}" for number in rows],
            "when": [f"2024-01-01T10:{number:02}:00Z" for number in rows],
            "amount": [1.5 + number % 9 for number in rows],
            **{f"{name}_id": [f"c{number % 7}" for number in rows] for name in ("calendar", "sql")},
        }
    )
    log, project = tmp_path / "log.parquet", tmp_path / "project.py"
    table.write_parquet(log)
    start = start_project(log, project, key=KEY)
    assert start.roles.entities == ("calendar_id", "sql_id")
    assert "hour" in start.project.plan.names


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.text(min_size=1, max_size=12), min_size=3, max_size=3, unique=True))
def test_any_names_of_columns_give_a_project_or_a_sentence(
    tmp_path: Path, names: list[str]
) -> None:
    extra, repeated, amount = (
        f"{name}{end}" for name, end in zip(names, ("", " id", " amount"), strict=True)
    )
    table = pl.DataFrame(
        {
            "payment": [f"p{number}" for number in range(60)],
            "when": [f"2024-01-01T10:{number:02}:00Z" for number in range(60)],
            amount: [1.5 + number % 9 for number in range(60)],
            extra: [f"x{number % 3}" for number in range(60)],
            repeated: [f"c{number % 7}" for number in range(60)],
        }
    )  # fmt: skip
    log, project = tmp_path / "log.parquet", tmp_path / "project.py"
    table.write_parquet(log)
    project.unlink(missing_ok=True)
    with suppress(ShroffError):
        assert len(start_project(log, project, key=KEY).cleaned.frame) == 60
