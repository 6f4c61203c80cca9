"""`shroff init`: a project for a log of one's own, which reads that log and computes features."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collect.messages import card_elements, card_message, log_of, pacs008, pain001
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


def test_transfers_become_a_project_of_the_fields_that_they_have(tmp_path: Path) -> None:
    folder, project = tmp_path / "day", tmp_path / "project.py"
    folder.mkdir()
    rows = [
        {
            "id": f"E{number}",
            "amount": f"{number}.50",
            "currency": "EUR",
            "debtor": f"DK50004004401162{number % 7:02}",
            "bank": ("DABADKKK", "NDEADKKK")[number % 2],
            "text": f"Invoice {number}",
        }
        for number in range(60)
    ]
    (folder / "1.xml").write_text(pacs008(rows[:40]))
    (folder / "2.xml").write_text(pain001(rows[40:]))
    (folder / "3.xml").write_text("<Document><BkToCstmrStmt/></Document>")
    told = run("init", "--data", f"iso20022:{folder}", "--out", project, home=tmp_path)
    assert "of the first 60 rows 60 can be used" in told
    schema = load_project(project).schema
    assert (schema.id, schema.personal) == ("end_to_end_id", ("debtor_account", "remittance"))
    (mapping,) = schema.messages
    assert mapping.columns["debtor_account"] == [
        "CdtTrfTxInf/DbtrAcct/Id/IBAN",
        "PmtInf/DbtrAcct/Id/IBAN",
    ]
    features = tmp_path / "features.parquet"
    run("features", project, "--data", f"iso20022:{folder}", "--out", features, home=tmp_path)
    assert pl.read_parquet(features)["debtor_account_count_7d"].max() > 2  # type: ignore[operator]  # a number


@pytest.mark.parametrize("bitmap", ["binary", "ascii"])
@pytest.mark.parametrize("length", [lambda n: n.to_bytes(2), lambda n: f"{n:04}".encode()])
def test_card_messages_become_a_project_in_their_dialect(
    tmp_path: Path, bitmap: str, length: Callable[[int], bytes]
) -> None:
    log, project = tmp_path / "cards.bin", tmp_path / "project.py"
    messages = [
        card_message(
            card_elements(
                e37=f"{number * 7919 % 1000:012}",
                e2=("4111111111111111", "5500005555555559")[number % 2],
                e42=f"MERCHANT000000{number % 3}",
            ),
            bitmap=bitmap,
        )
        for number in range(60)
    ]
    messages.insert(3, card_message({"7": "0504100000", "70": "301"}, bitmap=bitmap, kind="0800"))
    log.write_bytes(b"".join(length(len(one)) + one for one in messages))
    where = f"iso8583:{log}?since=2024-05-01"
    run("init", "--data", where, "--out", project, home=tmp_path)
    schema = load_project(project).schema
    assert (schema.id, schema.personal) == ("transaction_id", ("card_id",))
    clean = tmp_path / "clean.parquet"
    run("collect", project, "--data", where, "--out", clean, home=tmp_path)
    assert pl.read_parquet(clean)["card_id"].n_unique() == 2


def test_messages_in_no_usual_dialect_say_what_is_to_do(tmp_path: Path) -> None:
    log = tmp_path / "cards.bin"
    log.write_bytes(log_of([b"F0F1F0F0" + bytes(40)]))
    with pytest.raises(BadFile, match=r"write the project by hand, with Iso8583\(elements=…\)"):
        run("init", "--data", f"iso8583:{log}", "--out", tmp_path / "p.py", home=tmp_path)


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
    assert "name one with --label, or join the file that says it first" in told
    assert project.read_text().count("TODO") == 6


def test_a_log_of_hours_without_ids_is_told_all_that_it_lacks_at_once(tmp_path: Path) -> None:
    """Such as the public PaySim data, whose column `step` counts hours."""
    lines = [f"{1 + n // 30},CASH_OUT,{n}.5,C{n % 7},{n % 9 == 0:d}" for n in range(90)]
    (tmp_path / "log.csv").write_text("\n".join(["step,type,amount,nameOrig,isFraud", *lines]))
    with pytest.raises(DataError, match=r"times of a clock .* name others with --time and --id\."):
        run("init", "--data", tmp_path / "log.csv", "--out", tmp_path / "p.py", home=tmp_path)
    log = pl.read_csv(tmp_path / "log.csv").with_row_index("payment_id")
    begin = pl.datetime(2024, 1, 1, time_zone="UTC")
    log = log.with_columns(paid_at=begin + pl.duration(hours=pl.col("step") - 1)).drop("step")
    log.write_csv(tmp_path / "log.csv")
    made = answer("init", "--data", tmp_path / "log.csv", "--out", tmp_path / "p.py", home=tmp_path)
    assert made["kept"] == 90
    written = load_project(tmp_path / "p.py")
    assert (written.policy.reviews_per_day, written.card) == (200, "nameOrig")
    assert written.policy.cost.declined == 15.0


def test_a_decline_costs_what_fits_the_amounts_of_the_log(tmp_path: Path) -> None:
    rows = "".join(f"{n},2024-01-01T10:{n:02}:00Z,{8_000 + n},{n % 9 == 0:d}\n" for n in range(50))
    (tmp_path / "log.csv").write_text(f"id,at,amount,fraud\n{rows}")
    run("init", "--data", tmp_path / "log.csv", "--out", tmp_path / "p.py", home=tmp_path)
    assert load_project(tmp_path / "p.py").policy.cost.declined == 400.0


def test_where_no_row_can_be_used_the_last_word_says_so_and_why(tmp_path: Path) -> None:
    lines = [f"{n},2024-01-01T10:{n:02}:00Z,-{n}.5,{n % 9 == 0:d}" for n in range(1, 60)]
    (tmp_path / "log.csv").write_text("\n".join(["id,at,amount,fraud", *lines]))
    told = run("init", "--data", tmp_path / "log.csv", "--out", tmp_path / "p.py", home=tmp_path)
    assert "No row can be used: amount: " in told
    assert "Read and correct" not in told
    assert told.index("No row can be used") < told.index("shroff train")


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
