"""The examples of docs/sources.md on messages, as they are copied."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from collect.messages import card_elements, card_message, log_of
from program import shroff

DOCS = (Path(__file__).parents[2] / "docs" / "sources.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", DOCS.partition("## Messages")[2], flags=re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the documented projects and files."""
    monkeypatch.setenv("SHROFF_HOME", str(tmp_path / "home"))
    for kind, text in BLOCKS:
        if kind == "python":
            file = tmp_path / text.partition("\n")[0].removeprefix("# ")
            file.parent.mkdir()
            file.write_text(text, encoding="utf-8")
        if kind == "xml":
            (tmp_path / "transfers.xml").write_text(text, encoding="utf-8")
    elements = card_elements(e32="12345", e43="Bakery  Ribe DK".ljust(40))
    log = log_of([card_message(elements, bitmap="ascii")])
    (tmp_path / "cards.bin").write_bytes(log)
    return tmp_path


@pytest.mark.parametrize("name", ["transfers", "cards"])
def test_the_examples_run_as_they_are_copied(folder: Path, name: str) -> None:
    [command] = [text for kind, text in BLOCKS if kind == "sh" and f"collect {name}" in text]
    done = subprocess.run(
        command.replace("shroff", f"{sys.executable} -m shroff", 1),
        check=False,
        shell=True,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "kept 1 of 1 rows" in done.stdout
    table = pl.read_parquet(folder / "clean.parquet")
    assert table["amount"].to_list() == [13669]
    for secret in ("DK5000400440116243", "Invoice 7", "4111111111111111"):
        assert secret not in str(table.to_dicts())
    assert not list((folder / "home").rglob("*.parquet"))


@pytest.mark.parametrize(
    ("command", "end"),
    [
        ("collect transfers --data bad.xml --out clean.parquet", "cut off in line 3."),
        ("features transfers --data bad.xml --out f.parquet", "cut off in line 3."),
        (
            "features transfers --data transfers.xml --engine spark --out f",
            "run `shroff collect` before.",
        ),
    ],
)
def test_a_command_says_in_one_sentence_what_it_cannot_read(
    folder: Path, command: str, end: str
) -> None:
    whole = (folder / "transfers.xml").read_text(encoding="utf-8")
    (folder / "bad.xml").write_text("\n".join(whole.split("\n")[:3]), encoding="utf-8")
    done = shroff(folder, *command.split(), kept=folder / "home")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert " ".join(done.stderr.split()).endswith(end), done.stderr
    assert not list((folder / "home").rglob("*.parquet"))
