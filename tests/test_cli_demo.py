"""`shroff demo` as its user meets it, and the commands that read what it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from program import answer, shroff


def test_the_demo_walks_the_whole_path(tmp_path: Path) -> None:
    home = tmp_path
    document = answer(home, "demo", "--folder", home / "demo", "--payments", "20000", "--no-keep")
    decisions = document["decisions"]
    assert sum(decisions.values()) == 500
    caught = decisions["review/fraud"] + decisions["decline/fraud"]
    assert caught > decisions["approve/fraud"]
    assert decisions["decline/genuine"] < 25
    assert document["decision"]["reasons"]
    kept, bundle = home / "demo" / "home", home / "demo" / "bundle"

    def ask(*words: str | Path) -> dict[str, Any]:
        return answer(home, *words, kept=kept)

    assert ask("ledger", "verify")["records"] == 501  # the start has a record too
    version = ask("publish", bundle)["version"]
    assert ask("models")["production"] == version
    assert ask("lists", "add", "red_countries", "SE")["id"] == 1
    token = ask("lists", "add", "blocked_hosts", "203.0.113.9", "--personal")["value"]
    assert (len(token), "203.0.113.9" in (kept / "control.db").read_text("latin-1")) == (64, False)
    assert "SE" in ask("lists", "show")["lists"]["red_countries"]
    decided = document["decision"]["payment_id"]
    assert ask("replay", decided, "--data", home / "demo" / "history.parquet")["holds"]
    without_history = shroff(home, "replay", decided, kept=kept)
    assert without_history.returncode == 1
    history = len(pl.read_parquet(home / "demo" / "history.parquet"))
    said = f"The service knew {history:,} payments of history (`serve --warm`)"
    assert said in without_history.stderr
    assert "pass it with `--data`" in without_history.stdout
    # nor is another table than the one of then a sign that the record was altered
    some = home / "demo" / "some.parquet"
    known = pl.read_parquet(home / "demo" / "history.parquet")
    known.head(len(known) // 2).write_parquet(some)
    another = shroff(home, "replay", decided, "--data", some, kept=kept)
    assert another.returncode == 1
    assert "not the table that `serve --warm` read" in " ".join(another.stdout.split())
    assert not document["decision"]["degraded"]
    words = ("parity", bundle, "--ledger")
    compared = ask(*words, "--data", home / "demo" / "history.parquet")
    assert compared["comparisons"][0]["payments"] == 500
    # without the history that the service was started from, windows have less in them
    without_history = shroff(home, *words, kept=kept)
    assert without_history.returncode == 1
    assert "pass it with `--data`" in without_history.stdout
