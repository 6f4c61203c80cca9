"""The command line as its user meets it: real commands, real files, exit codes and sentences."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from typer.main import get_command

from program import PAYMENTS, answer, shroff, simulated, started
from shroff.cli import app
from shroff.cli.commands import COMMANDS, Commands


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def log(home: Path) -> Path:
    return simulated(home / "payments.csv.gz")


def test_payments_without_a_label_are_counted(home: Path, log: Path) -> None:
    frame = pl.read_csv(log, infer_schema=False)
    first = pl.when(pl.int_range(pl.len()) < 10).then(None).otherwise("is_fraud")
    frame.with_columns(first.alias("is_fraud")).write_csv(home / "open.csv")
    words = ("collect", PAYMENTS, "--data", home / "open.csv", "--out", home / "open.parquet")
    assert answer(home, *words)["unlabelled"] == 10
    said = " ".join(shroff(home, *words).stdout.split())
    assert f"kept {len(frame):,} of {len(frame):,} rows, 10 of them without a label." in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("train", PAYMENTS, "--data", "nowhere.csv"), "no such file"),
        (("train", "nowhere", "--data", "x.csv"), "expected a Python file"),
        (("report", "."), "expected a bundle"),
        (("report", "9" * 300), "expected a file that can be opened, got: File name too long."),
        (("collect", "p" * 300, "--data", "x.csv", "--out", "o.parquet"), "File name too long."),
        (("collect", PAYMENTS, "--data", "\udcff.csv", "--out", "o.parquet"), "file in UTF-8, got"),
        (("collect", PAYMENTS, "--data", "x.csv", "--out", "o.csv"), "ends in .parquet, got o.csv"),
        (("serve", ".", "--port", "0"), "expected a bundle"),
        (("train", PAYMENTS, "--data", "x.csv", "--split", "monthly"), "no such file"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    home: Path, words: tuple[str | Path, ...], sentence: str
) -> None:
    done = shroff(home, *words)
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr + done.stdout


def test_help_says_of_commands_what_their_own_help_says() -> None:
    group = get_command(app)
    assert isinstance(group, Commands)
    said = {name: does for name, (_, does) in COMMANDS.items()}
    assert {
        name: " ".join(str(command.help).split("\n\n")[0].split())
        for name, command in group.commands.items()
    } == said
    assert [name for name, does in said.items() if not does.endswith(".")] == []


def test_a_misspelt_command_is_told_what_it_may_be(home: Path) -> None:
    assert "Did you mean 'models'?" in shroff(home, "modles").stderr
    assert "Did you mean 'history'?" in shroff(home, "models", "histry").stderr


def test_schemes_rate_a_log(home: Path, log: Path) -> None:
    words = ("schemes", PAYMENTS, "--data", log)
    found = answer(home, *words, "--merchant", "merchant_id")
    rated, frame = found["fraud_rates"]["card"], pl.read_csv(log)
    assert (
        found["counted"] == len(frame) == sum(r["settled"] for r in found["vamp"] if r["merchant"])
    )
    assert sum(one["fraud"] for one in rated["quarters"]) > 0
    assert rated["days"][-1] == rated["last"]
    done = shroff(home, *words, "--counted-on", "registration", "--where", "result <> 'failed'")
    assert done.returncode == 0
    text = " ".join(done.stdout.split())
    assert "those that meet --where" in text
    assert "PSD2 fraud rates of card payments by calendar quarter" in text
    assert "the ratio lacks them" in text


def test_a_broken_project_names_its_line(home: Path, log: Path) -> None:
    (home / "broken.py").write_text(
        "from shroff import Project\n\nproject = Project(schema=1 / 0)\n"
    )
    done = shroff(home, "train", home / "broken.py", "--data", log)
    assert done.returncode == 2
    assert "line 3: ZeroDivisionError" in " ".join(done.stderr.split())


def test_too_many_bad_rows_leave_nothing_half_written(home: Path, log: Path) -> None:
    frame = pl.read_csv(log, infer_schema=False)
    half = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("much")).otherwise("amount")
    frame.with_columns(half.alias("amount")).write_csv(home / "bad.csv")
    done = shroff(
        home, "collect", PAYMENTS, "--data", home / "bad.csv", "--out", home / "never.parquet"
    )
    assert done.returncode == 2
    told = " ".join(done.stderr.split())
    assert "1 % allowed" in told
    assert "amount" in told
    assert "much" not in told
    assert not list(home.glob("*never*"))


def test_help_and_version(home: Path) -> None:
    assert "shroff 0.1.0, with" in started(home, "--version").stdout
    wrong = started(home, "report", ".")
    assert (wrong.returncode, "expected a bundle" in wrong.stderr) == (2, True)
    told = shroff(home, "--help").stdout
    assert all(
        name in told
        for name in ("simulate", "collect", "features", "train", "report", "serve", "demo")
    )


def test_keys_are_made_listed_and_revoked(home: Path) -> None:
    made = answer(
        home, "keys", "create", "shop", "--scope", "decide", "--scope", "label", "--expires", "90d"
    )
    assert made["key"].startswith("shroff_")
    (listed,) = answer(home, "keys", "list")["keys"]
    assert (listed["name"], listed["scopes"], listed["state"]) == (
        "shop",
        ["decide", "label"],
        "valid",
    )
    answer(home, "keys", "revoke", listed["id"])
    assert "revoked" in shroff(home, "keys", "list").stdout
    wrong = shroff(home, "keys", "create", "shop", "--scope", "everything")
    assert wrong.returncode == 2
    assert "decide, label, read, review, forget, admin" in wrong.stderr


def test_a_ledger_that_is_not_there_is_one_sentence(home: Path) -> None:
    for words in (("ledger", "verify"), ("replay", "p1")):
        done = shroff(home, *words, kept=home / "empty")
        assert done.returncode == 2
        assert "ledger" in done.stderr
        assert "Traceback" not in done.stderr
