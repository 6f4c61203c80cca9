"""`shroff ledger` as its user meets it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from shroff.cli import app
from shroff.errors import ConfigurationError, LedgerUnavailable
from shroff.ledger import Entry, Ledger


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger of three payments, which the command line knows by its settings."""
    monkeypatch.setenv("SHROFF_HOME", str(tmp_path))
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    with ledger:
        for number in range(3):
            ledger.write_now(Entry("payment", f"p{number}", number, number, bytes(32), b"{}"))
    return ledger


def shroff(*words: str) -> Result:
    return CliRunner().invoke(app, ["ledger", *words])


def test_the_head_is_printed_noted_and_found_again(ledger: Ledger) -> None:
    head = shroff("head")
    assert head.stdout == f"{ledger.head()}\n"
    assert json.loads(shroff("head", "--json").stdout) == {
        "records": 3,
        "chain": ledger.head().chain.hex(),
        "head": str(ledger.head()),
    }
    proved = shroff("verify", "--since", head.stdout)
    assert (proved.exit_code, "3 records, each follows" in proved.stdout) == (0, True)
    assert str(ledger.head()) in proved.stdout
    with ledger:
        ledger.write_now(Entry("payment", "p3", 3, 3, bytes(32), b"{}"))
    found = json.loads(shroff("verify", "--since", head.stdout.strip()[:20], "--json").stdout)
    assert (found["holds"], found["records"]) == (True, 4)


def test_an_older_ledger_and_another_one_end_with_exit_code_1(ledger: Ledger) -> None:
    older = shroff("verify", "--since", f"4:{'a' * 64}", "--json")
    assert older.exit_code == 1
    assert "got one that ends with record 3" in json.loads(older.stdout)["problem"]
    other = shroff("verify", "--since", f"2:{'a' * 64}")
    assert other.exit_code == 1
    assert "this is another ledger, or it was written anew" in other.stderr


def test_what_is_no_head_is_refused(ledger: Ledger) -> None:
    refused = shroff("verify", "--since", "yesterday")
    assert isinstance(refused.exception, ConfigurationError)
    assert "yesterday" not in str(refused.exception)


def test_a_backup_is_a_ledger(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy.db"
    assert json.loads(shroff("backup", str(copy), "--json").stdout) == {
        "file": str(copy),
        "records": 3,
        "chain": ledger.head().chain.hex(),
        "head": str(ledger.head()),
    }
    monkeypatch.setenv("SHROFF_LEDGER", f"sqlite:///{copy}")
    assert shroff("verify", "--since", str(ledger.head())).exit_code == 0
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("UPDATE shroff_ledger SET arrived = 7 WHERE seq = 2")
    broken = shroff("verify", "--json")
    assert (broken.exit_code, json.loads(broken.stdout)["holds"]) == (1, False)


def test_a_ledger_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHROFF_HOME", str(tmp_path))
    for words in (["head"], ["verify"], ["backup", str(tmp_path / "copy.db")]):
        refused = shroff(*words).exception
        assert isinstance(refused, LedgerUnavailable)
        assert str(refused).startswith(
            f"cannot open the ledger {tmp_path}/ledger.db: there is no such file; see that "
        )
